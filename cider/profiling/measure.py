"""Measuring: a short epoch as it is, for time and memory, then one with every part of its steps timed."""

from __future__ import annotations

import math
import multiprocessing
import platform
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cider.models.backbone_model import causal_parameter_count, count_parameters
from cider.models.own_code import load_code, loaded_files
from cider.profiling.parts import OTHER, parts_of, recorded_parts, seconds_by_part
from cider.profiling.result import Memory, Parameters, Profile, Seconds
from cider.recipe.schema import Recipe
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training.step_parts import LOADING, OPTIMISER, Span
from cider.training.trainer import EpochRecord, Trainer
from mer_data.errors import RecipeError, RunError
from mer_data.torch_data.batches import make_loader

_STATUS = Path("/proc/self/status")
_PROCESSORS = Path("/proc/cpuinfo")


def profile_recipe(recipe: Recipe, steps: int) -> Profile:
    """``measure`` in a process of its own, so that peak memory is that of training alone.

    Raises:
        MerDataError: as training does: inputs are missing, or do not fit.
    """
    context = multiprocessing.get_context("spawn")
    code = [file.path for file in loaded_files().values()]  # the recipe may be of classes in them
    with ProcessPoolExecutor(1, mp_context=context, initializer=load_code, initargs=(code,)) as pool:
        try:
            return pool.submit(measure, recipe, steps).result()
        except BrokenProcessPool as error:
            raise RunError(
                "the process that trained died, perhaps for lack of memory",
                do="Profile with a smaller training.batch_size",
            ) from error


def measure(recipe: Recipe, steps: int) -> Profile:
    """Train two short epochs by ``recipe`` and throw the result away.

    Both go over the same ``steps`` batches of random training utterances, and validate as any epoch does. The
    first is left alone: it gives times and peak memory. In the second every part is timed. One step before
    them fills the optimiser's state and the libraries' caches; its time does not count.

    Raises:
        MerDataError: inputs are missing, or do not fit.
    """
    if steps < 1:
        raise RecipeError("nothing to measure", found=f"{steps} steps", expected="at least 1")
    whole = Experiment.open(recipe)
    experiment = _shortened(whole, steps)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(experiment, RunFolder(Path(folder)), resumable=False)
        before = memory_now()
        _warm_up(trainer, experiment)
        stopwatch = _Stopwatch(trainer)
        trainer.fit(stopwatch.after_step, on_epoch=stopwatch.after_epoch)
    batch_size = recipe.training.batch_size
    steps_per_epoch = math.ceil(len(whole.rows["train"]) / batch_size)
    plain, timed = stopwatch.plain, stopwatch.timed
    shares = stopwatch.shares()
    step = plain / stopwatch.num_steps
    faster = plain / timed
    *complete, incomplete = (faster * view for view in stopwatch.views())
    every = count_parameters(trainer.model, include_text_encoder=True)
    without = count_parameters(trainer.model, include_text_encoder=False)
    return Profile(
        recipe=recipe.name,
        model=recipe.model.name,
        text_encoder=recipe.model.text_encoder,
        batch_size=batch_size,
        precision=trainer.precision,
        device=device_name(stopwatch.device),
        threads=torch.get_num_threads(),
        steps=stopwatch.num_steps,
        steps_per_epoch=steps_per_epoch,
        parameters=Parameters(without, every - without, causal_parameter_count(trainer.model)),
        memory=Memory(before, stopwatch.host_peak, stopwatch.device_peak),
        seconds=Seconds(
            step=step,
            timed_step=timed / stopwatch.num_steps,
            complete_view=complete[0] if complete else None,
            incomplete_view=incomplete,
            optimiser=shares[OPTIMISER] * step,
            validation=stopwatch.validation,
            epoch=steps_per_epoch * step + stopwatch.validation,
        ),
        shares=shares,
    )


