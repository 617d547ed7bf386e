import time

import pytest
import torch

from cider.profiling.parts import (
    BACKWARD,
    ENCODER_BACKWARD,
    LOADING,
    LOSSES,
    MISSING,
    MODEL_PARTS,
    OPTIMISER,
    PartTimer,
    Span,
    parts_of,
    timed_parts,
)
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training import losses as objectives
from cider.training import step as training_step
from cider.training import trainer as training
from cider.training import two_step
from cider.training.trainer import Trainer
from mer_data.torch_data.batches import load_batches


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


@pytest.fixture
def trainer(home, make_recipe, tmp_path):
    return Trainer(Experiment.open(make_recipe()), RunFolder(tmp_path / "run"), resumable=False)


def batches_of(trainer):
    experiment = trainer._experiment
    return training.load_batches(experiment.store, experiment.rows["train"], [[0, 1, 2, 3], [4, 5, 6, 7]])


def weights_after_two_steps(trainer):
    torch.manual_seed(0)
    trainer.model.train()
    losses = [trainer.train_step(batch) for batch in batches_of(trainer)]
    return losses, {name: value.clone() for name, value in trainer.model.state_dict().items()}


# --- the timer ---


def test_seconds_of_a_part_add_up(clock):
    timer = PartTimer()
    for seconds in (1.0, 2.5):
        timer.start("a")
        clock.seconds += seconds
        timer.stop()
        clock.seconds += 10
    assert timer.seconds == {"a": 3.5}
    assert timer.spans == [Span("a", 0.0, 1.0), Span("a", 11.0, 13.5)]


def test_a_part_inside_another_counts_for_the_outer_one(clock):
    timer = PartTimer()

    def inner():
        clock.seconds += 2

    def outer():
        clock.seconds += 1
        timer.wrap("inner", inner)()
        return "answer"

    assert timer.wrap("outer", outer)() == "answer"
    timer.wrap("inner", inner)()
    assert timer.seconds == {"outer": 3.0, "inner": 2.0}


def test_a_part_can_turn_into_another(clock):
    timer = PartTimer()
    timer.turn_into("nothing is open")
    timer.start("first")
    clock.seconds += 1
    timer.turn_into("second")
    clock.seconds += 4
    timer.stop()
    assert timer.seconds == {"first": 1.0, "second": 4.0}


def test_a_part_that_fails_is_left(clock):
    timer = PartTimer()
    with pytest.raises(ZeroDivisionError):
        timer.wrap("a", lambda: 1 / 0)()
    timer.wrap("b", lambda: None)()
    assert list(timer.seconds) == ["a", "b"]


# --- the parts of a step ---


def test_every_part_of_a_step_is_met(trainer):
    timer = PartTimer()
    with timed_parts(trainer.model, timer):
        weights_after_two_steps(trainer)
    met = {span.part for span in timer.spans}
    assert met == set(parts_of(trainer.model)) - {"other"}
    in_a_step = [span.part for span in timer.spans if span.part in (LOADING, OPTIMISER)]
    assert in_a_step == [LOADING, OPTIMISER, OPTIMISER] * 2 + [LOADING]
    order = [BACKWARD, ENCODER_BACKWARD, OPTIMISER] * 4
    assert [span.part for span in timer.spans if span.part in order] == order
    for before, after in zip(timer.spans, timer.spans[1:], strict=False):
        assert before.start <= before.end <= after.start


def test_the_parts_are_the_whole_model(trainer):
    named = {name for names in MODEL_PARTS.values() for name in names}
    with_parameters = {name.partition(".")[0] for name, _ in trainer.model.named_parameters()}
    assert with_parameters == named


def test_all_losses_and_draws_are_wrapped(trainer):
    before = dict(vars(objectives))
    with timed_parts(trainer.model, PartTimer()):
        wrapped = {name for name, value in vars(objectives).items() if value is not before[name]}
        assert {"classification", "reconstruction", "attention_divergence", "joint_distance"} <= wrapped
        assert training_step.draw.__wrapped__.__module__ == "mer_data.torch_data.missing"
        assert two_step.apply.__wrapped__.__module__ == "mer_data.torch_data.missing"
    assert {LOSSES, MISSING} <= set(parts_of(trainer.model))


def test_timing_changes_nothing_and_leaves_nothing_behind(home, make_recipe, tmp_path):
    first, second = (
        Trainer(Experiment.open(make_recipe()), RunFolder(tmp_path / "run"), resumable=False)
        for _ in range(2)
    )
    places = (training, training_step, two_step, objectives, torch.Tensor)
    before = [dict(vars(place)) for place in places]
    with timed_parts(second.model, PartTimer()):
        losses, weights = weights_after_two_steps(second)
    expected_losses, expected = weights_after_two_steps(first)
    assert losses == expected_losses
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert [dict(vars(place)) for place in places] == before
    assert training.load_batches is load_batches
    for module in second.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_nothing_is_left_behind_when_training_fails(trainer):
    timer = PartTimer()
    with pytest.raises(RuntimeError, match="out of luck"), timed_parts(trainer.model, timer):
        raise RuntimeError("out of luck")
    weights_after_two_steps(trainer)
    assert timer.spans == []
