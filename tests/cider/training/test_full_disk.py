"""A full disk is one line with the place and what is safe; with room again the same command goes on."""

import os
from contextlib import ExitStack, contextmanager

import pytest
from training_helpers import log_of

from cider.evaluation.evaluate import EvaluationOverrides, evaluate_run
from cider.runs.checkpoints import TrainingCheckpoints
from cider.runs.folder import RunFolder
from cider.runs.state import FolderState
from cider.training.many_runs import train_run
from cider.tuning.study import Tuning, state_of
from mer_data.errors import RunError, WriteError
from mer_data.files.writing import naming_full_disk, write_text

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the limit on file sizes is of Unix")
MODEL = 20_000
"""Bytes; the recipe and the log are smaller, the weights larger."""


def quiet(line):
    """Nobody listens."""


@contextmanager
def full_disk(limit=MODEL):
    """No file of this process becomes larger than ``limit`` bytes."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def partials(folder):
    return [path for path in folder.rglob("*") if path.name.endswith(".partial")]


def test_training_on_a_full_disk_is_one_line_and_goes_on(home, make_recipe, tmp_path):
    recipe, folder = make_recipe("training.max_epochs=2"), tmp_path / "run"
    with full_disk(), pytest.raises(WriteError) as info:
        train_run(recipe, folder, quiet)
    assert "\n" not in str(info.value)
    assert f"cannot write best.safetensors (File too large) in {folder / 'checkpoints'}" in str(info.value)
    assert "No epoch is complete yet: give the same command again to go on" in str(info.value)
    assert partials(folder) == []
    train_run(recipe, folder, quiet)
    other = train_run(recipe, tmp_path / "other", quiet).path
    assert RunFolder(folder).weights_digest() == RunFolder(other).weights_digest()
    assert log_of(folder) == log_of(other)


def test_complete_epochs_are_safe_on_a_full_disk(home, make_recipe, tmp_path):
    recipe, folder = make_recipe("training.max_epochs=3"), tmp_path / "run"
    with ExitStack() as full:

        def fill(step, total, text):
            if text.startswith("epoch 2") and step == 1:
                full.enter_context(full_disk())

        with pytest.raises(
            WriteError, match=r"cannot write .*safetensors .*Epochs 1 to 1 are safe: give the"
        ):
            train_run(recipe, folder, quiet, progress=fill)
    assert FolderState.read(folder).epoch == 1
    assert TrainingCheckpoints(folder / "checkpoints").newest().epoch == 1
    assert partials(folder) == []
    assert train_run(recipe, folder, quiet).how == "resumed"
    other = train_run(recipe, tmp_path / "other", quiet).path
    assert RunFolder(folder).weights_digest() == RunFolder(other).weights_digest()


def test_evaluating_on_a_full_disk_is_one_line_and_goes_on(home, own_run):
    choices = EvaluationOverrides(rates=(0.0, 0.25, 1.0))
    before = evaluate_run(own_run, report_only=True).scores.to_json()
    with full_disk(500), pytest.raises(WriteError, match=r"cannot write rmfm-.*parquet .File too large. in"):
        evaluate_run(own_run, choices)
    assert partials(own_run) == []
    evaluate_run(own_run, choices)
    assert evaluate_run(own_run, report_only=True).scores.to_json() == before


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_tuning_on_a_full_disk_is_one_line_and_goes_on(home, make_recipe, tmp_path, kind):
    storage = None if kind == "sqlite" else f"journal:{tmp_path / 'study.journal'}"

    def worker():
        return Tuning(make_recipe(), tmp_path / "study", name="tiny", storage=storage)

    worker().work(1, quiet)
    with pytest.raises((WriteError, RunError)) as info, full_disk():
        worker().work(2, quiet)
    assert "\n" not in str(info.value)
    assert "safe" in str(info.value)
    assert str(tmp_path) in str(info.value)
    assert list((tmp_path / "study").glob(".trial-*")) == []
    after = worker()
    after.work(2, quiet)
    assert [state_of(trial) for trial in after.study.get_trials()].count("complete") == 2


def test_a_journal_does_not_keep_half_a_line(home, make_recipe, tmp_path):
    path = tmp_path / "study.journal"
    worker = Tuning(make_recipe(), tmp_path / "study", name="tiny", storage=f"journal:{path}")
    with full_disk(path.stat().st_size + 30), pytest.raises(RunError, match=r"Make room there; the trials"):
        worker.work(1, quiet)
    assert path.read_bytes().endswith(b"}\n")
    Tuning(make_recipe(), tmp_path / "study", name="tiny", storage=f"journal:{path}").work(1, quiet)


def test_other_errors_are_not_a_full_disk(tmp_path):
    with pytest.raises(PermissionError), naming_full_disk(tmp_path / "file"):
        raise PermissionError(13, "no")
    with (
        full_disk(10),
        pytest.raises(WriteError, match=rf"cannot write file .* in {tmp_path}: |Make room there"),
    ):
        write_text(tmp_path / "file", "more than ten characters")
    assert list(tmp_path.iterdir()) == []
