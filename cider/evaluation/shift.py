"""Shift curves from beginning to end: one run per severity and seed, trained where missing, then measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cider.evaluation.evaluate import EvaluationOverrides, evaluate_run, load_scored
from cider.recipe.schema import Recipe
from cider.reports.shift import write_shift_report
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.runs.inputs import RunInputs
from cider.scoring.conditions import SweepPlan
from cider.scoring.shift_curve import ShiftCurves, shift_curves
from cider.scoring.shift_grid import ShiftedRun, several_severities
from cider.training.launch import refuse_launcher
from cider.training.many_runs import RunOutcome, run_folder, train_runs
from mer_data.errors import RecipeError, SplitError
from mer_data.progress import Progress, Tell
from mer_data.splits import SplitManifest
from mer_data.splits.series import SeriesSplit, at_severities, choose_series
from mer_data.store.choose import choose_store
from mer_data.tasks import get_task
from mer_data.workspace import Workspace


@dataclass(frozen=True)
class ShiftPlan:
    """The runs of recipes over a series of splits.

    Attributes:
        runs: every recipe, with its split and seed, and the folder of its run.
    """

    runs: tuple[tuple[Recipe, Path], ...]

    @classmethod
    def from_recipes(
        cls,
        recipes: Sequence[Recipe],
        parent: str | Path,
        *,
        seeds: Sequence[int] | None = None,
        series: str | None = None,
        severities: Sequence[float] | None = None,
    ) -> ShiftPlan:
        """One run per recipe, severity and seed, in ``parent``/SPLIT/NAME-seedSEED.

        Args:
            recipes: resolved; the split that they name is replaced by those of the series.
            parent: folder of the runs.
            seeds: of training; None takes each recipe's.
            series: name of a series, or a folder of manifests; None takes the only one of dataset and task.
            severities: those of the series to take; None takes all.

        Raises:
            MerDataError: no store, no series or several, a severity that it does not have, or two recipes
                of one name.
        """
        parent = Path(parent)
        runs = []
        for recipe in recipes:
            splits = _series_of(recipe, series)
            if severities is not None:
                splits = several_severities(at_severities(splits, severities))
            for split in splits:
                for seed in seeds or (recipe.seed,):
                    one = _on_split(recipe, split, seed)
                    runs.append((one, run_folder(one, parent / split.path.stem)))
        folders = [folder for _, folder in runs]
        if len(set(folders)) < len(folders):
            raise RecipeError(
                "two recipes would train into the same folders",
                found=", ".join(recipe.name for recipe in recipes),
                do="Give each recipe a name of its own, or train one at a time with --set name=NAME",
            )
        return cls(tuple(runs))

    @property
    def folders(self) -> list[Path]:
        """Folders of the runs."""
        return [folder for _, folder in self.runs]

    def check_sweep(self, choices: EvaluationOverrides) -> None:
        """Refuse recipes that would be measured in different sweeps, before anything is trained.

        Raises:
            RecipeError: they would.
        """
        sweeps = []
        for recipe, _ in self.runs:
            settings = choices.apply_to(recipe.evaluation)
            plan = SweepPlan.from_settings(settings.pattern, settings.rates, settings.mask_seeds)
            sweeps.append((plan.conditions, settings.precision))
        if len(set(sweeps)) > 1:
            raise RecipeError(
                "the recipes are evaluated in different sweeps",
                do="Name one with --pattern, --rates, --mask-seeds and --precision",
            )

    def train(
        self,
        tell: Tell,
        *,
        force: bool = False,
        progress: Progress | None = None,
        inputs_progress: Progress | None = None,
    ) -> list[RunOutcome]:
        """Train what is missing: finished runs are kept, others resumed.

        Class statistics and vocabularies of the splits are computed where they are not there.

        Args:
            tell: called with a line about what is there already or has to be made first.
            force: train all from the beginning.
            progress: as `Trainer.fit` calls it.
            inputs_progress: of computing class statistics.

        Raises:
            MerDataError: as ``train_runs``; or a launcher started several processes.
        """
        refuse_launcher(
            "a series is not trained under a launcher",
            do="Leave the launcher out, or train the runs one by one with `cider train`",
        )
        for recipe, _ in self.runs:
            Experiment.open(recipe).make_missing_inputs(tell, progress=inputs_progress)
        return train_runs(self.runs, tell, force=force, progress=progress)


def _series_of(recipe: Recipe, series: str | None) -> tuple[SeriesSplit, ...]:
    workspace = Workspace(recipe.data.dataset)
    store = choose_store(workspace, recipe.data.alignment)
    return choose_series(workspace, get_task(recipe.task), store.utterance_digest, series)


def _on_split(recipe: Recipe, split: SeriesSplit, seed: int) -> Recipe:
    """The recipe with a split of its workspace named by its name, any other by its path."""
    in_workspace = Workspace(recipe.data.dataset).split_path(split.path.stem) == split.path
    name = split.path.stem if in_workspace else str(split.path)
    return recipe.model_copy(update={"seed": seed, "data": recipe.data.model_copy(update={"split": name})})


@dataclass(frozen=True)
class ShiftResult:
    """Curves, and the folder of their report."""

    curves: ShiftCurves
    report: Path


def measure_shift(
    paths: Sequence[str | Path],
    choices: EvaluationOverrides | None = None,
    *,
    parent: str | Path,
    report_only: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> ShiftResult:
    """Evaluate trained runs on the splits of a series, and report their curves.

    Args:
        paths: run folders; the first one's recipe is what the others are compared with.
        choices: in place of the first recipe's ``evaluation``.
        parent: the report goes to ``parent``/RECIPES-SWEEP.
        report_only: from saved predictions; of the workspace the split manifests alone are read.
        force: predict again what is there.
        progress: called with the runs evaluated and to evaluate.

    Raises:
        MerDataError: no run, an input or predictions are missing, or the runs are no series.
    """
    choices = choices or EvaluationOverrides()
    splits = [split_of_run(path) for path in paths]
    several_severities(splits)  # told before hours of evaluation
    if not report_only:
        for number, path in enumerate(paths, start=1):
            evaluate_run(path, choices, force=force)
            if progress is not None:
                progress(number, len(paths))
    scored, settings = load_scored(paths, choices)
    shifted = [ShiftedRun(run, split) for run, split in zip(scored, splits, strict=True)]
    curves = shift_curves(shifted, resamples=settings.resamples)
    names = dict.fromkeys(run.name for run in scored)
    folder = Path(parent) / f"{'-'.join(names)}-{curves.plan.name}"
    write_shift_report(folder, curves)
    return ShiftResult(curves, folder)


def split_of_run(path: str | Path) -> SeriesSplit:
    """The split that a run was trained on, with its severity.

    Raises:
        RunError: no run, or its split is gone or has changed.
        SplitError: its split has no severity.
    """
    run = RunFolder(Path(path))
    recipe = run.read_recipe()
    split_path = RunInputs(run.path, run.read_provenance()).split_path(recipe)
    try:
        return SeriesSplit.from_manifest(split_path, SplitManifest.load(split_path))
    except SplitError as error:
        raise SplitError(f"{path} is no run of a series: {error}") from error
