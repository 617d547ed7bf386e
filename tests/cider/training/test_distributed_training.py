"""Two processes train one model (about two minutes; ``make test-slow``): really launched, over gloo."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from training_helpers import FLOAT32, fit, log_of

from cider.runs.folder import RunFolder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="torchrun over gloo is tested on POSIX alone"),
]

#: Trains ``argv[1]`` into ``argv[2]`` after changing what ``argv[3]`` names.
SCRIPT = """
import dataclasses, sys
from pathlib import Path
import torch
import cider.training.two_step
from cider.commands import main
from cider.training.distributed import Processes
from cider.training.trainer import Trainer
from mer_data.errors import StoreError
from mer_data.torch_data.missing import Positions, Removed

recipe, folder, change = sys.argv[1:]
rank, several = Processes.launched().rank, Processes.launched().world_size > 1
print(f"this is rank {rank}", file=sys.stderr, flush=True)
step, build = Trainer.train_step, Trainer.__init__

def without_dropout(trainer, *arguments):
    build(trainer, *arguments)
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

def same_positions(two_step, batch):
    # What is missing depends on the utterance alone, so that sharing a batch changes nothing but rounding.
    positions = Positions.of(batch, two_step._experiment.special)
    def lost(mask):
        place = torch.arange(mask.shape[1])[None] + batch.index[:, None]
        return mask & (place % 3 == 0)
    return Removed(lost(positions.pieces), lost(positions.audio), lost(positions.vision))

def poisoned(trainer, batch, *rest):
    rows = batch.index == int(change.partition("=")[2])
    audio = torch.where(rows[:, None, None] & batch.audio_mask[..., None], torch.nan, batch.audio)
    return step(trainer, dataclasses.replace(batch, audio=audio), *rest)

def broken(*arguments, **options):
    raise StoreError("damaged chunk")

if change == "same positions":
    cider.training.two_step.TwoStep._draw = same_positions
    Trainer.__init__ = without_dropout
elif change.startswith("poison="):
    Trainer.train_step = poisoned
elif change == "broken on rank 1" and rank == 1:
    Trainer.train_step = broken
main(["train", recipe, "--out", folder])
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


#: Without MPI ``--cpu`` starts one process; ``--multi_gpu`` takes the processor where there is no GPU.
ACCELERATE = (
    "accelerate.commands.launch --multi_gpu --num_machines 1 --mixed_precision no --dynamo_backend no"
)


def command(*words, processes=2, module=True, accelerate=False):
    target = ["-m", "cider"] if module else []
    if processes == 1:
        return [sys.executable, *target, *map(str, words)]
    if accelerate:
        options = [*ACCELERATE.split(), "--num_processes", str(processes)]
        return [sys.executable, "-m", *options, *target, *map(str, words)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, "--nproc_per_node", str(processes), *target, *map(str, words)]


