import math
from mmap import mmap

import pytest
import torch

from cider.profiling import PAPER, measure
from cider.profiling.measure import _split, device_name, memory_now, peak_memory
from cider.profiling.parts import parts_of
from cider.runs.experiment import Experiment
from cider.training.step_parts import BACKWARD, LOADING, OPTIMISER, Span
from mer_data.errors import RecipeError


@pytest.fixture
def profile(home, make_recipe):
    return measure(make_recipe("training.mixed_precision='no'"), 1)


def test_counts_are_those_of_the_model(home, make_recipe, profile):
    model = Experiment.open(make_recipe()).build_model()
    sizes = {name: value.numel() for name, value in model.named_parameters()}
    encoder = sum(size for name, size in sizes.items() if name.startswith("text_encoder."))
    maci = sum(size for name, size in sizes.items() if name.startswith("head."))
    assert profile.parameters.encoder == encoder
    assert profile.parameters.maci == maci
    assert profile.parameters.without_encoder == sum(sizes.values()) - encoder


def test_without_maci_it_has_no_parameters(home, make_recipe):
    assert measure(make_recipe("model.maci=none"), 1).parameters.maci == 0


def test_parts_make_the_whole(profile, make_recipe):
    assert list(profile.shares) == list(parts_of(Experiment.open(make_recipe()).build_model()))
    assert sum(profile.shares.values()) == pytest.approx(1)
    assert min(profile.shares.values()) >= 0
    seconds = profile.seconds
    views = seconds.complete_view + seconds.incomplete_view + seconds.optimiser
    assert 0.5 * seconds.step < views < seconds.step
    assert seconds.epoch == pytest.approx(profile.steps_per_epoch * seconds.step + seconds.validation)


def test_the_steps_are_as_many_as_asked_for_at_most_those_of_an_epoch(home, make_recipe):
    recipe = make_recipe("training.batch_size=16")
    size = len(Experiment.open(recipe).rows["train"])
    steps = math.ceil(size / 16)
    for asked, done in ((2, 2), (100, steps)):
        profile = measure(recipe, asked)
        assert (profile.steps, profile.steps_per_epoch, profile.batch_size) == (done, steps, 16)


def test_parts_of_a_batch_that_does_not_fit_into_memory_are_one_step(home, make_recipe):
    profile = measure(make_recipe("training.gradient_accumulation=3"), 1)
    assert profile.steps == 1
    assert sum(profile.shares.values()) == pytest.approx(1)


def test_memory_is_told_where_the_system_does(profile):
    memory = profile.memory
    assert memory.device_peak is None or torch.cuda.is_available()
    assert 0 < memory.host_before <= memory.host_peak
    assert memory_now() <= peak_memory()


def test_memory_of_a_large_tensor_is_seen():
    before, size = memory_now(), 2**26
    with mmap(-1, size) as pages:  # never taken from what earlier tests freed
        kept = torch.frombuffer(pages, dtype=torch.uint8).fill_(1)
        assert memory_now() - before > 0.9 * size
        assert peak_memory() >= before + 0.9 * size
        del kept


def test_the_device_has_a_name():
    assert device_name("cpu").strip()


def test_the_caller_keeps_its_random_numbers(home, make_recipe):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    measure(make_recipe(), 1)
    assert torch.equal(torch.rand(3), expected)


def test_no_steps_are_no_measurement(home, make_recipe):
    with pytest.raises(RecipeError, match="found 0 steps, expected at least 1"):
        measure(make_recipe(), 0)


def test_a_view_ends_where_its_optimiser_step_begins():
    spans = [
        Span(LOADING, 0, 2),
        Span(BACKWARD, 3, 7),
        Span(OPTIMISER, 8, 9),
        Span(BACKWARD, 10, 14),
        Span(OPTIMISER, 15, 17),
    ]
    assert _split(spans) == [6, 6]


def test_the_paper_is_quoted_as_published():
    assert (PAPER.parameters_without_encoder, PAPER.parameters_of_maci) == (247_946, 37_405)
    assert (PAPER.device_memory_gib, PAPER.seconds_per_epoch) == (6.8, 10.4)


def test_a_person_reads_tables(profile):
    lines = profile.lines()
    text = "\n".join(lines)
    assert lines[0] == "tiny: text encoder tiny, batches of 32, float32."
    assert "NVIDIA Quadro RTX 8000" in lines[1]
    row = next(line for line in lines if line.startswith("Parameters without encoder"))
    assert row.split()[3:] == [f"{profile.parameters.without_encoder:,}", "247,946"]
    for part, share in profile.shares.items():
        assert any(line.split("  ")[0] == part and line.endswith(f"{share:.1%}") for line in lines)
    assert f"An epoch is {profile.steps_per_epoch} times the mean of 1 measured steps" in text
