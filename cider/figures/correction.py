"""One prediction corrected step by step, by MCM and by counterfactual text (paper Fig. 9)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cider.debiasing.counterfactual_text import counterfactual_ids
from cider.figures.corrected_prediction import BOTH, COUNTERFACTUAL_TEXT, MCM, PLAIN, Correction, Piece
from cider.figures.trained import LoadedRun
from cider.prediction.chosen_tau import tau_of_run
from cider.runs.experiment import Experiment
from cider.scoring.prediction_frame import COUNTERFACTUAL, FACTUAL
from cider.scoring.subtraction import debiased
from mer_data.errors import RunError
from mer_data.progress import Progress
from mer_data.torch_data.batches import UtteranceDataset

_CHOICE = (
    "picked for showing, so it proves nothing: of the test utterances that the plain run gets wrong and the"
    " whole method right, the one whose true class leads the others by most"
)


def explain_correction(
    path: str | Path,
    plain_path: str | Path,
    *,
    utterance: str | None = None,
    progress: Progress | None = None,
) -> Correction:
    """Answer one test utterance by the plain run, with MCM, and with both halves of MACI.

    Args:
        path: a run with model.maci both.
        plain_path: a run with model.maci none, on the same data.
        utterance: its id; None takes, of those that the plain run gets wrong and the whole method right, the
            one whose true class leads the others by most (of equal ones the first by id).
        progress: called while validation chooses tau.

    Raises:
        MerDataError: runs of another kind or of different data, an unknown id, or nothing corrected.
    """
    path, plain_path = Path(path), Path(plain_path)
    whole, plain = LoadedRun.open(path), LoadedRun.open(plain_path)
    _check(whole, plain)
    experiment = whole.experiment
    kept = experiment.kept_token_ids()
    tau = tau_of_run(whole.folder, whole.model, tuple(kept.tolist()), device=whole.device, progress=progress)
    fold = whole.fold("test", counterfactual=True)
    views = fold.predict("rmfm", 0.0, 0)
    space = experiment.recipe.evaluation.debiasing
    tables = {
        PLAIN: plain.fold("test").predict("rmfm", 0.0, 0)[FACTUAL],
        MCM: views[FACTUAL],
        COUNTERFACTUAL_TEXT: views[COUNTERFACTUAL],
        BOTH: debiased(views[FACTUAL], views[COUNTERFACTUAL], tau.value, space),
    }
    truth = experiment.task.class_of(fold.labels)
    right = {name: table.argmax(axis=1) == truth for name, table in tables.items()}
    corrected, spoiled = right[BOTH] & ~right[PLAIN], right[PLAIN] & ~right[BOTH]
    if utterance is None:
        at, choice = _most_corrected(tables[BOTH], truth, corrected, fold.ids, whole), _CHOICE
    else:
        at, choice = _place_of(utterance, fold.ids, whole), "chosen by hand, so it proves nothing"
    return Correction(
        run=path,
        plain_run=plain_path,
        id=fold.ids[at],
        text=str(experiment.store.utterances["text"].iloc[experiment.rows["test"][at]]),
        true_class=int(truth[at]),
        classes=experiment.task.classes,
        scores={name: table[at] for name, table in tables.items()},
        tau=tau,
        debiasing=space,
        pieces=_pieces(experiment, at, kept),
        choice=choice,
        corrected=int(corrected.sum()),
        spoiled=int(spoiled.sum()),
        utterances=len(truth),
    )


def _check(whole: LoadedRun, plain: LoadedRun) -> None:
    """Raise a RunError unless the runs have both and neither half of MACI, on the same data."""
    for run, expected in ((whole, "both"), (plain, "none")):
        if (found := run.experiment.recipe.model.maci) != expected:
            raise RunError(
                f"the figure needs a run with model.maci {expected} here", where=run.folder.path, found=found,
                do=f"Train one with --set model.maci={expected}",
            )  # fmt: skip
    for what, one, other in (
        ("task", whole.experiment.task.name, plain.experiment.task.name),
        ("split", whole.experiment.split.digest, plain.experiment.split.digest),
    ):
        if one != other:
            raise RunError(
                f"the plain run has another {what}", where=plain.folder.path, found=other, expected=one,
                do=f"Train both on one {what}",
            )  # fmt: skip


def _most_corrected(
    scores: NDArray[np.floating],
    truth: NDArray[np.int64],
    corrected: NDArray[np.bool_],
    ids: list[str],
    run: LoadedRun,
) -> int:
    """The corrected utterance whose true class leads by most."""
    if not corrected.any():
        raise RunError(
            "no test utterance that the plain run gets wrong and this one right", where=run.folder.path,
            do="Show one of your choice with --id",
        )  # fmt: skip
    rows = np.arange(len(truth))
    others = np.array(scores)
    others[rows, truth] = -np.inf
    lead = scores[rows, truth] - others.max(axis=1)
    return min(np.flatnonzero(corrected).tolist(), key=lambda row: (-lead[row], ids[row]))


def _place_of(utterance: str, ids: list[str], run: LoadedRun) -> int:
    if utterance not in ids:
        raise RunError(
            f"no utterance {utterance!r} in the test fold", where=run.folder.path,
            expected=f"an id such as {ids[0]}",
        )  # fmt: skip
    return ids.index(utterance)


def _pieces(experiment: Experiment, at: int, kept: NDArray[np.int64]) -> tuple[Piece, ...]:
    """The pieces of a test utterance between [CLS] and [SEP]."""
    item = UtteranceDataset(experiment.store, experiment.rows["test"])[at]
    ids = torch.from_numpy(item.input_ids.astype(np.int64))
    special = experiment.special
    masked = counterfactual_ids(ids[None], torch.ones_like(ids[None]).bool(), torch.from_numpy(kept), special)
    names = experiment.store.tokenizer.vocabulary
    return tuple(
        Piece(names[before], before == after)
        for before, after in zip(ids.tolist()[1:-1], masked[0].tolist()[1:-1], strict=True)
    )
