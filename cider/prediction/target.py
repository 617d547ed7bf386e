"""Another corpus, or another split, to test a run on: found, and refused where the scores would mean nothing.

The model, the class means, the counterfactual vocabulary and tau stay those of training and its validation
fold; of the target only the test fold is predicted. Its labels score it, and in `strict` decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cider.prediction.expected_input import ExpectedInput
from cider.runs.experiment import Experiment
from cider.scoring.prediction_frame import TARGET, Identity
from mer_data.errors import RunError
from mer_data.workspace import Workspace

_OPTION = "--on-{} NAME"
_SAME_CORPUS = 0.5
"""Share of equal labels among utterances of equal id from which on they are taken for the same ones."""


@dataclass(frozen=True)
class Target:
    """Test data in place of the test fold of a run's own split: names in the workspace, or paths.

    Attributes:
        dataset: of the workspace; with two paths a name for folders and reports.
        alignment: which store; None takes the one called as the run's own, else the only one.
        split: whose test fold; None takes the only one.
    """

    dataset: str
    alignment: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class OpenTarget:
    """A target that a run can be tested on.

    Attributes:
        name: of its folder among the predictions and reports of a run.
        experiment: the recipe of the run with the store and split of the target. Rows are served no longer
            than in training.
    """

    name: str
    experiment: Experiment

    @property
    def identity(self) -> Identity:
        """Digests that test predictions belong to, besides those of the run."""
        store = self.experiment.store
        return {
            TARGET: self.name,
            "target_dataset": store.dataset,
            "target_store": store.content_digest,
            "target_split": self.experiment.split.digest,
        }


def open_target(target: Target, training: Experiment) -> OpenTarget:
    """Find the store and split of a target and check that the run may be tested on them.

    Args:
        target: what is asked for.
        training: the experiment of the run.

    Raises:
        MerDataError: store or split is missing or for another task; the features are not those of training;
            the test fold is empty, or has utterances that the run was trained or validated on.
    """
    workspace = Workspace(target.dataset)
    own = training.recipe.data.alignment
    alignment = target.alignment
    if alignment is None and not own.endswith(".h5") and workspace.store_path(own).is_file():
        alignment = own
    store_path = workspace.choose_store(alignment, option=_OPTION.format("alignment"))
    data = training.recipe.data.model_copy(
        update={"dataset": target.dataset, "alignment": str(store_path), "split": target.split}
    )
    found = Experiment.open(training.recipe.model_copy(update={"data": data}), option=_OPTION)
    ExpectedInput.from_store(training.store).check_same(found.store)
    if not len(found.rows["test"]):
        raise RunError(
            "the test fold has no utterances",
            where=found.split_path,
            do="Choose another with --on-split NAME",
        )
    _refuse_known(training, found)
    name = folder_name(target.dataset, store_path.stem, found.split_path.stem)
    return OpenTarget(name, replace(found, store=found.store.limited(training.store.limits)))


def saved_target(run: Path, target: Target) -> str:
    """Name of the target whose predictions a run folder has; neither store nor split are needed.

    Raises:
        RunError: none, or several that the target may mean.
    """
    alignment, split = (Path(part).stem if part else None for part in (target.alignment, target.split))
    folder = run / "predictions"
    names = sorted(path.name for path in folder.glob(folder_name(target.dataset, alignment, split)))
    if len(names) == 1:
        return names[0]
    if not names:
        raise RunError(
            f"no predictions on {target.dataset}",
            where=folder,
            do="Make them with `cider evaluate RUN --on NAME`, without --report-only",
        )
    raise RunError(
        f"predictions on several stores or splits of {target.dataset}",
        where=folder,
        found=", ".join(names),
        do="Choose one with --on-alignment NAME and --on-split NAME",
    )


def folder_name(dataset: str, alignment: str | None, split: str | None) -> str:
    """``on-DATASET.STORE.SPLIT``, no other dots in it; ``*`` for what is None."""
    parts = (dataset, alignment, split)
    plain = ("".join(c if c.isalnum() or c in "-_" else "_" for c in part) if part else "*" for part in parts)
    return f"on-{'.'.join(plain)}"


def _refuse_known(training: Experiment, found: Experiment) -> None:
    """Raise a RunError where test utterances of the target decided anything about the run.

    Equal ids are not enough: generated corpora of different seeds have them. Utterances of equal id are taken
    for the same ones when most of their labels are equal.
    """
    own, other = (one.store.utterances.set_index("id")["label"] for one in (training, found))
    test = set(found.split.splits["test"])
    for fold, told in (("train", "trained"), ("valid", "validated")):
        known = [name for name in training.split.splits[fold] if name in test]
        same = np.isclose(own[known].to_numpy(), other[known].to_numpy(), atol=1e-4)
        if known and same.mean() > _SAME_CORPUS:
            raise RunError(
                f"the run was {told} on {len(known)} of the {len(test)} utterances of this test fold",
                where=found.split_path,
                found=known[0],
                do="Test on another corpus, or train on a split that keeps these utterances for test",
            )
