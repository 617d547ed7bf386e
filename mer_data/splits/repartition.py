"""An out-of-distribution split: a test fold whose words go with other labels than in train and valid."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mer_data.errors import SplitError
from mer_data.splits.annealing import FoldSearch, Progress, stratified_sample
from mer_data.splits.manifest import SplitManifest
from mer_data.splits.shift import MIN_COUNT, SMOOTHING, WordTable, measure_shift, words_of
from mer_data.splits.standard import ids_by_fold, in_standard_folds
from mer_data.tasks import Task
from mer_data.utterances import FOLDS

SMALLEST_FOLD = 3
STEPS_PER_UTTERANCE = 40
EXCESS_BITS = 0.025


def repartition(
    utterances: pd.DataFrame,
    *,
    dataset: str,
    utterance_digest: str,
    task: Task,
    seed: int,
    min_count: int = MIN_COUNT,
    smoothing: float = SMOOTHING,
    label_tolerance: float = 0.02,
    steps: int | None = None,
    excess_bits: float | None = EXCESS_BITS,
    progress: Progress | None = None,
) -> SplitManifest:
    """Search for a test fold with a large word-to-label divergence (method section 1, OOD).

    The pool is all utterances of a standard fold, and the folds keep the standard sizes. Annealing
    (``mer_data.splits.annealing``) chooses test; class shares and sentence lengths there stay those of the
    pool, so that the words alone shift. The rest is divided into train and valid at random, stratified by
    class. Videos are not kept together: a speaker can be in test and in train, and the overlap is reported.

    Args:
        utterances: the frame of a store (``mer_data.utterances.UTTERANCE_COLUMNS``).
        dataset: name of the corpus.
        utterance_digest: the store's digest.
        task: gives the classes; one split per task.
        seed: of the start, the proposals and the division of the rest; the same seed gives the same bytes.
        min_count: utterances that a word must occur in to be measured.
        smoothing: see ``mer_data.splits.shift.weighted_divergences``.
        label_tolerance: greatest absolute difference between a class share in test and in the pool, though
            never less than one utterance.
        steps: proposals; 40 per utterance of the pool if not given.
        excess_bits: stop as soon as the divergence is this far above that of the random fold that the search
            starts from; None goes on to the largest that it finds. The largest is adversarial (a model of
            words alone falls far below chance there), so the default is a milder shift.
        progress: called with the proposals done and all proposals, about a hundred times.

    Raises:
        SplitError: an impossible parameter, a fold of fewer than three utterances, a class that no utterance
            has, or no word that is frequent enough.
    """
    _check_parameters(seed, min_count, smoothing, label_tolerance, excess_bits, steps)
    pool, dropped = in_standard_folds(utterances)
    sizes = {fold: int((pool["fold"] == fold).sum()) for fold in FOLDS}
    classes = task.class_of(pool["label"].to_numpy())
    table = WordTable.build([words_of(text) for text in pool["text"]], classes, task.num_classes, min_count)
    _check_pool(table, sizes, task, min_count)

    if steps is None:
        steps = STEPS_PER_UTTERANCE * len(pool)
    rng = np.random.default_rng(seed)
    slack = max(label_tolerance * sizes["test"], 1.0)
    search = FoldSearch(table, sizes["test"], smoothing=smoothing, slack=slack, rng=rng)
    search.run(steps, excess_bits=excess_bits, progress=progress)
    folds = np.where(search.in_test, "test", "train")
    rest = np.flatnonzero(folds == "train")
    folds[rest[stratified_sample(classes[rest], sizes["valid"], rng)]] = "valid"
    parameters = {
        "seed": seed,
        "min_count": min_count,
        "smoothing": smoothing,
        "label_tolerance": label_tolerance,
        "steps": steps,
        "excess_bits": excess_bits,
    }
    return SplitManifest(
        dataset=dataset,
        task=task.name,
        kind="ood",
        generator={"name": "repartition", **parameters},
        utterance_digest=utterance_digest,
        splits=ids_by_fold(pool, folds),
        dropped=dropped,
        shift=measure_shift(pool, folds, task, min_count=min_count, smoothing=smoothing),
    )


def _check_parameters(
    seed: int,
    min_count: int,
    smoothing: float,
    label_tolerance: float,
    excess_bits: float | None,
    steps: int | None,
) -> None:
    """Refuse parameters outside their range."""
    if seed < 0:
        raise SplitError("negative seed", found=seed, expected="0 or more")
    if min_count < 1:
        raise SplitError("min_count is too small", found=min_count, expected="1 or more")
    if not 0 <= smoothing < np.inf:
        raise SplitError("impossible smoothing", found=smoothing, expected="0 or more")
    if not 0 <= label_tolerance <= 1:
        raise SplitError("label_tolerance is no share", found=label_tolerance, expected="0 to 1")
    if excess_bits is not None and not excess_bits >= 0:
        raise SplitError("negative excess_bits", found=excess_bits, expected="0 or more")
    if steps is not None and steps < 0:
        raise SplitError("negative number of steps", found=steps, expected="0 or more")


def _check_pool(table: WordTable, sizes: dict[str, int], task: Task, min_count: int) -> None:
    """Refuse a pool in which no shift can be made or measured."""
    for fold, size in sizes.items():
        if size < SMALLEST_FOLD:
            raise SplitError(
                f'standard fold "{fold}" is too small to repartition',
                found=f"{size} utterances",
                expected=f"at least {SMALLEST_FOLD}",
                do="Build the store from more of the corpus",
            )
    absent = [name for name, share in zip(task.classes, table.prior, strict=True) if share == 0]
    if absent:
        raise SplitError(
            f'a class of the task "{task.name}" has no utterance',
            found=f"none of class {', '.join(absent)}",
            do="Choose another task, or build the store from more of the corpus",
        )
    if not table.words:
        raise SplitError(
            "no word is frequent enough to measure a shift",
            found=f"none in {min_count} utterances or more",
            do="Lower min_count, or build the store from more of the corpus",
        )
