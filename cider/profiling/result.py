"""Result of a profile, as values and as lines for a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PaperRow:
    """The row of CIDer in paper Table VI, as published."""

    parameters_without_encoder: int = 247_946
    parameters_of_maci: int = 37_405
    device_memory_gib: float = 6.8
    seconds_per_epoch: float = 10.4
    machine: str = "CMU-MOSI, BERT base, NVIDIA Quadro RTX 8000"

    def cells(self) -> dict[str, str]:
        """Return its values by the line they belong to."""
        return {
            "Parameters without encoder": _number(self.parameters_without_encoder),
            "  of them MACI": _number(self.parameters_of_maci),
            "GPU memory, peak": f"{self.device_memory_gib} GiB",
            "Seconds per epoch": str(self.seconds_per_epoch),
        }


PAPER = PaperRow()


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters.

    Attributes:
        without_encoder: of the model without its text encoder, reconstruction heads included.
        encoder: of the text encoder.
        maci: of the causal head, part of ``without_encoder``; 0 where label debiasing is off.
    """

    without_encoder: int
    encoder: int
    maci: int


@dataclass(frozen=True)
class Memory:
    """Bytes; None where there is no such thing, or the system does not report it.

    Attributes:
        host_before: main memory before the first step: libraries, model, optimiser, validation fold.
        host_peak: most main memory, over steps, validation and saving the weights.
        device_peak: most GPU memory that tensors took.
    """

    host_before: int | None
    host_peak: int | None
    device_peak: int | None


@dataclass(frozen=True)
class Seconds:
    """Seconds of wall-clock time, means over the steps.

    Attributes:
        step: a step with its data loading, nothing else timed.
        timed_step: a step with every part timed; another batch, on a machine that may have been busier.
        complete_view: its part before the first optimiser step, without data loading. This and the two below
            are shares of ``timed_step``, in seconds of ``step``. None where a step has no such view: that is
            CIDer's own.
        incomplete_view: its part before the last optimiser step.
        optimiser: all optimiser steps.
        validation: of the whole validation fold, as an epoch does it.
        epoch: steps per epoch times ``step``, plus validation: an extrapolation.
    """

    step: float
    timed_step: float
    complete_view: float | None
    incomplete_view: float
    optimiser: float
    validation: float
    epoch: float


@dataclass(frozen=True)
class Profile:
    """Costs of training by a recipe.

    Attributes:
        recipe: its name.
        model: name of its model.
        text_encoder: its text encoder.
        batch_size: utterances per batch.
        precision: "no" is float32.
        device: processor or GPU.
        threads: of torch.
        steps: steps that were timed plainly, and again with every part timed.
        steps_per_epoch: batches of the training fold.
        parameters: counts.
        memory: bytes.
        seconds: times.
        shares: share of the time of each part, in [0, 1], from the steps with every part timed.
    """

    recipe: str
    model: str
    text_encoder: str
    batch_size: int
    precision: str
    device: str
    threads: int
    steps: int
    steps_per_epoch: int
    parameters: Parameters
    memory: Memory
    seconds: Seconds
    shares: dict[str, float]

    @property
    def paper(self) -> PaperRow | None:
        """The published row of CIDer; None for others, whose rows are in recipes/tables."""
        return PAPER if self.model == "cider" else None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with the paper's row."""
        return {**asdict(self), "paper_table_vi": None if self.paper is None else asdict(self.paper)}

    def lines(self) -> list[str]:
        """Tables for a person."""
        parameters, memory, seconds, paper = self.parameters, self.memory, self.seconds, self.paper
        precision = "float32" if self.precision == "no" else self.precision
        rows = {
            "Parameters without encoder": _number(parameters.without_encoder),
            "  of them MACI": _number(parameters.maci),
            "Parameters of the encoder": _number(parameters.encoder),
            "GPU memory, peak": _gib(memory.device_peak),
            "Main memory, peak": _gib(memory.host_peak),
            "  before the first step": _gib(memory.host_before),
            "Seconds per epoch": f"{seconds.epoch:.4g}",
            "  of them validation": f"{seconds.validation:.4g}",
            "Seconds per step": f"{seconds.step:.4g}",
            "  complete view": "" if seconds.complete_view is None else f"{seconds.complete_view:.4g}",
            "  incomplete view": f"{seconds.incomplete_view:.4g}",
            "  optimiser": f"{seconds.optimiser:.4g}",
        }
        beside = {} if paper is None else paper.cells()
        heading = ("", "here", "paper" if paper else "")
        published = f" Paper (Table VI, as published): {paper.machine}." if paper else ""
        empty = "-" if beside else ""
        return [
            f"{self.recipe}: text encoder {self.text_encoder}, batches of {self.batch_size}, {precision}.",
            f"Here: {self.device}, {self.threads} torch threads.{published}",
            "",
            *_columns(
                [heading, *((name, here, beside.get(name, empty)) for name, here in rows.items() if here)]
            ),
            "",
            "Share of the time of a step",
            *_columns([(name, f"{share:.1%}", "") for name, share in self.shares.items()]),
            "",
            f"An epoch is {self.steps_per_epoch} times the mean of {self.steps} measured steps, and one"
            " validation.",
            f"The shares are from steps of their own, which took {seconds.timed_step:.4g} s with every part"
            " timed.",
        ]


def _columns(rows: list[tuple[str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{name:<{widths[0]}}  {here:>{widths[1]}}  {paper:>{widths[2]}}".rstrip()
        for name, here, paper in rows
    ]


def _number(value: int) -> str:
    return f"{value:,}"


def _gib(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**30:.2f} GiB"
