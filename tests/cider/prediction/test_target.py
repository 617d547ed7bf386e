"""Testing a run on another corpus: what is found, what is refused, and what decides nothing."""

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from cider.evaluation.evaluate import EvaluationOverrides, compare_evaluated, evaluate_run
from cider.prediction.sentiment_predictor import SentimentPredictor
from cider.prediction.sweep import evaluated_statistics
from cider.prediction.target import Target, folder_name, open_target, saved_target
from cider.runs.experiment import Experiment
from cider.runs.folder import open_run
from cider.scoring.prediction_frame import COUNTERFACTUAL, FACTUAL, TRAINING_MEANS
from mer_data.errors import RunError, SplitError, StoreError, WorkspaceError
from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.workspace import Workspace

pytestmark = pytest.mark.usefixtures("quick_figures")

SECOND = Target("second")
NAME = "on-second.unaligned.standard"


@pytest.fixture
def training(two_corpora, own_run):
    return open_run(own_run)[1]


def store_of(home, alignment="unaligned"):
    return home / "second" / "store" / f"{alignment}.h5"


def set_attribute(path, name, value):
    with h5py.File(path, "r+") as file:
        file.attrs[name] = json.dumps(value)


def change_split(home, **changes):
    path = home / "second" / "splits" / "standard.json"
    replace(SplitManifest.load(path), **changes).save(path)


# --- what is measured ---


def test_a_run_is_tested_on_another_corpus(two_corpora, own_run):
    before = {path.name: path.stat().st_mtime_ns for path in (own_run / "predictions").iterdir()}
    own = evaluate_run(own_run, report_only=True)
    result = evaluate_run(own_run, on=SECOND)
    split = SplitManifest.load(two_corpora / "second" / "splits" / "standard.json")
    assert sorted(result.measured.predictions.test.ids) == list(split.splits["test"])
    assert result.target == NAME
    assert result.report == own_run / "reports" / NAME / "rmfm-mask0"
    assert result.scores.tau == own.scores.tau
    assert result.measured.predictions.valid.ids == own.measured.predictions.valid.ids
    # Own predictions stay as they are: validation is shared, not made again.
    after = {p.name: p.stat().st_mtime_ns for p in (own_run / "predictions").iterdir() if p.name != NAME}
    assert after == before
    store = FeatureStore.open(store_of(two_corpora))
    belongs_to = json.loads((result.report / "metrics.json").read_text(encoding="utf-8"))["belongs_to"]
    provenance = json.loads((own_run / "provenance.json").read_text(encoding="utf-8"))
    assert (belongs_to["target_store"], belongs_to["target_split"]) == (store.content_digest, split.digest)
    assert (belongs_to["store"], belongs_to["split"]) == (
        provenance["store_digest"],
        provenance["split_digest"],
    )


def test_complete_data_is_what_the_run_predicts_for_that_store(two_corpora, own_run):
    found = evaluate_run(own_run, EvaluationOverrides(rates=(0.0,)), on=SECOND).measured.predictions.test
    expected = SentimentPredictor.load(own_run, tau=0).predict(store_of(two_corpora), found.ids)
    for text, table in ((FACTUAL, expected.factual), (COUNTERFACTUAL, expected.counterfactual)):
        np.testing.assert_allclose(found.views[text, TRAINING_MEANS][0], table, rtol=0, atol=1e-6)


def test_the_runs_own_split_as_a_target_gives_its_own_scores(two_corpora, own_run):
    own = evaluate_run(own_run, report_only=True)
    result = evaluate_run(own_run, on=Target("sample", split="standard"))
    assert result.report.parent.name == "on-sample.unaligned.standard"
    for table in ("strict", "without"):
        for name, values in getattr(own.scores, table).values.items():
            np.testing.assert_array_equal(getattr(result.scores, table).values[name], values)
    for name, values in own.scores.paper.table.values.items():
        np.testing.assert_array_equal(result.scores.paper.table.values[name], values)


def test_labels_of_the_target_decide_nothing_in_strict_and_the_means_in_paper(two_corpora, own_run):
    choices = EvaluationOverrides(rates=(0.0, 0.5))
    before = evaluate_run(own_run, choices, on=SECOND)
    with h5py.File(store_of(two_corpora), "r+") as file:
        file["utterances/label"][...] = np.roll(file["utterances/label"][()], 7)
    after = evaluate_run(own_run, choices, on=SECOND, force=True)
    assert after.scores.tau == before.scores.tau
    np.testing.assert_array_equal(after.scores.answers, before.scores.answers)
    views = [one.measured.predictions.test.views for one in (before, after)]
    for view in views[0]:
        assert np.array_equal(views[0][view], views[1][view]) == (view[1] == TRAINING_MEANS), view