def run(*words, timeout=180, **options):
    """Run to the end; a hang fails the test."""
    return subprocess.run(
        command(*words, **options),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture
def saved(make_recipe, tmp_path):
    """Save a recipe of the tiny workspace."""

    def save(*overrides):
        path = tmp_path / "tiny.yaml"
        make_recipe(*overrides).save(path)
        return path

    return save


def close(found, expected, tolerance):
    """Two logs, number by number."""
    assert [epoch["epoch"] for epoch in found] == [epoch["epoch"] for epoch in expected]
    for one, other in zip(found, expected, strict=True):
        for fold in ("train", "valid"):
            assert one[fold] == pytest.approx(other[fold], rel=tolerance, abs=tolerance)


def test_two_processes_train_as_one_within_noise(home, saved, make_recipe, tmp_path):
    overrides = ("training.max_epochs=6", "training.batch_size=16")
    result = run("train", saved(*overrides), "--out", tmp_path / "two", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["epochs"] == 6  # one process prints
    two = log_of(tmp_path / "two")
    assert [epoch["epoch"] for epoch in two] == [1, 2, 3, 4, 5, 6]  # and writes
    ones = [fit(make_recipe(*overrides, f"seed={1111 + n}"), tmp_path / f"one{n}")[1] for n in range(5)]
    for fold, name in (("valid", "loss"), ("train", "complete"), ("train", "incomplete")):
        losses = [log[-1][fold][name] for log in ones]
        assert abs(two[-1][fold][name] - np.mean(losses)) < 4 * np.std(losses, ddof=1) + 0.01
    # The order of the batches is the one of a single process, so the first losses are alike but for dropout.
    assert two[0]["train"]["complete"] == pytest.approx(ones[0][0]["train"]["complete"], rel=0.03)


@pytest.mark.parametrize("parts", [1, 2])
def test_without_chance_two_processes_are_one(home, saved, script, tmp_path, parts):
    # 60 training utterances: the last batch has one, for which the second process needs a stand-in.
    recipe = saved(
        FLOAT32,
        "model.attention_dropout=0",
        "training.max_epochs=3",
        "training.batch_size=59",
        f"training.gradient_accumulation={parts}",
        "selection.rates=[0, 0.5]",
    )
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        result = run(script, recipe, folder, "same positions", processes=processes, module=False)
        assert result.returncode == 0, result.stderr
    close(log_of(tmp_path / "2"), log_of(tmp_path / "1"), tolerance=2e-4)


def test_accelerate_launches_them_too(home, saved, script, tmp_path):
    recipe = saved(FLOAT32, "model.attention_dropout=0", "training.max_epochs=2", "training.batch_size=59")
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        options = {"processes": processes, "module": False, "accelerate": True}
        result = run(script, recipe, folder, "same positions", **options)
        assert result.returncode == 0, result.stderr
        assert all(f"this is rank {rank}" in result.stderr for rank in range(processes))
    close(log_of(tmp_path / "2"), log_of(tmp_path / "1"), tolerance=2e-4)


def test_a_loss_that_is_not_finite_on_one_process_stops_both(home, saved, script, tmp_path):
    from cider.recipe.schema import load_recipe
    from cider.runs.experiment import Experiment

    recipe = saved("training.batch_size=60")
    experiment = Experiment.open(load_recipe(recipe))
    frames = experiment.store.lengths("audio")
    row = next(row for row in experiment.rows["train"].tolist() if frames[row])
    result = run(script, recipe, tmp_path / "run", f"poison={row}", module=False)
    assert result.returncode != 0
    told = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    name = experiment.store.utterances["id"].iloc[row]
    assert len(told) == 1
    assert f"the loss is nan on a batch with the utterances {name} in" in told[0]
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_an_error_on_one_process_does_not_leave_the_other_waiting(home, saved, script, tmp_path):
    started = time.monotonic()
    result = run(script, saved(), tmp_path / "run", "broken on rank 1", module=False)
    assert result.returncode != 0
    assert "damaged chunk" in result.stderr
    assert time.monotonic() - started < 120


def test_a_taken_folder_is_told_once(home, saved, own_run):
    result = run("train", saved(), "--out", own_run)
    assert result.returncode != 0
    assert result.stderr.count("exists already. Pass --force") == 1


def test_a_killed_training_of_two_is_resumed_by_two(home, saved, make_recipe, tmp_path):
    recipe = saved("training.max_epochs=6", "training.batch_size=7")
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    assert run("train", recipe, "--out", whole).returncode == 0
    with subprocess.Popen(
        command("train", recipe, "--out", folder),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as launcher:
        while not (folder / "checkpoints" / "epoch-0002").exists():
            assert launcher.poll() is None
            time.sleep(0.002)
        for process in children(launcher.pid):
            os.kill(process, signal.SIGKILL)
        launcher.kill()
    assert not (folder / "result.json").exists()

    alone = run("train", "--resume", folder, processes=1)
    assert alone.returncode == 1
    assert "the run was started with another processes" not in alone.stderr
    assert "started with another number of processes" in alone.stderr

    result = run("train", "--resume", folder)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("continues after epoch") == 1
    assert log_of(folder) == log_of(whole)
    kept = [RunFolder(path).checkpoint_path.read_bytes() for path in (folder, whole)]
    assert kept[0] == kept[1]


def children(parent):
    """Processes that ``parent`` started, from the kernel."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found
