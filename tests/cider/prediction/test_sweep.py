import json
import shutil

import numpy as np
import pytest

from cider.prediction import sweep as sweep_room
from cider.prediction.sweep import load_sweep, predict_sweep
from cider.runs.folder import RunFolder, open_run
from cider.scoring.conditions import SweepPlan
from cider.scoring.prediction_frame import COUNTERFACTUAL, EVALUATED_MEANS, FACTUAL, NO_MEANS, TRAINING_MEANS
from mer_data.errors import DamagedRunError, RunError
from mer_data.files.writing import sha256_file
from mer_data.statistics.integrity import json_digest
from mer_data.workspace import Workspace

PLAN = SweepPlan.from_settings("rmfm", (0.0, 0.5, 1.0), (0,))


@pytest.fixture
def opened(home, own_run):
    """A copy of a run without predictions, and its experiment."""
    shutil.rmtree(own_run / "predictions")
    return open_run(own_run)


def calls(run, experiment, plan, **options):
    """The sweep, and what was predicted for it."""
    told = []
    predictions = predict_sweep(run, experiment, plan, progress=lambda *step: told.append(step), **options)
    return predictions, told


def files(run):
    return {path.name: path.stat().st_mtime_ns for path in (run.path / "predictions").iterdir()}


def test_a_sweep_has_both_folds_views_and_means(opened):
    run, experiment = opened
    predictions, told = calls(run, experiment, PLAN)
    assert told == [(number, 6) for number in range(1, 7)]
    assert sorted(files(run)) == sorted(
        f"{name}.{fold}.parquet"
        for name in ("complete", "rmfm-rate0.5-mask0", "nothing")
        for fold in ("valid", "test")
    )
    assert set(predictions.valid.views) == {(FACTUAL, TRAINING_MEANS), (COUNTERFACTUAL, TRAINING_MEANS)}
    assert set(predictions.test.views) == {
        (text, means) for text in (FACTUAL, COUNTERFACTUAL) for means in (TRAINING_MEANS, EVALUATED_MEANS)
    }
    for fold, size in ((predictions.valid, 12), (predictions.test, 24)):
        for table in fold.views.values():
            assert table.shape == (3, size, 3)
            assert table.sum(axis=-1) == pytest.approx(np.ones((3, size)))
    truth = experiment.store.utterances.set_index("id").loc[predictions.test.ids]
    assert predictions.test.labels.tolist() == truth["label"].astype(float).tolist()
    assert predictions.test.videos == truth["video_id"].tolist()
    assert set(predictions.test.ids) == set(experiment.split.splits["test"])


def test_what_is_there_is_not_predicted_again(opened):
    run, experiment = opened
    first, _ = calls(run, experiment, PLAN)
    before = files(run)
    second, told = calls(run, experiment, PLAN)
    assert told == []
    assert files(run) == before
    for view, table in first.test.views.items():
        assert np.array_equal(second.test.views[view], table)
    _, told = calls(run, experiment, PLAN, force=True)
    assert len(told) == 6
    assert not set(files(run).items()) & set(before.items())


def test_an_interrupted_sweep_goes_on_where_it_stopped(opened):
    run, experiment = opened
    plan = SweepPlan.from_settings("rmfm", (0.0, 0.25, 0.5, 0.75), (0,))

    class InterruptError(Exception):
        pass

    def stop(done, total):
        if done == 5:
            raise InterruptError

    with pytest.raises(InterruptError):
        predict_sweep(run, experiment, plan, progress=stop)
    assert len(files(run)) == 5
    assert not [name for name in files(run) if not name.endswith(".parquet")]
    resumed, told = calls(run, experiment, plan)
    assert told == [(1, 3), (2, 3), (3, 3)]
    whole, _ = calls(run, experiment, plan, force=True)
    for view, table in whole.test.views.items():
        assert resumed.test.views[view] == pytest.approx(table, abs=1e-6)


def test_both_ends_are_shared_by_patterns_and_seeds(opened):
    run, experiment = opened
    calls(run, experiment, PLAN)
    _, told = calls(run, experiment, SweepPlan.from_settings("rmm", (0.0, 0.5, 1.0), (0, 3)))
    assert len(told) == 2 * 2  # rate 0.5 of two seeds in two folds
    _, told = calls(run, experiment, SweepPlan.from_settings("smm", (), (0,)))
    assert len(told) == 6 * 2


def test_predictions_of_something_else_are_made_again(opened, monkeypatch):
    run, experiment = opened
    (run.path / "digests.json").unlink(missing_ok=True)
    calls(run, experiment, PLAN)
    # Another checkpoint.
    model = experiment.build_model()
    run.load_weights(model)
    model.head.classifiers[0].bias.data += 1
    run.save_weights(model)
    changed, told = calls(run, experiment, PLAN)
    assert len(told) == 6
    assert changed.identity["checkpoint"] == sha256_file(run.checkpoint_path)
    # Another precision; then a table that is gone.
    assert len(calls(run, experiment, PLAN, precision="bf16")[1]) == 6
    assert len(calls(run, experiment, PLAN)[1]) == 6
    (run.path / "predictions" / "complete.valid.parquet").unlink()
    assert len(calls(run, experiment, PLAN)[1]) == 1
    # Another scheme of masks.
    monkeypatch.setattr(sweep_room, "SCHEME", "other")
    assert len(calls(run, experiment, PLAN)[1]) == 6


