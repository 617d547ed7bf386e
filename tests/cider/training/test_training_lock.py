import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from cider.training.lock import only_training
from cider.training.many_runs import resume_run, train_run
from mer_data.errors import RunError

HOLD = """
import sys, time
from pathlib import Path
from cider.training.distributed import Processes
from cider.training.lock import only_training

with only_training(Path(sys.argv[1]), Processes.launched()):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def recipe(home, make_recipe):
    return make_recipe("training.max_epochs=1")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_second_training_is_refused_and_a_killed_one_blocks_nothing(recipe, tmp_path):
    folder = tmp_path / "runs/one"
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=r"is training this run in .*one\. Wait for its end"):
            train_run(recipe, folder, force=True)
        assert not folder.exists()
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    train_run(recipe, folder, force=False)
    assert names(folder.parent) == ["one"]


def test_resuming_is_refused_too_and_leaves_the_run_as_it_is(recipe, tmp_path, own_run):
    (own_run / "result.json").unlink()
    before = names(own_run)
    lock = FileLock(own_run.parent / f".{own_run.name}.training")
    with lock, pytest.raises(RunError, match="another process is training this run"):
        resume_run(own_run, lambda line: None)
    assert names(own_run) == before


@pytest.mark.parametrize("name", [".", "../link"])
def test_another_name_of_the_folder_is_the_same_run(home, own_run, monkeypatch, name):
    (own_run / "result.json").unlink()
    (own_run.parent / "link").symlink_to(own_run)
    monkeypatch.chdir(own_run)
    before = names(own_run)
    with (
        FileLock(own_run.parent / f".{own_run.name}.training"),
        pytest.raises(RunError, match="another process is training this run"),
    ):
        resume_run(Path(name), lambda line: None)
    assert names(own_run) == before


def test_a_run_that_another_process_finished_meanwhile_is_kept(home, own_run, monkeypatch):
    result = own_run / "result.json"
    finished = result.read_bytes()
    result.unlink()

    @contextmanager
    def after_the_other(folder, processes):
        result.write_bytes(finished)
        with only_training(folder, processes):
            yield

    monkeypatch.setattr("cider.training.many_runs.only_training", after_the_other)
    before, lines = names(own_run), []
    run = resume_run(own_run, lines.append)
    assert (run.how, run.result.epochs) == ("kept", 4)
    assert lines == [f"{own_run} is finished already."]
    assert names(own_run) == sorted([*before, "result.json"])
    assert ".own_run.training" not in names(own_run.parent)


def test_runs_beside_each_other_do_not_meet(recipe, tmp_path):
    with FileLock(tmp_path / ".other.training"):
        train_run(recipe, tmp_path / "one", force=False)


def test_a_training_that_fails_gives_the_folder_back(recipe, tmp_path, monkeypatch):
    def fail(*_):
        raise RunError("broken")

    with monkeypatch.context() as patch:
        patch.setattr("cider.training.trainer.Trainer.fit", fail)
        with pytest.raises(RunError, match="broken"):
            train_run(recipe, tmp_path / "runs/one", force=False)
    assert names(tmp_path / "runs") == ["one"]
    train_run(recipe, tmp_path / "runs/one", force=True)
