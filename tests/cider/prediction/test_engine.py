import copy
import dataclasses

import numpy as np
import pytest
import torch

from cider.prediction.engine import FoldPredictor
from cider.prediction.masks import removed, utterance_keys
from cider.prediction.sweep import evaluated_statistics
from cider.prediction.text_cache import TextFeatureCache
from cider.runs.folder import open_run
from cider.scoring.conditions import COMPLETE, NOTHING, Condition, condition_of
from cider.scoring.prediction_frame import COUNTERFACTUAL, EVALUATED_MEANS, FACTUAL, NO_MEANS, TRAINING_MEANS
from mer_data.errors import MerDataError, RunError
from mer_data.text.encoder import load_text_encoder
from mer_data.torch_data.batches import Collator, UtteranceDataset
from mer_data.torch_data.missing import ValidMask, apply

RATES = (0.0, 0.5, 1.0)


@pytest.fixture
def opened(home, trained_run):
    """The trained model and its experiment."""
    run, experiment = open_run(trained_run)
    model = experiment.build_model()
    run.load_weights(model)
    return model, experiment


def items_of(experiment, fold="test"):
    rows = experiment.rows[fold]
    return list(UtteranceDataset(experiment.store, rows).__getitems__(list(range(len(rows)))))


def seen(experiment, item, condition):
    """The batch of one utterance as the model sees it in a condition."""
    name = experiment.store.utterances["id"].iloc[item.index]
    batch = Collator(experiment.special.pad)([item])
    keys = utterance_keys([name], condition.pattern, condition.mask_seed)
    lost = removed(condition, ValidMask.from_batch(batch, experiment.special), keys)
    return apply(batch, lost, experiment.special)


# --- a prediction is its utterance's alone ---


@pytest.mark.parametrize("rate", RATES)
def test_a_prediction_does_not_depend_on_batch_size_order_or_company(opened, rate):
    model, experiment = opened
    kept = experiment.kept_token_ids()

    def by_id(rows, batch_size):
        chosen = dataclasses.replace(experiment, rows={"test": rows})
        predictor = FoldPredictor(model, chosen, "test", batch_size=batch_size, kept_token_ids=kept)
        views = predictor.predict("rmfm", rate, 0)
        return {view: dict(zip(predictor.ids, table, strict=True)) for view, table in views.items()}

    rows = experiment.rows["test"]
    whole = by_id(rows, batch_size=128)
    shuffled = np.random.default_rng(0).permutation(np.concatenate([rows, experiment.rows["train"][:20]]))
    for other in (by_id(rows, 1), by_id(rows[::-1], 5), by_id(rows[3:4], 128), by_id(shuffled, 7)):
        for view in (FACTUAL, COUNTERFACTUAL):
            for name in whole[view].keys() & other[view].keys():
                assert other[view][name] == pytest.approx(whole[view][name], abs=1e-5)


def test_predictions_come_with_their_ids_and_labels(opened):
    model, experiment = opened
    predictor = FoldPredictor(model, experiment, "test")
    utterances = experiment.store.utterances.set_index("id")["label"]
    assert sorted(predictor.ids) == list(experiment.split.splits["test"])
    assert predictor.labels.tolist() == utterances.loc[predictor.ids].tolist()
    alone = model.eval()(Collator(experiment.special.pad)(items_of(experiment)[5:6]))
    probabilities = predictor.predict("rmfm", 0.0, 0)[FACTUAL]
    assert probabilities[5] == pytest.approx(alone.log_probabilities[0].exp().detach().numpy(), abs=1e-5)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(24))
    assert probabilities.std(axis=0).min() > 1e-4  # or equal predictions would hide a wrong order


