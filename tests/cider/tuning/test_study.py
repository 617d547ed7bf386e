import os
import re
import subprocess
import sys
import time

import numpy as np
import optuna
import pandas as pd
import pytest
import torch

from cider.training.microbatches import MicroBatch
from cider.training.trainer import EpochRecord, TrainingResult
from cider.tuning import study as tuning
from cider.tuning.report import trials_table, write_tuning_report
from cider.tuning.space import search_space, with_values
from cider.tuning.study import Tuning, counted, state_of
from mer_data.errors import RecipeError, RunError
from mer_data.files.writing import process_mark
from mer_data.store.reader import FeatureStore


def quiet(line):
    """Nobody listens."""


@pytest.fixture
def make_tuning(home, make_recipe, tmp_path):
    """A worker of a study in a folder of this test's: ``make_tuning("model.width=16", name="other")``."""

    def make(*overrides, name="tiny", **options):
        return Tuning(make_recipe(*overrides), tmp_path / "study", name=name, **options)

    return make


@pytest.fixture
def fake_training(monkeypatch):
    """Every training has the scores of the function given, by number of the training and epoch."""

    def use(score, epochs=1):
        trained = []

        class Trainer:
            def __init__(self, experiment, run, *, resumable):
                assert not resumable
                self._number = len(trained)
                trained.append(experiment.recipe)

            def fit(self, *, on_epoch):
                scores = []
                for epoch in range(1, epochs + 1):
                    scores.append(score(self._number, epoch))
                    on_epoch(EpochRecord(epoch, 0.0, {}, {}, scores[-1]))
                return TrainingResult(scores.index(max(scores)) + 1, max(scores), epochs, "max_epochs")

        monkeypatch.setattr(tuning, "Trainer", Trainer)
        return trained

    return use


def better_and_better(number, epoch):
    return -1 / (number + 1) - 1 / epoch


def proposals(study):
    return [trial.params for trial in study.get_trials()]


# --- the space ---


def test_the_space_is_the_papers(make_recipe):
    space = search_space(make_recipe("model.width=32"))
    tenths = [round(0.1 * step, 1) for step in range(11)]
    expected = {
        "model.layers": [1, 2, 3, 4],
        "model.heads": [1, 2, 4, 8],
        "model.attention_dropout": tenths[:6],
        "model.embedding_dropout": tenths[:6],
        "model.output_dropout": tenths[:6],
        "loss.alpha_reconstruction": tenths,
        "loss.beta_attention": tenths,
        "loss.gamma_joint": tenths,
    }
    values = {}
    for key, one in space.items():
        if isinstance(one, optuna.distributions.CategoricalDistribution):
            values[key] = list(one.choices)
        else:
            steps = round((one.high - one.low) / one.step)
            values[key] = [round(one.low + index * one.step, 1) for index in range(steps + 1)]
    assert values == expected


def test_heads_divide_the_width_and_set_keys_are_not_searched(make_recipe):
    space = search_space(make_recipe("model.width=12"), fixed=["model.layers", "training.patience"])
    assert space["model.heads"].choices == (1, 2, 4)
    assert "model.layers" not in space
    with pytest.raises(RecipeError, match="every key of the search is set"):
        search_space(make_recipe(), fixed=search_space(make_recipe()))


def test_a_trials_values_are_those_of_the_recipe(make_recipe):
    recipe = with_values(make_recipe(), {"model.layers": 3, "loss.beta_attention": 0.1 + 0.2})
    assert (recipe.model.layers, recipe.loss.beta_attention) == (3, 0.3)
    assert recipe.model.width == 8


# --- the study ---


def test_a_resumed_study_counts_on_and_proposes_what_one_in_one_go_does(make_tuning, fake_training):
    fake_training(better_and_better)
    whole = make_tuning(name="whole", seed=5)
    whole.work(14, quiet)
    fake_training(better_and_better)
    make_tuning(name="parts", seed=5).work(12, quiet)
    parts = make_tuning(name="parts", seed=5)
    trained = fake_training(lambda number, epoch: better_and_better(number + 12, epoch))
    parts.work(14, quiet)
    assert len(trained) == 2
    assert proposals(parts.study) == proposals(whole.study)
    assert len({tuple(one.values()) for one in proposals(whole.study)}) > 10
    parts.work(14, quiet)
    assert len(trained) == 2


def test_bad_trials_are_pruned_by_epoch(make_tuning, fake_training):
    fake_training(lambda number, epoch: -1.0 if number < 5 else -2.0 + 0.01 * number, epochs=8)
    worker, lines = make_tuning(), []
    worker.work(7, lines.append)
    trials = worker.study.get_trials()
    assert [state_of(trial) for trial in trials] == ["complete"] * 5 + ["pruned"] * 2
    # The first epoch after the warm-up decides.
    assert [trial.last_step for trial in trials] == [8] * 5 + [tuning.WARMUP_EPOCHS + 1] * 2
    assert lines[0] == "Trial 0: validation loss 1.0000."
    assert lines[-1] == "Trial 6 was pruned after epoch 6 with validation loss 1.9400."


