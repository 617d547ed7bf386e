import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import cider
from cider.prediction.chosen_tau import Tau
from cider.prediction.engine import FoldPredictor
from cider.prediction.sentiment_predictor import SentimentPredictor
from cider.runs.folder import open_run
from cider.scoring.conditions import COMPLETE
from cider.scoring.prediction_frame import COUNTERFACTUAL, FACTUAL, PredictionFolder
from mer_data.errors import MerDataError, RunError, StoreError
from mer_data.store.reader import FeatureStore
from mer_data.tasks import get_task
from mer_data.torch_data.batches import Collator, UtteranceDataset
from mer_data.torch_data.missing import ValidMask, apply, smm
from mer_data.utterances import cut

CLOSE = {"rtol": 0, "atol": 1e-6}


@pytest.fixture
def predictor(trained_run):
    return SentimentPredictor.load(trained_run, tau=0.5)


@pytest.fixture
def store(home):
    return FeatureStore.open(home / "sample" / "store" / "unaligned.h5")


@pytest.fixture
def aligned_predictor(untrained_run):
    return SentimentPredictor.load(untrained_run("data.alignment=aligned"), tau=0.5)


@pytest.fixture
def aligned_store(home):
    return FeatureStore.open(home / "sample" / "store" / "aligned.h5")


def with_everything(store, count=6):
    """Ids of utterances that have words and frames."""
    there = np.minimum.reduce([store.lengths(name) for name in ("words", "audio", "vision")]) > 0
    return store.utterances["id"][there].tolist()[:count]


def probabilities(model, items, pad):
    with torch.inference_mode():
        return model(Collator(pad)(items)).log_probabilities.exp().numpy()


# --- from a store ---


def test_it_is_what_an_evaluation_writes_for_complete_data(trained_run, store, without_data):
    predictor = cider.load(trained_run)
    for fold in ("valid", "test"):
        written, _ = PredictionFolder(trained_run / "predictions", get_task("binary")).read(COMPLETE, fold)
        found = predictor.predict(store, written.ids)
        assert list(found.ids) == written.ids
        for text, table in ((FACTUAL, found.factual), (COUNTERFACTUAL, found.counterfactual)):
            np.testing.assert_allclose(table, written.views[text, "training"], **CLOSE)


@pytest.mark.parametrize(
    "overrides",
    [
        ("data.alignment=aligned",),
        ("model.maci=none", "task=seven"),
        ("model.maci=label", "model.residual_from_norm=true"),
        ("model.word_alignment=false", "model.fusion=vanilla"),
    ],
)
def test_every_kind_of_run_predicts_as_its_experiment(untrained_run, overrides):
    path = untrained_run(*overrides)
    run, experiment = open_run(path)
    model = experiment.build_model()
    run.load_weights(model)
    kept = experiment.kept_token_ids() if experiment.recipe.model.debiases_language else None
    fold = FoldPredictor(model, experiment, "test", kept_token_ids=kept)
    expected = fold.predict("rmfm", 0.0, 0)
    found = SentimentPredictor.load(path, tau=None if kept is None else 0.2).predict(
        experiment.store, fold.ids
    )
    assert found.classes == experiment.task.classes
    np.testing.assert_allclose(found.factual, expected[FACTUAL], **CLOSE)
    if kept is None:
        assert found.counterfactual is None
        assert found.debiased is found.factual
    else:
        np.testing.assert_allclose(found.counterfactual, expected[COUNTERFACTUAL], **CLOSE)


def test_all_of_a_store_in_its_order_by_path_too(predictor, store):
    found = predictor.predict(str(store.path))
    assert list(found.ids) == store.utterances["id"].tolist()
    assert found.factual.sum(axis=1) == pytest.approx(1)
    assert found.notes == ()


@pytest.mark.parametrize("batch_size", [1, 5])
def test_a_prediction_does_not_depend_on_batch_size_order_or_company(trained_run, store, batch_size):
    whole = SentimentPredictor.load(trained_run, tau=0.5).predict(store)
    other = SentimentPredictor.load(trained_run, tau=0.5, batch_size=batch_size)
    rows = np.random.default_rng(0).permutation(len(store))[:40]
    found = other.predict(store, [whole.ids[row] for row in rows])
    for name in ("factual", "counterfactual", "debiased"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name)[rows], rtol=0, atol=1e-5)
    alone = other.predict(store, [whole.ids[7]])
    np.testing.assert_allclose(alone.factual[0], whole.factual[7], rtol=0, atol=1e-5)