def test_a_damaged_table_is_told_and_made_again_when_asked(opened):
    run, experiment = opened
    calls(run, experiment, PLAN)
    (run.path / "predictions" / "nothing.test.parquet").write_bytes(b"PAR1")
    with pytest.raises(DamagedRunError, match=r"damaged predictions .*nothing.test.parquet.*--force"):
        predict_sweep(run, experiment, PLAN)
    assert len(calls(run, experiment, PLAN, force=True)[1]) == 6
    assert calls(run, experiment, PLAN)[1] == []


def test_another_vocabulary_is_something_else(own_home, own_run):
    provenance = own_run / "provenance.json"  # a run from before digests of the vocabulary were recorded
    recorded = json.loads(provenance.read_text(encoding="utf-8"))
    provenance.write_text(json.dumps({**recorded, "vocabulary_digest": None}), encoding="utf-8")
    (own_run / "digests.json").unlink()
    run, experiment = open_run(own_run)
    assert calls(run, experiment, PLAN)[1] == []
    path = Workspace("sample").vocabulary_path(experiment.store.path, experiment.split_path, "binary")
    path = path.with_suffix(".json")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["tokens"] = content["tokens"][:5]
    content["content_digest"] = json_digest(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    assert experiment.kept_token_ids().tolist() != []
    assert len(calls(run, experiment, PLAN)[1]) == 6


@pytest.mark.parametrize("maci", ["none", "label", "language"])
def test_views_follow_the_halves_of_causal_inference(home, make_recipe, tmp_path, maci):
    from cider.runs.experiment import Experiment
    from cider.training.trainer import Trainer

    experiment, run = Experiment.open(make_recipe(f"model.maci={maci}")), RunFolder(tmp_path / "run")
    run.start(experiment)
    run.save_weights(Trainer(experiment, run).model)
    views = set(predict_sweep(run, experiment, SweepPlan.from_settings("rmfm", (0.0,), (0,))).test.views)
    assert (
        views
        == {
            "none": {(FACTUAL, NO_MEANS)},
            "label": {(FACTUAL, TRAINING_MEANS), (FACTUAL, EVALUATED_MEANS)},
            "language": {(FACTUAL, NO_MEANS), (COUNTERFACTUAL, NO_MEANS)},
        }[maci]
    )
    assert (
        load_sweep(run, SweepPlan.from_settings("rmfm", (0.0,), (0,)))
        .identity["vocabulary"]
        .startswith("sha256:" if maci == "language" else "none")
    )


def test_a_pattern_that_does_not_fit_is_told_before_the_model_is_built(opened, monkeypatch):
    run, experiment = opened
    monkeypatch.setattr(type(experiment), "build_model", lambda self: pytest.fail("built"))
    with pytest.raises(RunError, match="the missing pattern stmfm needs aligned data"):
        predict_sweep(run, experiment, SweepPlan.from_settings("stmfm", (0.5,), (0,)))


# --- without the model ---


def test_predictions_are_loaded_without_model_and_data(own_run, home, monkeypatch, tmp_path):
    run, experiment = open_run(own_run)
    expected = predict_sweep(run, experiment, PLAN)
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nowhere"))
    for without_checkpoint in (False, True):
        if without_checkpoint:
            shutil.rmtree(own_run / "checkpoints")
        loaded = load_sweep(run, PLAN)
        assert loaded.identity == expected.identity
        for view, table in expected.test.views.items():
            assert np.array_equal(loaded.test.views[view], table)


def test_loading_refuses_what_does_not_belong_to_the_run(own_run, tmp_path):
    run = RunFolder(own_run)
    with pytest.raises(RunError, match=r"no predictions of valid for rmm at missing rate 0\.5, mask seed 0"):
        load_sweep(run, SweepPlan.from_settings("rmm", (0.5,), (0,)))
    with pytest.raises(RunError, match=r"belong to another precision .*found float32, expected bf16"):
        load_sweep(run, PLAN, precision="bf16")
    run.checkpoint_path.write_bytes(b"another")
    with pytest.raises(DamagedRunError, match=r"not as training left it in .*best\.safetensors"):
        load_sweep(run, PLAN)
    (own_run / "digests.json").unlink()
    with pytest.raises(RunError, match="belong to another checkpoint"):
        load_sweep(run, PLAN)
    run.recipe_path.write_text(run.recipe_path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(RunError, match="trained on another recipe"):
        load_sweep(run, PLAN)
    with pytest.raises(RunError, match="no training run"):
        load_sweep(RunFolder(tmp_path), PLAN)
