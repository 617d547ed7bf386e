import dataclasses

import numpy as np
import pytest
import torch

from cider.evaluation.predictor import (
    COUNTERFACTUAL,
    FACTUAL,
    FoldPredictor,
    remove_from_item,
    utterance_generator,
)
from cider.run_folder import open_run
from mer_data.batches import Collator, UtteranceDataset
from mer_data.errors import MerDataError

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


def id_of(experiment, item):
    return experiment.store.utterances["id"].iloc[item.index]


def removed_from(experiment, item, pattern, rate, seed=0):
    generator = utterance_generator(seed, pattern, rate, id_of(experiment, item))
    return remove_from_item(item, pattern, rate, generator, experiment)


def same(first, second):
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("input_ids", "audio", "vision")
    )


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


# --- masks ---


def test_a_mask_is_decided_by_seed_pattern_rate_and_id():
    def draws(*key):
        return torch.rand(8, generator=utterance_generator(*key)).tolist()

    base = draws(0, "rmfm", 0.3, "a")
    assert draws(0, "rmfm", 0.1 + 0.2, "a") == base  # the same rate, but for rounding
    for other in ((1, "rmfm", 0.3, "a"), (0, "rmm", 0.3, "a"), (0, "rmfm", 0.4, "a"), (0, "rmfm", 0.3, "b")):
        assert draws(*other) != base


def test_the_mask_of_an_utterance_ignores_the_callers_random_numbers(opened):
    _, experiment = opened
    item = items_of(experiment)[0]
    torch.manual_seed(1)
    first = removed_from(experiment, item, "rmfm", 0.5)
    torch.manual_seed(2)
    assert same(removed_from(experiment, item, "rmfm", 0.5), first)
    assert not same(removed_from(experiment, item, "rmfm", 0.5, seed=1), first)


@pytest.mark.parametrize("pattern", ["rmfm", "rmfm_same", "rmm"])
def test_rate_0_changes_nothing_and_rate_1_leaves_nothing_removable(opened, pattern):
    _, experiment = opened
    special = experiment.special
    for item in items_of(experiment):
        original = dataclasses.replace(item, input_ids=item.input_ids.copy(), audio=item.audio.copy())
        assert same(removed_from(experiment, item, pattern, 0.0), item)
        bare = removed_from(experiment, item, pattern, 1.0)
        expected = [token if token in (special.cls, special.sep) else special.unk for token in item.input_ids]
        assert bare.input_ids.tolist() == expected
        assert bare.input_ids.dtype == item.input_ids.dtype
        assert bare.audio.shape == item.audio.shape
        assert not bare.audio.any()
        assert not bare.vision.any()
        assert (bare.label, bare.index) == (item.label, item.index)
        assert same(item, original)


@pytest.mark.parametrize("pattern", ["tmfm", "stmfm"])
def test_patterns_over_time_remove_the_same_steps_everywhere(home, make_recipe, pattern):
    from cider.experiment import Experiment

    experiment = Experiment.open(make_recipe("data.alignment=aligned"))
    special = experiment.special
    for item in items_of(experiment)[:6]:
        assert same(removed_from(experiment, item, pattern, 0.0), item)
        half = removed_from(experiment, item, pattern, 0.5)
        audio = (half.audio != item.audio).any(axis=1)
        text = half.input_ids != item.input_ids
        pieces = ~np.isin(item.input_ids, [special.cls, special.sep])
        assert np.array_equal(audio[pieces], text[pieces])
        bare = removed_from(experiment, item, pattern, 1.0)
        assert set(bare.input_ids.tolist()) <= {special.cls, special.sep, special.unk}
        assert not bare.vision.any()


def test_a_pattern_over_time_on_unaligned_data_is_refused(opened):
    model, experiment = opened
    with pytest.raises(MerDataError, match="the missing pattern tmfm needs aligned data"):
        FoldPredictor(model, experiment, "test").predict("tmfm", 0.5, 0)


# --- views ---


def test_without_a_vocabulary_there_is_the_factual_view_alone(opened):
    model, experiment = opened
    assert list(FoldPredictor(model, experiment, "valid").predict("rmfm", 0.0, 0)) == [FACTUAL]


@pytest.mark.parametrize("rate", RATES)
def test_the_counterfactual_view_masks_all_but_the_vocabulary(opened, rate):
    model, experiment = opened
    special, kept = experiment.special, set(experiment.kept_token_ids()[:20].tolist())
    predictor = FoldPredictor(model, experiment, "test", kept_token_ids=np.array(sorted(kept)))
    views = predictor.predict("rmfm", rate, 0)
    stay = kept | {special.cls, special.sep, special.unk}
    masked = 0
    for number, item in enumerate(items_of(experiment)):
        seen = removed_from(experiment, item, "rmfm", rate)
        ids = np.array([token if token in stay else special.mask for token in seen.input_ids], dtype=np.int32)
        masked += (ids == special.mask).sum()
        batch = Collator(special.pad)([dataclasses.replace(seen, input_ids=ids)])
        expected = model.eval()(batch).log_probabilities[0].exp().detach().numpy()
        assert views[COUNTERFACTUAL][number] == pytest.approx(expected, abs=1e-5)
    assert (masked > 0) == (rate < 1)
    assert np.allclose(views[COUNTERFACTUAL], views[FACTUAL], atol=1e-6) == (rate == 1)