def test_pieces_of_a_large_store_come_one_after_the_other(predictor, store, monkeypatch):
    whole = predictor.predict(store)
    monkeypatch.setattr("cider.prediction.sentiment_predictor._PIECE", 32)
    calls = []
    found = predictor.predict(store, progress=lambda *at: calls.append(at))
    np.testing.assert_allclose(found.debiased, whole.debiased, **CLOSE)
    assert calls == [(32, 96), (64, 96), (96, 96)]


def test_debiasing_subtracts_and_the_greatest_score_is_the_answer(predictor, store):
    found = predictor.predict(store)
    np.testing.assert_allclose(found.debiased, found.factual - 0.5 * found.counterfactual)
    best = [found.classes[row] for row in found.debiased.argmax(axis=1)]
    assert found.predicted == best
    predictor.tau = Tau(0.0, "none")
    plain = predictor.predict(store)
    np.testing.assert_array_equal(plain.debiased, plain.factual)
    assert plain.num_changed == 0
    assert found.num_changed == sum(a != b for a, b in zip(best, plain.predicted, strict=True))


def test_a_run_that_subtracts_logarithms_predicts_so(untrained_run, store):
    run = untrained_run("evaluation.debiasing=log")
    found = SentimentPredictor.load(run, tau=0.4).predict(store)
    np.testing.assert_allclose(found.debiased, np.log(found.factual) - 0.4 * np.log(found.counterfactual))


def test_rows_are_cut_to_what_the_model_was_served(predictor, store):
    limits = {"text": 6, "audio": 3, "vision": 4}
    predictor.card = predictor.card.model_copy(update={"limits": limits})
    ids = with_everything(store)
    found = predictor.predict(store, ids)
    rows = [store.utterances["id"].tolist().index(name) for name in ids]
    items = [
        replace(
            item,
            input_ids=np.append(item.input_ids[:5], item.input_ids[-1]),
            audio=item.audio[:3],
            vision=item.vision[:4],
        )
        for item in UtteranceDataset(store, np.array(rows)).__getitems__(list(range(len(rows))))
    ]
    pad = store.tokenizer.special_id("[PAD]")
    np.testing.assert_allclose(found.factual, probabilities(predictor.model, items, pad), **CLOSE)
    assert found.notes == (f"{len(ids)} texts were cut to 6 word pieces",)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (["nobody$_$1", "x"], StoreError, "2 of 2 ids are not in the store, such as nobody"),
        ("nobody$_$1", MerDataError, "one id in place of a list"),
    ],
)
def test_ids_that_are_not_there_are_told(predictor, store, ids, error, message):
    with pytest.raises(error, match=message):
        predictor.predict(store, ids)


def test_a_store_that_does_not_fit_is_refused(predictor, aligned_store):
    with pytest.raises(StoreError, match="another alignment than the run was trained with"):
        predictor.predict(aligned_store)
    with pytest.raises(StoreError, match="no store"):
        predictor.predict("nowhere.h5")


def test_nothing_asked_is_nothing_predicted(predictor, store):
    found = predictor.predict(store, [])
    assert len(found) == 0
    assert found.predicted == []
    assert found.class_counts == {"negative": 0, "neutral": 0, "positive": 0}


# --- raw texts ---


def raw(store, ids):
    """Texts and frames of utterances, as a program without a store has them."""
    rows = [store.utterances["id"].tolist().index(name) for name in ids]
    frames = store.read(rows).streams
    texts = store.utterances["text"].iloc[rows].tolist()
    return texts, *([frames[name][at] for at in range(len(rows))] for name in ("audio", "vision"))


