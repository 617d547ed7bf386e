import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from training_helpers import FLOAT32, equal, files_of, fit, log_of, make_trainer, snapshot

from cider.runs.folder import RunFolder, open_run
from cider.training.state import check_conditions
from cider.training.trainer import EpochRecord, Trainer
from mer_data.errors import RunError

#: Dropout, an uneven last batch and a score that does not always improve.
OVERRIDES = (
    FLOAT32,
    "training.max_epochs=4",
    "training.batch_size=25",
    "selection.metric=acc3",
    "selection.rates=[0.5]",
)


class StopError(Exception):
    """What a study raises."""


def stop_after(epoch):
    def on_epoch(record):
        if record.epoch == epoch:
            raise StopError

    return on_epoch


def resume(folder):
    """Continue in new objects, as a new process does; the result, the log and the weights kept."""
    run, experiment = open_run(folder)
    trainer = Trainer(experiment, run)
    place = trainer.resume()
    result = trainer.fit()
    run.load_weights(trainer.model)
    return place, (result, log_of(folder), snapshot(trainer.model))


def assert_same(found, expected):
    assert found[:2] == expected[:2]
    assert equal(found[2], expected[2])


@pytest.fixture(scope="module")
def whole(tiny_home, make_recipe, tmp_path_factory):
    """A training that nothing stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_DATA_HOME", str(tiny_home))
        folder = tmp_path_factory.mktemp("whole") / "run"
        trainer, _, run = make_trainer(make_recipe(*OVERRIDES), folder)
        result = trainer.fit()
        last = snapshot(trainer.model)
        run.load_weights(trainer.model)
        return (result, log_of(folder), snapshot(trainer.model)), last


@pytest.fixture(scope="module")
def stopped_after_3(tiny_home, make_recipe, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_DATA_HOME", str(tiny_home))
        folder = tmp_path_factory.mktemp("stopped") / "run"
        trainer, _, _ = make_trainer(make_recipe(*OVERRIDES), folder)
        with pytest.raises(StopError):
            trainer.fit(on_epoch=stop_after(3))
    return folder


@pytest.fixture
def stopped(home, stopped_after_3, tmp_path):
    """A copy of a training that ended after its third epoch."""
    shutil.copytree(stopped_after_3, tmp_path / "stopped")
    return tmp_path / "stopped"


# --- the callback ---


def test_every_epoch_is_told_after_its_validation(home, make_recipe, tmp_path):
    trainer, _, run = make_trainer(make_recipe("training.max_epochs=2"), tmp_path / "run")
    told = []
    trainer.fit(on_epoch=told.append)
    assert all(isinstance(record, EpochRecord) for record in told)
    assert [dataclasses.asdict(record) for record in told] == run.read_log()
    assert [record.epoch for record in told] == [1, 2]
    assert told[0].score == -told[0].valid["loss"]


def test_what_the_callback_raises_ends_the_training_without_a_result(stopped, home):
    assert not RunFolder(stopped).result_path.exists()
    assert [epoch["epoch"] for epoch in log_of(stopped)] == [1, 2, 3]


def test_a_trainer_that_is_not_resumable_keeps_the_best_weights_alone(home, make_recipe, tmp_path):
    _, experiment, run = make_trainer(make_recipe("training.max_epochs=2"), tmp_path / "run")
    with pytest.raises(StopError):
        Trainer(experiment, run, resumable=False).fit(on_epoch=stop_after(2))
    assert [name for name in files_of(run.path) if name.startswith("checkpoints")] == [
        "checkpoints/best.safetensors"
    ]


# --- the same result ---


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_resumed_training_ends_like_one_that_nothing_stopped(home, make_recipe, tmp_path, whole, epoch):
    trainer, _, run = make_trainer(make_recipe(*OVERRIDES), tmp_path / "run")
    with pytest.raises(StopError):
        trainer.fit(on_epoch=stop_after(epoch))
    torch.manual_seed(77)  # the caller's random numbers play no part
    place, found = resume(run.path)
    assert place == (epoch, 0)
    assert_same(found, whole[0])
    left = [name for name in files_of(run.path) if name.startswith("checkpoints")]
    assert left == ["checkpoints/best.safetensors"]


def test_the_weights_of_the_last_epoch_are_the_same_too(stopped, whole):
    run, experiment = open_run(stopped)
    trainer = Trainer(experiment, run)
    trainer.resume()
    trainer.fit()
    assert equal(snapshot(trainer.model), whole[1])


def test_a_training_can_be_resumed_again_and_again(home, make_recipe, tmp_path, whole):
    trainer, _, run = make_trainer(make_recipe(*OVERRIDES), tmp_path / "run")
    for epoch in (1, 2):
        with pytest.raises(StopError):
            trainer.fit(on_epoch=stop_after(epoch))
        trainer = Trainer(open_run(run.path)[1], run)
        assert trainer.resume() == (epoch, 0)
    trainer.fit()
    assert log_of(run.path) == whole[0][1]


def test_in_bf16_too(home, make_recipe, tmp_path):
    recipe = make_recipe("training.mixed_precision=bf16", "training.max_epochs=2")
    expected = fit(recipe, tmp_path / "whole")
    trainer, _, run = make_trainer(recipe, tmp_path / "run")
    with pytest.raises(StopError):
        trainer.fit(on_epoch=stop_after(1))
    assert_same(resume(run.path)[1], expected)


def test_worker_processes_that_read_change_nothing(home, make_recipe, tmp_path, whole):
    trainer, _, run = make_trainer(make_recipe(*OVERRIDES, "training.num_workers=1"), tmp_path / "run")
    with pytest.raises(StopError):
        trainer.fit(on_epoch=stop_after(2))
    assert_same(resume(run.path)[1], whole[0])


def test_a_killed_process_is_resumed_with_the_same_result(home, make_recipe, tmp_path, whole):
    recipe, folder = make_recipe(*OVERRIDES), tmp_path / "run"
    recipe.save(tmp_path / "tiny.yaml")
    command = [sys.executable, "-m", "cider", "train", tmp_path / "tiny.yaml", "--out", folder]
    with subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while not (folder / "checkpoints" / "epoch-0001").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.002)
        time.sleep(0.02)  # into the next epoch
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    (epoch, _), found = resume(folder)
    assert 1 <= epoch < 4
    assert_same(found, whole[0])


# --- what a kill can leave ---


def test_log_lines_of_later_epochs_are_dropped(stopped, whole):
    with (stopped / "metrics.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"epoch": 4, "score": 0.9}\n{"epoch": 5, "sc')
    assert [epoch["epoch"] for epoch in RunFolder(stopped).read_log()] == [1, 2, 3, 4]
    place, found = resume(stopped)
    assert place == (3, 2)
    assert_same(found, whole[0])


def test_best_weights_of_a_later_epoch_are_taken_back(stopped, whole):
    best = stopped / "checkpoints" / "best.safetensors"
    best.write_bytes(b"of an epoch whose checkpoint was not written")
    assert_same(resume(stopped)[1], whole[0])


def test_a_damaged_checkpoint_costs_one_epoch(stopped, whole, caplog):
    weights = stopped / "checkpoints" / "epoch-0003" / "optimiser.safetensors"
    os.truncate(weights, 1000)
    place, found = resume(stopped)
    assert place == (2, 1)
    assert "Skipped a checkpoint: damaged checkpoint" in caplog.text
    assert_same(found, whole[0])


def test_without_a_score_so_far_there_are_no_best_weights(home, make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe("training.max_epochs=3", "selection.metric=acc3")
    script = iter([float("nan"), float("nan"), 0.5])
    monkeypatch.setattr("cider.training.validation.scores", lambda *_: {"acc3": next(script)})
    trainer, _, run = make_trainer(recipe, tmp_path / "run")
    with pytest.raises(StopError):
        trainer.fit(on_epoch=stop_after(2))
    run.checkpoint_path.write_bytes(b"of the third epoch")
    (place, (result, *_)) = resume(run.path)
    assert place == (2, 0)
    assert (result.best_epoch, result.best_score) == (3, 0.5)


# --- what cannot be resumed ---


def test_a_log_that_is_too_short_is_an_error(stopped):
    (stopped / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(RunError, match=r"the log is shorter .*found 1 epochs, expected at least 3"):
        resume(stopped)


def test_no_whole_checkpoint_is_an_error(stopped):
    for folder in (stopped / "checkpoints").glob("epoch-*"):
        (folder / "state.json").unlink()
    with pytest.raises(RunError, match="no checkpoint is whole"):
        resume(stopped)


def test_another_precision_is_an_error(stopped, monkeypatch):
    monkeypatch.setattr("cider.training.trainer.choose_precision", lambda setting, device: "bf16")
    with pytest.raises(RunError, match=r"started with another precision in .*: found bf16, expected no"):
        resume(stopped)


@pytest.mark.parametrize(
    ("place", "value", "name"),
    [
        ("torch.get_num_threads", lambda: 7, "number of threads"),
        ("torch.backends.cpu.get_cpu_capability", lambda: "OTHER", "processor"),
    ],
)
def test_what_changes_the_last_digits_is_told_and_goes_on(stopped, monkeypatch, place, value, name):
    monkeypatch.setattr(place, value)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    run, experiment = open_run(stopped)
    lines = []
    assert Trainer(experiment, run).resume(lines.append)[0] == 3
    (line,) = lines
    assert line.startswith(f"Warning: {stopped} was started with another {name}: found {value()}, expected ")
    assert "its result may differ from that of a training that nothing stopped" in line


def test_checkpoints_that_know_less_are_resumed_in_silence(stopped):
    lines = []
    check_conditions({"device": "cpu"}, {"device": "cpu", "number of threads": 3}, stopped, lines.append)
    assert lines == []


def test_the_checkpoint_of_another_model_is_an_error(stopped, make_recipe, tmp_path):
    _, _, wider = make_trainer(make_recipe(*OVERRIDES, "model.width=16"), tmp_path / "wider")
    shutil.copytree(stopped / "checkpoints", wider.path / "checkpoints")
    with pytest.raises(RunError, match=r"the checkpoint is of another model than recipe\.yaml says"):
        resume(wider.path)