@pytest.mark.parametrize("training", [True, False])
def test_predicting_is_repeatable_and_gives_the_mode_back(opened, training):
    model, experiment = opened
    predictor = FoldPredictor(model.train(training), experiment, "valid")
    first = predictor.predict("rmfm", 0.5, 3)[FACTUAL]
    assert np.array_equal(predictor.predict("rmfm", 0.5, 3)[FACTUAL], first)
    assert model.training is training
    # What one call removed is there again in the next.
    full = predictor.predict("rmfm", 0.0, 3)[FACTUAL]
    assert np.array_equal(full, FoldPredictor(model, experiment, "valid").predict("rmm", 0.0, 9)[FACTUAL])
    assert not np.array_equal(full, first)


@pytest.mark.parametrize("pattern", ["tmfm", "stmfm"])
def test_patterns_over_time_need_aligned_data(home, make_recipe, opened, pattern):
    from cider.runs.experiment import Experiment

    model, experiment = opened
    with pytest.raises(RunError, match=f"pattern {pattern} needs aligned data in .*h5: found unaligned"):
        FoldPredictor(model, experiment, "test").predict(pattern, 0.5, 0)
    aligned = Experiment.open(make_recipe("data.alignment=aligned", "model.maci=none"))
    predictor = FoldPredictor(aligned.build_model(), aligned, "test")
    full, half = (predictor.predict(pattern, rate, 0)[FACTUAL] for rate in (0.0, 0.5))
    assert half.sum(axis=1) == pytest.approx(np.ones(24))
    assert not np.allclose(full, half)


def test_unknown_patterns_and_rates_are_refused(opened):
    model, experiment = opened
    predictor = FoldPredictor(model, experiment, "test")
    for arguments in (("other", 0.5, 0), ("rmfm", 1.5, 0), ("smm", 0.5, 0)):
        with pytest.raises(MerDataError, match="missing"):
            predictor.predict(*arguments)


# --- views ---


def test_without_a_vocabulary_there_is_the_factual_view_alone(opened):
    model, experiment = opened
    assert list(FoldPredictor(model, experiment, "valid").predict("rmfm", 0.0, 0)) == [FACTUAL]


@pytest.mark.parametrize(
    "condition",
    [COMPLETE, condition_of("rmfm", 0.5, 0), Condition("smm", 0.0, "LA"), NOTHING],
    ids=lambda condition: condition.name,
)
def test_both_views_are_the_models_answers_to_what_is_left(opened, condition):
    model, experiment = opened
    special, kept = experiment.special, set(experiment.kept_token_ids()[:20].tolist())
    predictor = FoldPredictor(model, experiment, "test", kept_token_ids=np.array(sorted(kept)))
    views = predictor.predict_condition(condition)
    stay = kept | {special.cls, special.sep, special.unk}
    masked = 0
    for number, item in enumerate(items_of(experiment)):
        batch = seen(experiment, item, condition)
        ids = torch.tensor([[t if t in stay else special.mask for t in batch.input_ids[0].tolist()]])
        masked += int((ids == special.mask).sum())
        for text, shown in ((FACTUAL, batch), (COUNTERFACTUAL, dataclasses.replace(batch, input_ids=ids))):
            expected = model.eval()(shown).log_probabilities[0].exp().detach().numpy()
            assert views[text, TRAINING_MEANS][number] == pytest.approx(expected, abs=1e-5)
    same = np.allclose(views[FACTUAL, TRAINING_MEANS], views[COUNTERFACTUAL, TRAINING_MEANS], atol=1e-6)
    assert (masked == 0) == same == (condition == NOTHING)


