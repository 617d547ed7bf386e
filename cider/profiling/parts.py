"""Seconds per part of a training step, taken from outside.

Nothing in the model or the trainer is written for it: modules get hooks, and the functions that a step calls
are wrapped, for as long as ``timed_parts`` is open.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from cider.models.backbone_model import BackboneModel, SentimentModel
from cider.training import losses as objectives
from cider.training import one_step, two_step
from cider.training import step as training_step
from cider.training import trainer as training
from mer_data.torch_data import missing
from mer_data.torch_data.batches import Batch, load_batches

LOADING, MISSING, LOSSES = "data loading", "missing patterns", "losses"
BACKWARD, ENCODER_BACKWARD = "backward", "backward of the encoder"
OPTIMISER, OTHER = "optimiser", "other"
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
    """Names of the parts of a training step with ``model``, in order."""
    own = (TEXT_ENCODER, BACKBONE, HEAD) if isinstance(model, BackboneModel) else tuple(MODEL_PARTS)
    return (LOADING, MISSING, *own, LOSSES, BACKWARD, ENCODER_BACKWARD, OPTIMISER, OTHER)


@dataclass(frozen=True)
class Span:
    """A part, when it began and when it ended, in seconds of a clock."""

    part: str
    start: float
    end: float


class PartTimer:
    """Adds up the seconds of named parts; a part inside another counts for the outer one.

    Attributes:
        seconds: of each part.
        spans: every time a part was in, in order.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """Time work on ``device``; a GPU is waited for at both ends of a part."""
        self.seconds: dict[str, float] = {}
        self.spans: list[Span] = []
        self._device = torch.device(device)
        self._open: list[str] = []
        self._started = 0.0

    def start(self, name: str) -> None:
        """Enter a part."""
        if not self._open:
            self._started = self.now()
        self._open.append(name)

    def stop(self) -> None:
        """Leave the part entered last."""
        name = self._open.pop()
        if not self._open:
            self._add(name)

    def turn_into(self, name: str) -> None:
        """Leave the outermost part for another one, which is left in its place."""
        if self._open:
            self._add(self._open[0])
            self._open[0] = name

    def _add(self, name: str) -> None:
        """Count what has passed for ``name``."""
        end = self.now()
        self.seconds[name] = self.seconds.get(name, 0.0) + end - self._started
        self.spans.append(Span(name, self._started, end))
        self._started = end

    def now(self) -> float:
        """Seconds of a clock, read when the device has done what it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, timed as a part."""

        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            self.start(name)
            try:
                return function(*arguments, **options)
            finally:
                self.stop()

        return timed


@contextmanager
def timed_parts(model: SentimentModel, timer: PartTimer) -> Iterator[None]:
    """Time every part of the steps that a `Trainer` takes with ``model``."""
    with ExitStack() as stack:
        for module, enter, leave in _hooks(model, timer):
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave).remove)
        if isinstance(model, BackboneModel):
            encode = timer.wrap(BACKBONE, model.backbone.encode)
            stack.enter_context(_replaced(model.backbone, "encode", encode))
        encoded = model.text_encoder.register_forward_hook(partial(_watch_gradient, timer))
        stack.callback(encoded.remove)
        step_begins = register_optimizer_step_pre_hook(partial(_enter, timer, OPTIMISER))
        step_ends = register_optimizer_step_post_hook(partial(_leave, timer))
        stack.callback(step_begins.remove)
        stack.callback(step_ends.remove)
        for place, name, part in _functions():
            stack.enter_context(_replaced(place, name, timer.wrap(part, getattr(place, name))))
        stack.enter_context(_replaced(training, "load_batches", _timed_loader(timer)))
        yield


Hook = Callable[..., None]


def _hooks(model: SentimentModel, timer: PartTimer) -> Iterator[tuple[nn.Module, Hook, Hook]]:
    """Modules with what happens when they are entered and left."""
    left = partial(_leave, timer)
    if isinstance(model, BackboneModel):
        # It is called inside of ``encode``: there it interrupts the backbone.
        yield model.text_encoder, partial(_turn, timer, TEXT_ENCODER), partial(_turn, timer, BACKBONE)
        yield model.head, partial(_enter, timer, HEAD), left
        return
    for part, attributes in MODEL_PARTS.items():
        for module in (getattr(model, name) for name in attributes):
            # Of a list of modules its members are called, for the list is not.
            for one in module if isinstance(module, nn.ModuleList) else [module]:
                yield one, partial(_enter, timer, part), left


def _functions() -> Iterator[tuple[Any, str, str]]:
    """Where a training step looks a function up, its name there, and its part."""
    for name in _own_functions(objectives, objectives):
        yield objectives, name, LOSSES
    for step in (training_step, two_step, one_step):
        for name in _own_functions(step, missing):
            yield step, name, MISSING
    yield BackboneModel, "auxiliary_loss", LOSSES
    yield torch.Tensor, "backward", BACKWARD


def _own_functions(place: ModuleType, origin: ModuleType) -> list[str]:
    """Names in ``place`` of functions that ``origin`` defines."""
    return [
        name
        for name, one in inspect.getmembers(place, inspect.isfunction)
        if one.__module__ == origin.__name__
    ]


def _timed_loader(timer: PartTimer) -> Callable[..., Iterator[Batch]]:
    """What takes the place of ``load_batches``: the same batches, timed one by one."""

    def batches(*arguments: Any, **options: Any) -> Iterator[Batch]:
        waiting = iter(load_batches(*arguments, **options))
        following = timer.wrap(LOADING, partial(next, waiting, None))
        while (batch := following()) is not None:
            yield batch

    return batches


def _enter(timer: PartTimer, part: str, *_: Any) -> None:
    timer.start(part)


def _turn(timer: PartTimer, part: str, *_: Any) -> None:
    timer.turn_into(part)


def _leave(timer: PartTimer, *_: Any) -> None:
    timer.stop()


def _watch_gradient(timer: PartTimer, _module: nn.Module, _inputs: Any, features: Any) -> None:
    """The encoder stands first: once its features have their gradient, the rest of a backward is its own."""
    if features.requires_grad:
        features.register_hook(lambda _gradient: timer.turn_into(ENCODER_BACKWARD))


@contextmanager
def _replaced(place: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)