def test_a_trial_that_fails_is_recorded_and_the_others_go_on(make_tuning, fake_training):
    def score(number, epoch):
        if number == 1:
            raise RunError("the loss is not finite", found="nan")
        if number == 2:
            raise torch.cuda.OutOfMemoryError("out of\nmemory")
        return -1.0

    fake_training(score)
    worker, lines = make_tuning(), []
    worker.work(4, lines.append)
    table = trials_table(worker.study, worker.recipe).set_index("trial")
    assert list(table["state"]) == ["complete", "failed", "failed", "complete"]
    assert table["message"][1] == "the loss is not finite: found nan."
    assert table["message"][2] == "out of memory."
    assert lines[1] == "Trial 1 failed: the loss is not finite: found nan."
    assert list(worker.folder.glob(".trial-*")) == []


def test_what_stops_a_worker_does_not_count_and_is_repeated(make_tuning, fake_training):
    def stop(number, epoch):
        raise KeyboardInterrupt

    fake_training(stop)
    worker = make_tuning()
    with pytest.raises(KeyboardInterrupt):
        worker.work(2, quiet)
    fake_training(better_and_better)
    worker.work(2, quiet)
    assert [state_of(trial) for trial in worker.study.get_trials()] == ["interrupted", "complete", "complete"]


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_trials_of_killed_workers_are_closed_after_the_grace(make_tuning, fake_training, tmp_path, kind):
    fake_training(better_and_better)
    storage = None if kind == "sqlite" else f"journal:{tmp_path / 'study.journal'}"
    worker, lines = make_tuning(storage=storage), []
    killed, alive = worker.study.ask(), worker.study.ask()
    killed.set_user_attr("seen", time.time() - 1000)
    alive.set_user_attr("seen", time.time())
    for trial in (killed, alive):  # on another machine, so that only the signs tell
        trial.set_user_attr("worker", "elsewhere.1")
    left = worker.folder / ".trial-00000-abc"
    left.mkdir(parents=True)
    worker.work(3, lines.append)
    states = [state_of(trial) for trial in worker.study.get_trials()]
    assert states == ["interrupted", "running", "complete", "complete"]
    assert lines[0] == "Trial 0 was interrupted; another takes its place."
    assert not left.exists()


def test_a_killed_worker_of_this_machine_is_noticed_at_once(make_tuning, fake_training):
    fake_training(better_and_better)
    worker, lines = make_tuning(), []
    killed = worker.study.ask()
    dead = process_mark().rpartition(".")[0] + ".99999999"
    killed.set_user_attr("seen", time.time())
    killed.set_user_attr("worker", dead)
    left = worker.folder / f".trial-00000-{dead}-x1y2"
    other = worker.folder / f".trial-00007-{process_mark()}-x1y2"  # of a worker that runs
    for folder in (left, other):
        folder.mkdir(parents=True)
    worker.work(1, lines.append)
    assert lines[0] == "Trial 0 was interrupted; another takes its place."
    assert not left.exists()
    assert other.exists()


def test_a_worker_killed_before_it_marked_its_trial_is_noticed(make_tuning, fake_training, monkeypatch):
    """Its trial looks as if it ran; to count it would end the study with one too few."""
    monkeypatch.setattr("cider.tuning.study.MARK_S", 0.3)
    fake_training(better_and_better)
    worker, lines = make_tuning(), []
    worker.study.ask()
    worker.work(2, lines.append)
    states = [state_of(trial) for trial in worker.study.get_trials()]
    assert states == ["interrupted", "complete", "complete"]
    assert "Trial 0 was interrupted; another takes its place." in lines


def test_a_trial_says_that_it_goes_on(make_tuning, fake_training, monkeypatch):
    monkeypatch.setattr("cider.tuning.storage.BEAT_S", 0.01)
    seen = []

    def score(number, epoch):
        time.sleep(0.1)
        (trial,) = worker.study.get_trials()
        seen.append(trial.user_attrs["seen"])
        return -1.0

    fake_training(score, epochs=3)
    worker = make_tuning()
    worker.work(1, quiet)
    assert seen[0] < seen[1] < seen[2]


def test_a_trial_that_others_gave_up_is_left(make_tuning, fake_training):
    def score(number, epoch):
        if number == 0:
            worker.study.tell(0, state=optuna.trial.TrialState.FAIL)
        return -1.0

    fake_training(score)
    worker, lines = make_tuning(), []
    worker.work(1, lines.append)
    assert lines == [
        "Trial 0 gave no sign for too long; another worker has given it up.",
        "Trial 1: validation loss 1.0000.",
    ]