def test_means_of_the_evaluated_split_are_a_second_head_on_the_same_representation(opened):
    model, experiment = opened
    encoder = load_text_encoder("tiny", experiment.store.tokenizer)
    statistics = evaluated_statistics(experiment, encoder)
    assert statistics.counts.sum() == 24
    kept = experiment.kept_token_ids()
    before = copy.deepcopy(model.state_dict())
    predictor = FoldPredictor(model, experiment, "test", kept_token_ids=kept)
    condition = condition_of("rmfm", 0.5, 0)
    views = predictor.predict_condition(condition, evaluated=statistics)
    assert set(views) == {
        (text, means) for text in (FACTUAL, COUNTERFACTUAL) for means in (TRAINING_MEANS, EVALUATED_MEANS)
    }
    plain = predictor.predict_condition(condition)
    for view, table in plain.items():
        assert np.array_equal(views[view], table)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    # A whole model with the other means gives the same.
    other = copy.deepcopy(model)
    other.head.set_statistics(
        priors=torch.from_numpy(statistics.priors).float(),
        **{name: torch.from_numpy(statistics.means[name]) for name in ("text", "audio", "vision")},
    )
    expected = FoldPredictor(other, experiment, "test", kept_token_ids=kept).predict_condition(condition)
    for text in (FACTUAL, COUNTERFACTUAL):
        assert views[text, EVALUATED_MEANS] == pytest.approx(expected[text, TRAINING_MEANS], abs=1e-6)
        assert not np.allclose(views[text, EVALUATED_MEANS], views[text, TRAINING_MEANS], atol=1e-5)


def test_means_of_the_evaluated_split_are_those_of_its_utterances(opened):
    _, experiment = opened
    statistics = evaluated_statistics(experiment, load_text_encoder("tiny", experiment.store.tokenizer))
    rows = experiment.rows["test"]
    labels = experiment.store.utterances["label"].to_numpy()[rows]
    audio = [frames.mean(axis=0) for frames in experiment.store.read(rows).streams["audio"]]
    chosen = [row for row, label in zip(audio, labels, strict=True) if label < 0]
    assert statistics.means["audio"][0] == pytest.approx(np.mean(chosen, axis=0), rel=1e-4)
    assert statistics.counts.tolist() == [(labels < 0).sum(), (labels == 0).sum(), (labels > 0).sum()]


def test_a_model_without_a_causal_head_has_no_means(home, make_recipe):
    from cider.runs.experiment import Experiment

    experiment = Experiment.open(make_recipe("model.maci=none"))
    model = experiment.build_model()
    encoder = load_text_encoder("tiny", experiment.store.tokenizer)
    predictor = FoldPredictor(model, experiment, "test")
    views = predictor.predict_condition(COMPLETE, evaluated=evaluated_statistics(experiment, encoder))
    assert list(views) == [(FACTUAL, NO_MEANS)]


# --- sharing texts and cores ---


def test_shared_texts_change_no_prediction(opened):
    model, experiment = opened
    encoder = model.text_encoder
    predictor = FoldPredictor(model, experiment, "test", kept_token_ids=experiment.kept_token_ids())
    texts = TextFeatureCache(encoder, pad_id=experiment.special.pad)
    for rate in (0.0, 0.1, 0.2, 0.9, 1.0):
        condition = condition_of("rmfm", rate, 0)
        shared = predictor.predict_condition(condition, texts=texts)
        alone = predictor.predict_condition(condition)
        for view in alone:
            assert shared[view] == pytest.approx(alone[view], abs=1e-6)
    assert texts.asked == 5 * 2 * 24
    assert texts.encoded < 0.8 * texts.asked
    assert model.text_encoder is encoder


def test_a_failure_gives_the_encoder_back(opened, monkeypatch):
    model, experiment = opened
    encoder = model.text_encoder
    predictor = FoldPredictor(model.train(), experiment, "valid")
    with monkeypatch.context() as patch:
        patch.setattr(model.joint_head, "forward", lambda pooled: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            predictor.predict("rmfm", 0.0, 0)
    assert model.text_encoder is encoder
    assert model.training


def test_several_threads_change_no_prediction(opened):
    model, experiment = opened
    before = torch.get_num_threads()
    tables = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            predictor = FoldPredictor(model, experiment, "test", batch_size=5)
            tables.append(predictor.predict("rmfm", 0.5, 0)[FACTUAL])
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*tables)


def test_bf16_is_near_float32(opened):
    model, experiment = opened
    exact, near = (
        FoldPredictor(model, experiment, "test", precision=precision).predict("rmfm", 0.0, 0)[FACTUAL]
        for precision in ("float32", "bf16")
    )
    assert not np.array_equal(exact, near)
    assert near == pytest.approx(exact, abs=0.05)
