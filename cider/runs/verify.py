"""Check of a run folder: every file that has a digest, and every table of predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from cider.runs.checkpoints import TrainingCheckpoints
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.runs.inputs import RunInputs
from cider.runs.provenance import read_provenance
from cider.runs.state import RESULT, SEALED, FolderState, check_file, read_digests, require_run
from cider.scoring.prediction_frame import check_table
from mer_data.errors import MerDataError, RecipeError, RunError
from mer_data.files.writing import sha256_file


@dataclass(frozen=True)
class RunCheck:
    """Findings of a check of a run.

    Attributes:
        run: its folder.
        state: what it holds, for a person.
        checked: files that are as they were written, by path in the folder.
        problems: what is missing, damaged or was changed, one line each.
        notes: what could not be checked, and inputs that are not here: neither is damage.
    """

    run: Path
    state: str
    checked: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": str(self.run),
            "state": self.state,
            "checked": list(self.checked),
            "problems": list(self.problems),
            "notes": list(self.notes),
        }


def verify_run(path: str | Path) -> RunCheck:
    """Read every file of a run and compare its digest.

    Neither the model nor a file of code is run.

    Args:
        path: folder of the run.

    Raises:
        RunError: it is no run.
    """
    folder = Path(path)
    require_run(folder)
    checked, problems = [], []
    for name, check in _checks(folder):
        try:
            check()
        except (MerDataError, OSError) as error:
            problems.append(str(error))
        else:
            checked.append(name)
    try:
        state = FolderState.read(folder).told
    except MerDataError:  # among the problems already
        state = "a training whose result is damaged"
    return RunCheck(folder, state, tuple(checked), tuple(problems), tuple(_notes(folder)))


def _checks(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """The files of a run, each with what raises when it is not whole."""
    run = RunFolder(folder)
    for name in (*SEALED, RESULT):
        if (folder / name).exists() or _is_finished(folder):
            yield name, partial(check_file, folder, name)
    yield "the recipe of the provenance", partial(_check_recipe, run)
    if run.checkpoint_path.is_file():
        yield "the tensors of the weights", partial(_check_tensors, run)
    checkpoints = TrainingCheckpoints(run.checkpoints_folder)
    for epoch in checkpoints.epochs():
        yield f"checkpoint of epoch {epoch}", partial(checkpoints.open, epoch)
    for table in sorted((folder / "predictions").rglob("*.parquet")):
        name = table.relative_to(folder).as_posix()
        yield name, partial(check_table, table, sealed=_is_sealed(folder))


def _check_recipe(run: RunFolder) -> None:
    found = sha256_file(run.recipe_path)
    expected = read_provenance(run.provenance_path).get("recipe_digest")
    if found != expected:
        raise RunError(
            "the recipe is not the one of the provenance", where=run.path, found=found, expected=expected
        )


def _check_tensors(run: RunFolder) -> None:
    """Raise where the weights are no whole safetensors file, or those of no checkpoint."""
    run.weights_digest()
    try:
        with safe_open(run.checkpoint_path, framework="numpy") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise RunError(f"damaged weights ({error})", where=run.checkpoint_path) from error


def _notes(folder: Path) -> Iterator[str]:
    """Yield findings that are no damage."""
    if _is_finished(folder) and not _is_sealed(folder):
        yield "the run was trained before runs had digests: its files could not be compared"
    for path in sorted(folder.rglob(".*.partial")):
        yield f"{path.relative_to(folder)} was left by a process that was killed; the next writer removes it"
    run = RunFolder(folder)
    try:
        recipe, recorded = run.read_recipe(), run.read_provenance()
        Experiment.of_run(recipe, RunInputs(folder, recorded)).input_paths()
    except RecipeError as error:
        yield f"the inputs were not looked for: {error}"
    except MerDataError as error:
        yield f"an input is not here: {error}"


def _is_finished(folder: Path) -> bool:
    return (folder / RESULT).is_file()


def _is_sealed(folder: Path) -> bool:
    try:
        return read_digests(folder) is not None
    except MerDataError:
        return True