def test_a_place_that_another_worker_took_is_given_back(make_tuning, fake_training):
    trained = fake_training(better_and_better)
    worker = make_tuning()
    worker.study.ask()
    worker._run_trial(worker.study.ask(), 1, quiet)
    assert trained == []
    assert [state_of(trial) for trial in worker.study.get_trials()] == ["running", "surplus"]
    assert len(counted(worker.study)) == 1
    assert list(trials_table(worker.study, worker.recipe)["trial"]) == [0]


def test_no_trial_begins_after_the_timeout(make_tuning, fake_training):
    trained = fake_training(better_and_better)
    make_tuning().work(3, quiet, timeout=0.0)
    assert trained == []


@pytest.mark.parametrize(
    ("what", "overrides", "options"),
    [
        ("recipe", ["training.patience=3"], {}),
        ("recipe", [], {"fixed": ["model.layers"]}),
        ("store", ["data.alignment=aligned"], {}),
        ("split", ["data.split=ood_binary_seed0"], {}),
        ("seed", [], {"seed": 2}),
    ],
)
def test_a_study_of_something_else_is_refused(make_tuning, monkeypatch, what, overrides, options):
    if what != "recipe":  # a recipe names its store and split; here only what they hold has changed
        monkeypatch.setattr(tuning, "sha256_text", lambda text: "equal")
    make_tuning()
    with pytest.raises(RunError, match=f"study 'tiny' was started with another {what}"):
        make_tuning(*overrides, **options)
    make_tuning(*overrides, name="other", **options)


def test_a_study_of_another_program_is_refused(make_tuning):
    first = make_tuning()
    study = optuna.create_study(storage=first.storage, study_name="foreign", direction="maximize")
    study.tell(study.ask(), 0.0)
    with pytest.raises(RunError, match="expected a study made by `cider tune`"):
        make_tuning(name="foreign")


def test_a_launcher_is_refused(make_tuning, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match="not started by a launcher"):
        make_tuning()


# --- with real trainings ---


def test_the_test_fold_is_never_read_and_no_weights_stay(make_tuning, monkeypatch):
    read = set()
    original = FeatureStore.read

    def watched(self, rows, *args, **kwargs):
        read.update(int(row) for row in rows)
        return original(self, rows, *args, **kwargs)

    monkeypatch.setattr(FeatureStore, "read", watched)
    worker = make_tuning()
    worker.work(1, quiet)
    rows = worker._experiment.rows
    assert set(rows) == {"train", "valid"}
    assert read == {*rows["train"].tolist(), *rows["valid"].tolist()}
    report = write_tuning_report(worker.study, worker.recipe, worker.folder)
    assert report.states == {"complete": 1}
    files = {path.name for path in worker.folder.rglob("*")}
    assert files == {"best.yaml", "history.pdf", "history.png", "study.db", "trials.csv"}


def test_losses_that_are_not_finite_are_told(make_tuning, monkeypatch):
    monkeypatch.setattr(
        MicroBatch, "classification", lambda part, output: output.log_probabilities.sum() * np.nan
    )
    worker = make_tuning()
    worker.work(1, quiet)
    with pytest.raises(RunError, match=r"no complete trial in .*trials.csv: found 1 failed"):
        write_tuning_report(worker.study, worker.recipe, worker.folder)
    (message,) = pd.read_csv(worker.folder / "trials.csv")["message"]
    assert re.match("the [a-z ]*loss ", message), message
    assert "learning_rate" in message
    assert ".trial-" not in message


WORKER = """
import sys
from pathlib import Path
from cider.recipe.schema import load_recipe
from cider.tuning.study import Tuning
recipe, folder, start = map(Path, sys.argv[1:])
while not start.exists():
    pass
Tuning(load_recipe(recipe), folder, name="shared").work(5, print)
"""


@pytest.mark.slow
def test_two_processes_share_one_study(home, make_recipe, tmp_path):
    recipe, folder, start = tmp_path / "tiny.yaml", tmp_path / "study", tmp_path / "start"
    make_recipe().save(recipe)
    command = [sys.executable, "-c", WORKER, str(recipe), str(folder), str(start)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    start.touch()
    told = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    joined = Tuning(make_recipe(), folder, name="shared")
    assert [state_of(trial) for trial in counted(joined.study)] == ["complete"] * 5
    lines = [line for out, _ in told for line in out.splitlines()]
    assert len(lines) == 5
    assert all(out for out, _ in told)
    assert len(trials_table(joined.study, joined.recipe)) == 5