def test_the_means_of_paper_are_those_of_the_evaluated_test_fold(training):
    target = open_target(SECOND, training).experiment
    found = evaluated_statistics(target, training.build_model().text_encoder)
    rows, store = target.rows["test"], target.store
    classes = np.sign(store.utterances["label"].to_numpy()[rows]) + 1
    np.testing.assert_array_equal(found.counts, np.bincount(classes.astype(int), minlength=3))
    frames = store.read(rows).streams["audio"]
    positive = [frames[at].mean(axis=0) for at in np.flatnonzero(classes == 2) if len(frames[at])]
    np.testing.assert_allclose(found.means["audio"][2], np.mean(positive, axis=0), rtol=1e-5)


def test_rows_are_served_no_longer_than_in_training(training, two_corpora):
    limits = {"text": 4, "audio": 3, "vision": 500}
    shorter = replace(training, store=training.store.limited(limits))
    store = open_target(SECOND, shorter).experiment.store
    assert store.limits == {"text": 4, "audio": 3, "vision": min(500, training.store.limits["vision"])}


# --- saved predictions ---


def test_a_sweep_goes_on_where_it_stopped(two_corpora, own_run, monkeypatch):
    evaluate_run(own_run, on=SECOND)
    tables = own_run / "predictions" / NAME
    assert sorted(path.name for path in tables.iterdir()) == [
        "complete.test.parquet", "nothing.test.parquet", "rmfm-rate0.5-mask0.test.parquet",
    ]  # fmt: skip
    first = {path.name: path.stat().st_mtime_ns for path in tables.iterdir()}
    (tables / "rmfm-rate0.5-mask0.test.parquet").unlink()
    done = []
    evaluate_run(own_run, on=SECOND, progress=lambda *told: done.append(told))
    assert done == [(1, 1)]
    monkeypatch.setattr(Experiment, "build_model", lambda self: pytest.fail("built"))
    evaluate_run(own_run, on=SECOND)
    assert (tables / "complete.test.parquet").stat().st_mtime_ns == first["complete.test.parquet"]


def test_a_changed_target_is_predicted_again(two_corpora, own_run):
    evaluate_run(own_run, EvaluationOverrides(rates=(0.0,)), on=SECOND)
    names = SplitManifest.load(two_corpora / "second" / "splits" / "standard.json").splits
    kept, moved = names["test"][:5], names["test"][5:]
    change_split(two_corpora, splits={**names, "test": kept, "valid": names["valid"] + moved})
    result = evaluate_run(own_run, EvaluationOverrides(rates=(0.0,)), on=SECOND)
    assert sorted(result.measured.predictions.test.ids) == list(kept)


def test_a_report_needs_neither_model_nor_data(two_corpora, own_run, monkeypatch, tmp_path):
    evaluate_run(own_run, on=SECOND)
    report = own_run / "reports" / NAME / "rmfm-mask0" / "metrics.json"
    expected = report.read_bytes()
    shutil.rmtree(own_run / "reports")
    shutil.rmtree(own_run / "checkpoints")
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nowhere"))
    for target in (
        SECOND,
        Target("second", "unaligned", "standard"),
        Target("second", split="x/standard.json"),
    ):
        assert evaluate_run(own_run, on=target, report_only=True).target == NAME
        assert report.read_bytes() == expected
    for target in (Target("third"), Target("second", "aligned")):
        with pytest.raises(RunError, match=rf"no predictions on {target.dataset} .*cider evaluate RUN --on"):
            evaluate_run(own_run, on=target, report_only=True)


def test_several_saved_targets_are_told_apart(tmp_path):
    for split in ("standard", "ood"):
        (tmp_path / "predictions" / folder_name("b", "unaligned", split)).mkdir(parents=True)
    assert saved_target(tmp_path, Target("b", None, "ood")) == "on-b.unaligned.ood"
    with pytest.raises(RunError, match=r"several stores or splits of b .*found on-b\.unaligned\.ood, on-b"):
        saved_target(tmp_path, Target("b"))


def test_names_of_folders_are_plain():
    assert folder_name("a/b", "v1.2", "x y*") == "on-a_b.v1_2.x_y_"
    assert folder_name("mosei", None, "casp") == "on-mosei.*.casp"


