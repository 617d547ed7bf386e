"""``kill -9`` at any moment of a command, then the same command again: nothing is lost, nothing is made up.

Every command is killed at moments spread over its whole duration, and repeated until it ends by itself. What
it leaves must be what a command leaves that nothing stopped.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import optuna
import pyarrow.parquet as pq
import pytest

from cider.recipe.schema import load_recipe
from cider.runs.verify import verify_run
from mer_data.files.writing import sha256_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals are of Unix"),
]
RECIPE = """
name: tiny
data: {dataset: sample, alignment: unaligned, split: standard}
model: {text_encoder: tiny, layers: 1, width: 8, heads: 2}
training: {batch_size: 8, max_epochs: 6, patience: 6, mixed_precision: 'no', encoder_learning_rate: 0.001}
evaluation: {rates: [0, 0.25, 0.5, 0.75, 1], resamples: 100}
"""
KILLS = {"train": 15, "resume": 10, "tune": 15, "evaluate": 20}


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "cider", *map(str, words)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder, *words):
    """Run a command to its end; its seconds."""
    started = time.monotonic()
    with start(folder, *words) as process:
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return time.monotonic() - started


def kill(folder, *words, after):
    """Whether the command was killed after so many seconds; otherwise it had ended well before."""
    with start(folder, *words) as process:
        try:
            output, _ = process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
    assert process.returncode == 0, output
    return False


def moments(seconds, number, seed):
    """Moments spread over a duration, each at random in its share, after the start of Python."""
    generator = random.Random(seed)
    begin = 0.4 * seconds
    return [begin + (seconds - begin) * (n + generator.random()) / number for n in range(number)]


def hidden(folder):
    return list(folder.rglob(".*"))


@pytest.fixture
def work(home, tmp_path):
    (tmp_path / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    assert load_recipe(tmp_path / "tiny.yaml").name == "tiny"
    return tmp_path


@pytest.fixture
def whole(work):
    """A training that nothing stopped, and its seconds."""
    return work / "whole", run(work, "train", "tiny.yaml", "--out", "whole")


def outcome(folder):
    log = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    lines = [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in log]
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return sha256_file(folder / "checkpoints" / "best.safetensors"), lines, result


@pytest.mark.parametrize("command", ["train", "resume"])
def test_a_killed_training_ends_like_a_whole_one(work, whole, command):
    folder, seconds = whole
    killed = 0
    for number, after in enumerate(moments(seconds, KILLS[command], seed=command)):
        name = f"{command}{number}"
        first = ("train", "tiny.yaml", "--out", name)
        killed += kill(work, *first, after=after)
        if command == "resume" and list((work / name).glob("checkpoints/epoch-*")):
            killed += kill(work, "train", "--resume", name, after=0.8 * seconds)
            run(work, "train", "--resume", name)
        else:
            with start(work, *first) as process:
                output, _ = process.communicate(timeout=600)
            if process.returncode:  # killed before the provenance was written: it says what to do
                assert "--force" in output
                run(work, *first, "--force")
        assert outcome(work / name) == outcome(folder)
        assert verify_run(work / name).problems == ()
        assert hidden(work / name) == []
    assert killed >= KILLS[command] // 2


def test_a_killed_evaluation_ends_like_a_whole_one(work, whole):
    folder, _ = whole
    words = ("evaluate", "whole", "--json")
    seconds = run(work, *words)
    tables = sorted((folder / "predictions").glob("*.parquet"))
    expected = {path: pq.read_table(path) for path in tables}
    metrics = (folder / "reports" / "rmfm-mask0" / "metrics.json").read_bytes()
    killed = 0
    for number, after in enumerate(moments(seconds, KILLS["evaluate"], seed="evaluate")):
        for path in [*tables, folder / "reports" / "rmfm-mask0" / "metrics.json"]:
            if number % 2 == 0 or path == tables[number % len(tables)]:
                path.unlink(missing_ok=True)
        killed += kill(work, *words, after=after)
        run(work, *words)
        for path, table in expected.items():
            assert pq.read_table(path).equals(table)
        assert (folder / "reports" / "rmfm-mask0" / "metrics.json").read_bytes() == metrics
        assert verify_run(folder).problems == ()
    assert hidden(folder) == []
    assert killed >= KILLS["evaluate"] // 2


def test_a_killed_study_has_as_many_trials_as_asked_for(work):
    words = ("tune", "tiny.yaml", "--trials", "3", "--set", "training.max_epochs=2")
    seconds = run(work, *words, "--out", "study-whole")
    killed = 0
    for number, after in enumerate(moments(seconds, KILLS["tune"], seed="tune")):
        name = f"study{number}"
        killed += kill(work, *words, "--out", name, after=after)
        run(work, *words, "--out", name)
        study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{work / name / 'study.db'}")
        states = [trial.state.name for trial in study.get_trials()]
        assert sum(state in ("COMPLETE", "PRUNED") for state in states) == 3
        assert "RUNNING" not in states
        assert (work / name / "best.yaml").is_file()
        assert list((work / name).glob(".trial-*")) == []
    assert killed >= KILLS["tune"] // 2