@pytest.mark.parametrize("kind", ["unaligned", "aligned"])
def test_texts_with_their_frames_are_the_utterances_they_were(kind, request):
    prefix = "" if kind == "unaligned" else "aligned_"
    predictor, store = (request.getfixturevalue(prefix + name) for name in ("predictor", "store"))
    ids = store.utterances["id"].tolist()
    expected = predictor.predict(store, ids)
    found = predictor.predict_texts(*raw(store, ids), ids=ids)
    assert found.ids == expected.ids
    assert found.notes == ()
    for name in ("factual", "counterfactual", "debiased"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), **CLOSE)


@pytest.mark.parametrize("kind", ["unaligned", "aligned"])
@pytest.mark.parametrize("keep", ["L", "LA", "LV"])
def test_a_missing_modality_is_the_one_of_the_missing_pattern(kind, keep, request):
    prefix = "" if kind == "unaligned" else "aligned_"
    predictor, store = (request.getfixturevalue(prefix + name) for name in ("predictor", "store"))
    ids = with_everything(store)
    texts, audio, vision = raw(store, ids)
    found = predictor.predict_texts(
        texts, audio=audio if "A" in keep else None, vision=vision if "V" in keep else [None] * len(ids)
    )
    rows = np.array([store.utterances["id"].tolist().index(name) for name in ids])
    special = predictor.model.special
    batch = Collator(special.pad)(UtteranceDataset(store, rows).__getitems__(list(range(len(rows)))))
    lossy = apply(batch, smm(ValidMask.from_batch(batch, special), keep), special)
    with torch.inference_mode():
        expected = predictor.model(lossy).log_probabilities.exp().numpy()
    np.testing.assert_allclose(found.factual, expected, **CLOSE)
    missing = [name for name, letter in (("audio", "A"), ("vision", "V")) if letter not in keep]
    count = len(ids)
    assert found.notes == tuple(f"{name} is missing in {count} of {count} texts" for name in missing)


def test_no_frames_at_all_is_what_a_store_without_frames_gives(predictor, store):
    lengths = {name: store.lengths(name) for name in ("audio", "vision")}
    row = int(np.flatnonzero((lengths["audio"] == 0) & (lengths["vision"] == 0))[0])
    name = store.utterances["id"].iloc[row]
    texts, audio, vision = raw(store, [name])
    assert len(audio[0]) == len(vision[0]) == 0
    np.testing.assert_allclose(
        predictor.predict_texts(texts, audio, vision).factual,
        predictor.predict(store, [name]).factual,
        **CLOSE,
    )


def test_texts_without_words_and_no_texts_have_answers(predictor):
    found = predictor.predict_texts(["", "   ", "good"])
    assert np.isfinite(found.debiased).all()
    np.testing.assert_allclose(found.factual[0], found.factual[1], **CLOSE)
    assert found.ids == ("0", "1", "2")
    assert len(predictor.predict_texts([])) == 0


def test_long_texts_and_frames_are_cut_as_in_a_store(predictor, store):
    limits = predictor.card.limits
    words = " ".join(["good"] * 80)
    width = store.width("audio")
    audio = np.random.default_rng(0).normal(size=(limits["audio"] + 30, width)).astype(np.float32)
    ids = store.tokenizer.encode(words)[0]
    found = predictor.predict_texts([words], [audio])
    shorter = predictor.predict_texts([" ".join(["good"] * (limits["text"] - 2))], [audio[: limits["audio"]]])
    assert len(cut(ids, limits["text"], keep_last=True)) == limits["text"] < len(ids)
    assert f"1 texts were cut to {limits['text']} word pieces" in found.notes
    np.testing.assert_allclose(found.factual, shorter.factual, **CLOSE)


