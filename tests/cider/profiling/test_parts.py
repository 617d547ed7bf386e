import itertools

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from cider.profiling.parts import (
    ENCODER_BACKWARD,
    MODEL_PARTS,
    disjoint,
    parts_of,
    recorded_parts,
    seconds_by_part,
)
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training.step_parts import (
    BACKWARD,
    LOADING,
    LOSSES,
    MISSING,
    OPTIMISER,
    Span,
    record_spans,
    step_part,
)
from cider.training.trainer import Trainer
from mer_data.torch_data.batches import load_batches


@pytest.fixture
def trainer(home, make_recipe, tmp_path):
    return make_trainer(make_recipe(), tmp_path)


def make_trainer(recipe, folder):
    return Trainer(Experiment.open(recipe), RunFolder(folder / "run"), resumable=False)


def weights_after_two_steps(trainer):
    torch.manual_seed(0)
    trainer.model.train()
    experiment = trainer._experiment
    batches = load_batches(experiment.store, experiment.rows["train"], [[0, 1, 2, 3], [4, 5, 6, 7]])
    losses = [trainer.train_step(batch) for batch in batches]
    return losses, {name: value.clone() for name, value in trainer.model.state_dict().items()}


# --- spans ---


def test_seconds_of_a_part_add_up():
    spans = [Span("a", 0.0, 1.0), Span("b", 1.0, 3.0), Span("a", 11.0, 13.5)]
    assert seconds_by_part(spans) == {"a": 3.5, "b": 2.0}


def test_a_part_inside_another_interrupts_it():
    spans = [Span("outer", 0, 10), Span("inner", 2, 3), Span("inner", 5, 7), Span("innermost", 5, 6)]
    found = disjoint(spans)
    assert [(span.part, span.start, span.end) for span in found] == [
        ("outer", 0, 2),
        ("inner", 2, 3),
        ("outer", 3, 5),
        ("innermost", 5, 6),
        ("inner", 6, 7),
        ("outer", 7, 10),
    ]
    assert disjoint(spans[::-1]) == found


def test_the_encoders_part_of_a_backward_pass_lasts_to_its_end():
    spans = [Span(BACKWARD, 0, 4), Span(ENCODER_BACKWARD, 3, 3.1), Span(OPTIMISER, 5, 6)]
    assert seconds_by_part(disjoint(spans)) == {BACKWARD: 3, ENCODER_BACKWARD: 1, OPTIMISER: 1}


def test_a_part_that_fails_is_left(trainer):
    with recorded_parts(trainer.model) as spans:
        with pytest.raises(ZeroDivisionError), step_part(LOSSES):
            1 / 0  # noqa: B018
        with step_part(OPTIMISER):
            pass
    assert [span.part for span in spans] == [LOSSES, OPTIMISER]


def test_parts_wait_for_a_gpu_at_both_ends(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    gpu = torch.device("cuda:0")
    with record_spans(torch.device("cpu")), step_part(LOSSES):
        assert waited == []
    with record_spans(gpu), step_part(LOSSES):
        assert waited == [gpu]
    assert waited == [gpu, gpu]
    with step_part(LOSSES):
        assert waited == [gpu, gpu]


def test_a_profiler_sees_the_parts():
    with profile(activities=[ProfilerActivity.CPU]) as seen, step_part(LOSSES):
        torch.ones(2)
    assert LOSSES in {event.name for event in seen.events()}


# --- the parts of a step ---


def test_every_part_of_a_step_is_met(trainer):
    with recorded_parts(trainer.model) as spans:
        trainer._train_epoch(None)
    assert {span.part for span in spans} == set(parts_of(trainer.model)) - {"other"}
    in_a_step = [span.part for span in spans if span.part in (LOADING, OPTIMISER)]
    steps = in_a_step.count(LOADING)
    assert steps > 1
    assert in_a_step == [LOADING, OPTIMISER, OPTIMISER] * steps
    order = [BACKWARD, ENCODER_BACKWARD, OPTIMISER]
    assert [span.part for span in spans if span.part in order] == order * 2 * steps
    for before, after in itertools.pairwise(spans):
        assert before.start < before.end <= after.start


def test_the_parts_are_the_whole_model(trainer):
    named = {name for names in MODEL_PARTS.values() for name in names}
    with_parameters = {name.partition(".")[0] for name, _ in trainer.model.named_parameters()}
    assert with_parameters == named
    assert {LOSSES, MISSING} <= set(parts_of(trainer.model))


def test_recording_changes_nothing_and_leaves_nothing_behind(home, make_recipe, tmp_path):
    first, second = (make_trainer(make_recipe(), tmp_path) for _ in range(2))
    with recorded_parts(second.model):
        losses, weights = weights_after_two_steps(second)
    expected_losses, expected = weights_after_two_steps(first)
    assert losses == expected_losses
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    for module in second.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_nothing_is_left_behind_when_training_fails(trainer):
    with pytest.raises(RuntimeError, match="out of luck"), recorded_parts(trainer.model) as spans:
        raise RuntimeError("out of luck")
    weights_after_two_steps(trainer)
    assert spans == []
    assert not any(module._forward_hooks for module in trainer.model.modules())
