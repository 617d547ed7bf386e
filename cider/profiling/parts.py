"""Seconds per part of a training step.

Training marks its own parts (`cider.training.step_parts`). The parts of a model are its modules, marked by
hooks for as long as ``recorded_parts`` is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from cider.models.backbone_model import BackboneModel, SentimentModel
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

ENCODER_BACKWARD, OTHER = "backward of the encoder", "other"
BACKBONE, TEXT_ENCODER, HEAD = "backbone", "text encoder", "head"
#: Parts of the model, and the attributes of `CIDer` that they are.
MODEL_PARTS: dict[str, tuple[str, ...]] = {
    TEXT_ENCODER: ("text_encoder",),
    "projections": ("projections",),
    "word alignment": ("alignments",),
    "recurrences": ("recurrences",),
    "composite transformer": ("transformer",),
    "pooling and head": ("poolings", "joint_head", "head"),
    "reconstruction": ("reconstruction_heads",),
}


def parts_of(model: SentimentModel) -> tuple[str, ...]:
    """Return the names of the parts of a training step with ``model``, in order."""
    own = (TEXT_ENCODER, BACKBONE, HEAD) if isinstance(model, BackboneModel) else tuple(MODEL_PARTS)
    return (LOADING, MISSING, *own, LOSSES, BACKWARD, ENCODER_BACKWARD, OPTIMISER, OTHER)


@contextmanager
def recorded_parts(model: SentimentModel) -> Iterator[list[Span]]:
    """Record the parts of the steps that a `Trainer` takes with ``model``.

    Yields:
        Spans in order, none inside another; filled when the context ends.
    """
    spans: list[Span] = []
    entered: list[ExitStack] = []
    with ExitStack() as stack:
        for part, module in _modules(model):
            stack.callback(module.register_forward_pre_hook(partial(_enter, entered, part)).remove)
            stack.callback(module.register_forward_hook(partial(_leave, entered)).remove)
        stack.callback(model.text_encoder.register_forward_hook(_watch_gradient).remove)
        measured = stack.enter_context(record_spans(next(model.parameters()).device))
        yield spans
    spans += disjoint(measured)


def disjoint(spans: Iterable[Span]) -> list[Span]:
    """Return spans of which none is inside another: an inner part interrupts the outer one.

    The encoder's part of a backward pass is known by its beginning alone, an empty span, and lasts as long as
    the backward pass.
    """
    open_spans: list[Span] = []
    found: list[Span] = []

    def close(until: float) -> None:
        while open_spans and open_spans[-1].end <= until:
            ended = open_spans.pop()
            found.append(ended)
            if open_spans:  # the outer part goes on where the inner one ended
                open_spans[-1] = replace(open_spans[-1], start=ended.end)

    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        close(span.start)
        if open_spans:
            outer = open_spans[-1]
            found.append(replace(outer, end=span.start))
            if span.part == ENCODER_BACKWARD:
                open_spans[-1] = replace(span, end=outer.end)
                continue
        open_spans.append(span)
    close(float("inf"))
    return [span for span in found if span.start < span.end]


def seconds_by_part(spans: Sequence[Span]) -> dict[str, float]:
    """Add up the spans of each part."""
    seconds: dict[str, float] = {}
    for span in spans:
        seconds[span.part] = seconds.get(span.part, 0.0) + span.end - span.start
    return seconds


def _modules(model: SentimentModel) -> Iterator[tuple[str, nn.Module]]:
    """Modules that are called in a forward pass, each with its part."""
    if isinstance(model, BackboneModel):
        # Of the forward pass, what is neither text encoder nor head is the backbone's.
        yield from ((BACKBONE, model), (TEXT_ENCODER, model.text_encoder), (HEAD, model.head))
        return
    for part, attributes in MODEL_PARTS.items():
        for module in (getattr(model, name) for name in attributes):
            # A list of modules is not called itself; its members are.
            for one in module if isinstance(module, nn.ModuleList) else [module]:
                yield part, one


def _enter(entered: list[ExitStack], part: str, *_: Any) -> None:
    entered.append(ExitStack())
    entered[-1].enter_context(step_part(part))


def _leave(entered: list[ExitStack], *_: Any) -> None:
    entered.pop().close()


def _watch_gradient(_module: nn.Module, _inputs: Any, features: torch.Tensor) -> None:
    """Mark when the encoder's features have their gradient: the rest of the backward pass is its own."""

    def mark(_gradient: torch.Tensor) -> None:
        with step_part(ENCODER_BACKWARD):
            pass

    if features.requires_grad:
        features.register_hook(mark)