def test_frames_that_are_not_finite_count_as_zero(predictor, store):
    texts, audio, vision = raw(store, with_everything(store, 1))
    broken, mended = audio[0].copy(), audio[0].copy()
    broken[0, :3] = [np.nan, np.inf, -np.inf]
    mended[0, :3] = 0
    found, expected = (predictor.predict_texts(texts, [one], vision) for one in (broken, mended))
    np.testing.assert_array_equal(found.factual, expected.factual)


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ("good", {}, "one text in place of a list"),
        (b"good", {}, "one text in place of a list"),
        (None, {}, "no list of texts: found NoneType"),
        (7, {}, "no list of texts: found int"),
        ([1], {}, "text 0 is no text: found int 1, expected str"),
        (["good", None], {}, "text 1 is no text: found NoneType None, expected str. Leave it out"),
        (["good", float("nan")], {}, "text 1 is no text: found float nan"),
        ([b"good"], {}, r"text 0 is no text: found bytes b'good', expected str. Decode it"),
        ([["good"]], {}, "text 0 is no text: found list"),
        (["\ud800"], {}, "text 0 is not valid Unicode"),
        (["good"], {"audio": []}, "audio and texts differ in number: found 0, expected 1"),
        (["good"], {"ids": ["a", "b"]}, "ids and texts differ in number: found 2, expected 1"),
        (
            ["good"],
            {"vision": [np.zeros((2, 3, 4))]},
            r"vision of text 0 has the wrong shape: found \(2, 3, 4\)",
        ),
        (
            ["bad", "good"],
            {"audio": [None, np.zeros((4, 99))]},
            "audio of text 1 .*expected .number of frames",
        ),
        (["good"], {"audio": [[[1.0], [1.0, 2.0]]]}, "audio of text 0 is no array of numbers"),
        (["good"], {"audio": [[["a"]]]}, "audio of text 0 is no array of numbers"),
    ],
)
def test_arguments_that_do_not_fit_are_told(predictor, texts, options, message):
    with pytest.raises(MerDataError, match=message):
        predictor.predict_texts(texts, **options)


def test_an_aligned_model_takes_a_frame_per_word_piece(aligned_predictor):
    width = aligned_predictor.card.shapes.audio_width
    with pytest.raises(MerDataError, match=r"found \(9, .*expected \(\d+, one frame per word piece, "):
        aligned_predictor.predict_texts(["a"], [np.zeros((9, width))])


# --- tables ---


def test_the_table_has_every_score_and_the_answer(predictor, store):
    found = predictor.predict(store)
    table = found.to_frame()
    classes = ["negative", "neutral", "positive"]
    groups = [f"{prefix}_{name}" for prefix in ("p", "cf", "debiased") for name in classes]
    assert table.columns.tolist() == ["id", "predicted", *groups]
    np.testing.assert_array_equal(table[groups[6:]], found.debiased)
    assert table["predicted"].tolist() == found.predicted
    assert pd.Series(found.predicted).value_counts().to_dict() == {
        name: count for name, count in found.class_counts.items() if count
    }


def test_without_counterfactual_text_the_table_has_probabilities_alone(untrained_run, store):
    found = SentimentPredictor.load(untrained_run("model.maci=label")).predict(store)
    assert found.to_frame().columns.tolist() == ["id", "predicted", "p_negative", "p_neutral", "p_positive"]
    assert found.to_json()["utterances"][0]["counterfactual"] is None


# --- loading ---


def test_a_run_without_a_card_is_opened_with_its_store(home, own_run, store):
    expected = SentimentPredictor.load(own_run, tau=0.3).predict(store)
    (own_run / "model.json").unlink()
    (own_run / "tokenizer.json").unlink()
    found = SentimentPredictor.load(own_run, tau=0.3).predict(store)
    np.testing.assert_allclose(found.debiased, expected.debiased, **CLOSE)


def test_without_card_and_store_it_is_told_what_is_needed(own_run, without_data):
    (own_run / "model.json").unlink()
    with pytest.raises(
        RunError,
        match=r"no model.json, and the store it was trained on cannot be opened: the store that .* is gone",
    ):
        SentimentPredictor.load(own_run)


def test_what_is_no_run_is_told(own_run, tmp_path):
    with pytest.raises(RunError, match=r"no training run in .*Make one with `cider train RECIPE`"):
        SentimentPredictor.load(tmp_path / "nothing")
    shutil.rmtree(own_run / "checkpoints")
    with pytest.raises(RunError, match="the run has no checkpoint"):
        cider.load(own_run, tau=0.0)


def test_the_package_is_light_and_has_no_other_names():
    code = "import sys, cider; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    with pytest.raises(ImportError, match="cannot import name 'Unknown'"):
        from cider import Unknown  # noqa: F401