def _shortened(experiment: Experiment, steps: int) -> Experiment:
    """The experiment with the training utterances of ``steps`` batches, for two epochs."""
    recipe, rows = experiment.recipe, experiment.rows["train"]
    chosen = np.random.default_rng(recipe.seed).permutation(rows)[: steps * recipe.training.batch_size]
    training = recipe.training.model_copy(update={"max_epochs": 2, "patience": 2})
    return replace(
        experiment,
        recipe=recipe.model_copy(update={"training": training}),
        rows={**experiment.rows, "train": np.sort(chosen)},
    )


def _warm_up(trainer: Trainer, experiment: Experiment) -> None:
    device = next(trainer.model.parameters()).device
    rows, batch_size = experiment.rows["train"], experiment.recipe.training.batch_size
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        trainer.model.train()
        trainer.train_step(next(iter(make_loader(experiment.store, rows, batch_size=batch_size))).to(device))


class _Stopwatch:
    """Listens to `Trainer.fit` for two epochs, and times the parts of the second's steps.

    Attributes:
        device: of the training.
        plain: seconds of the first epoch's steps, data loading included.
        timed: seconds of the second's.
        validation: seconds of the first's validation.
        num_steps: of each.
        host_peak: most bytes of main memory up to the end of the first epoch.
        device_peak: most bytes of GPU memory.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.device = next(trainer.model.parameters()).device
        self.plain = self.timed = self.validation = 0.0
        self.num_steps = 0
        self.host_peak: int | None = None
        self.device_peak: int | None = None
        self._trainer = trainer
        self._recording = ExitStack()
        self._spans: list[Span] = []
        self._started = time.perf_counter()

    def after_step(self, step: int, total: int, _text: str = "", /) -> None:
        """`Trainer.fit` calls it after every step."""
        seconds = time.perf_counter() - self._started
        if not self.plain:
            if step == total:
                self.plain, self.num_steps = seconds, total
            return
        if step == total:
            self.timed = seconds
            self._recording.close()  # validation calls the same modules, from several threads

    def after_epoch(self, record: EpochRecord) -> None:
        """`Trainer.fit` calls it after every epoch's validation."""
        if record.epoch == 1:
            self.validation = record.seconds - self.plain
            self.host_peak = peak_memory()
            if self.device.type == "cuda":
                self.device_peak = torch.cuda.max_memory_allocated(self.device)
            self._spans = self._recording.enter_context(recorded_parts(self._trainer.model))
        self._started = time.perf_counter()

    def shares(self) -> dict[str, float]:
        """Share of the second epoch's steps of every part."""
        found = seconds_by_part(self._spans)
        seconds = {part: found.get(part, 0.0) for part in parts_of(self._trainer.model)}
        seconds[OTHER] = self.timed - sum(seconds.values())
        return {part: value / self.timed for part, value in seconds.items()}

    def views(self) -> list[float]:
        """Mean seconds per step of what comes before each of its optimiser steps, in the second epoch."""
        begins = [place for place, span in enumerate(self._spans) if span.part == LOADING]
        steps = zip(begins, [*begins[1:], None], strict=True)
        means: list[float] = np.mean(
            [_split(self._spans[begin:end]) for begin, end in steps], axis=0
        ).tolist()
        return means


def _split(spans: list[Span]) -> list[float]:
    """Seconds of a step's views: up to its first optimiser step, and from there to the next."""
    updates = [span for span in spans if span.part == OPTIMISER]
    begins = [next(span.end for span in spans if span.part == LOADING), *(span.end for span in updates)]
    return [span.start - begin for begin, span in zip(begins, updates, strict=False)]


def memory_now() -> int | None:
    """Bytes of main memory this process holds (resident set); None where the system does not report it."""
    return _status("VmRSS")


def peak_memory() -> int | None:
    """Most bytes of main memory this process has held so far; None where the system does not report it."""
    # getrusage() would also count what the parent held before this process began: it survives exec.
    peak = _status("VmHWM")
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def device_name(device: torch.device | str) -> str:
    """The processor or GPU, as its maker calls it."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    if _PROCESSORS.is_file():
        for line in _PROCESSORS.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _status(key: str) -> int | None:
    """A line of the kernel's status of this process, in bytes."""
    if not _STATUS.is_file():
        return None
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None