def test_runs_are_compared_on_a_target(two_corpora, own_run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(own_run, other)
    recipe = other / "recipe.yaml"
    for path in (own_run, other):
        evaluate_run(path, on=SECOND)
    with pytest.raises(RunError, match="are one run: their checkpoints are equal"):
        compare_evaluated([own_run, other], on=SECOND)
    shutil.rmtree(other / "predictions" / NAME)
    with pytest.raises(RunError, match=r"no predictions on second in .*other"):
        compare_evaluated([own_run, other], on=SECOND)
    assert recipe.is_file()


# --- what is refused ---


def test_the_store_is_the_one_called_as_the_runs_else_the_only_one(training, two_corpora):
    assert open_target(SECOND, training).name == NAME
    with pytest.raises(StoreError, match=r"another alignment .* found aligned, expected unaligned"):
        open_target(Target("second", "aligned"), training)
    store_of(two_corpora).rename(two_corpora / "second" / "store" / "mine.h5")
    with pytest.raises(WorkspaceError, match=r"found aligned, mine\. Choose one with --on-alignment NAME"):
        open_target(SECOND, training)
    store_of(two_corpora, "aligned").unlink()
    assert open_target(SECOND, training).name == "on-second.mine.standard"
    assert open_target(Target("second", "mine", "standard"), training).name == "on-second.mine.standard"


def test_the_split_is_the_only_one_or_named(training, two_corpora):
    splits = two_corpora / "second" / "splits"
    shutil.copy(splits / "standard.json", splits / "again.json")
    with pytest.raises(WorkspaceError, match=r"found again, standard\. Choose one with --on-split NAME"):
        open_target(SECOND, training)
    path = str(splits / "again.json")
    assert open_target(Target("second", split=path), training).name == "on-second.unaligned.again"
    with pytest.raises(WorkspaceError, match="no split 'other'"):
        open_target(Target("second", split="other"), training)
    with pytest.raises(WorkspaceError, match="no store of third"):
        open_target(Target("third"), training)


def test_a_split_of_another_task_is_refused(training, two_corpora):
    change_split(two_corpora, task="seven")
    with pytest.raises(SplitError, match=r"for another task .*Choose another with --on-split NAME"):
        open_target(SECOND, training)


def test_columns_of_other_names_are_refused(training, two_corpora):
    columns = training.store.attribute("columns")
    tone = columns["audio"]
    changed = {**columns, "audio": [tone[0], "pitch", *tone[2:]]}
    set_attribute(store_of(two_corpora), "columns", changed)
    message = f"audio columns have other names than in training: pitch in place of {tone[1]} in .*unaligned"
    with pytest.raises(StoreError, match=message):
        open_target(SECOND, training)
    set_attribute(store_of(two_corpora), "columns", {**columns, "audio": tone[::-1]})
    with pytest.raises(StoreError, match=f"{tone[-1]} in place of {tone[0]} and {len(tone) - 1} more"):
        open_target(SECOND, training)


def test_another_frame_rate_is_refused_where_it_is_known(training, two_corpora):
    own = dict.fromkeys(training.store.attribute("frame_rate_hz"), 10.0)
    training.store.close()
    set_attribute(training.store.path, "frame_rate_hz", own)
    set_attribute(store_of(two_corpora), "frame_rate_hz", {**own, "vision": 15.0})
    with pytest.raises(StoreError, match=r"another vision frame rate .*found 15 Hz, expected 10 Hz"):
        open_target(SECOND, training)
    set_attribute(store_of(two_corpora), "frame_rate_hz", {**own, "vision": None})
    assert open_target(SECOND, training).name == NAME


def test_an_empty_test_fold_is_refused(training, two_corpora):
    names = SplitManifest.load(two_corpora / "second" / "splits" / "standard.json").splits
    moved = {"train": names["train"] + names["test"], "valid": names["valid"], "test": ()}
    change_split(two_corpora, kind="cross_dataset", splits=moved)
    with pytest.raises(RunError, match=r"the test fold has no utterances in .*--on-split NAME"):
        open_target(SECOND, training)


@pytest.mark.parametrize(("fold", "told"), [("train", "trained"), ("valid", "validated")])
def test_utterances_that_the_run_knows_are_refused(training, fold, told):
    """Another split of the run's own corpus, whose test fold has utterances of training or validation."""
    splits = training.split.splits
    swapped = {**splits, "test": (splits[fold][0], *splits["test"][1:]), fold: splits[fold][1:]}
    path = Workspace("sample").split_path("leaking")
    replace(training.split, splits=swapped).save(path)
    message = (
        rf"the run was {told} on 1 of the {len(splits['test'])} utterances of this test fold"
        rf" in .*leaking\.json: found {splits[fold][0].replace('$', '.')}"
    )
    with pytest.raises(RunError, match=message):
        open_target(Target("sample", split="leaking"), training)


def test_equal_ids_of_another_corpus_are_no_leak(training, two_corpora):
    splits = SplitManifest.load(two_corpora / "second" / "splits" / "standard.json").splits
    change_split(two_corpora, splits={**splits, "train": splits["test"], "test": splits["train"]})
    target = open_target(SECOND, training).experiment
    assert len(set(training.split.splits["train"]) & set(target.split.splits["test"])) > 20
