"""What a report says about how its numbers came about: digests, choices, seeds, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cider.recipe.schema import Recipe
from cider.reports.tables import METRIC_TITLES, area_title
from cider.scoring.bootstrap import LEVEL, SEED
from cider.scoring.conditions import AUILC, NORMALISED_AREA, SMM
from cider.scoring.intervals import SweepIntervals
from cider.scoring.prediction_frame import SweepPredictions, told_target
from cider.scoring.protocols import SweepScores
from cider.scoring.subtraction import TAU_GRID

_FOLDS = ("train", "valid", "test")


@dataclass(frozen=True)
class RunFacts:
    """What a run is, from its folder.

    Attributes:
        name: of the folder.
        recipe: its recipe.
        provenance: what it was trained on and with.
        result: how training ended; None where it has not.
    """

    name: str
    recipe: Recipe
    provenance: dict[str, Any]
    result: dict[str, Any] | None


@dataclass(frozen=True)
class SweepResult:
    """A sweep with everything computed from it."""

    predictions: SweepPredictions
    scores: SweepScores
    intervals: SweepIntervals

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        identity = self.predictions.identity
        return {**self.scores.to_json(), "intervals": self.intervals.to_json(), "belongs_to": identity}


def run_facts(facts: RunFacts, measured: SweepResult) -> list[tuple[str, str]]:
    """What was run, on what and with what, as terms with their texts."""
    recipe, recorded, identity = facts.recipe, facts.provenance, measured.predictions.identity
    packages = recorded.get("packages", {})
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    sizes = recorded.get("fold_sizes", {})
    trained = "" if measured.predictions.target is None else " of training"
    return [
        ("Run", f"{facts.name}: recipe {recipe.name}, training seed {recipe.seed}{_taken(recorded)}"),
        ("Recipe", str(recorded.get("recipe_digest", "unknown"))),
        ("Checkpoint", identity["checkpoint"]),
        (
            f"Store{trained}",
            f"{recipe.data.dataset}, {recipe.data.alignment}\n{identity['store']}",
        ),
        (
            f"Split{trained}",
            f"train / valid / test: {' / '.join(str(sizes.get(fold, '?')) for fold in _FOLDS)} utterances\n"
            f"{identity['split']}",
        ),
        *_target_facts(measured),
        (f"Counterfactual vocabulary{trained}", identity["vocabulary"]),
        ("Masks", f"{identity['masks']}, {_seeds(measured.scores)}"),
        ("Precision of the predictions", identity["precision"]),
        ("Trained with", f"Python {recorded.get('python', '?')}, {versions}\n{recorded.get('platform', '')}"),
    ]


def _taken(recorded: dict[str, Any]) -> str:
    source = recorded.get("weights_of", {}).get("run")
    return f"\nweights of {source}, which trains the same" if source else ""


def _target_facts(measured: SweepResult) -> list[tuple[str, str]]:
    """What was tested on, where that is not the run's own split."""
    predictions = measured.predictions
    if predictions.target is None:
        return []
    test, identity = predictions.test, predictions.identity
    return [
        (
            "Tested",
            f"{told_target(predictions.target)} (corpus {identity['target_dataset']}): {len(test.ids)}"
            f" utterances of {len(set(test.videos))} videos",
        ),
        ("Store tested on", identity["target_store"]),
        ("Split tested on", identity["target_split"]),
    ]


def run_notes(facts: RunFacts, measured: SweepResult) -> list[str]:
    """How choices were made, and what the numbers do not say."""
    scores, intervals = measured.scores, measured.intervals
    return [
        *_target(measured),
        _checkpoint(facts),
        *_tau(scores, len(measured.predictions.valid.ids)),
        *_area(scores),
        *_masks(scores),
        *interval_notes(intervals.resamples, intervals.notes),
        "One training run: how much another training seed changes is not in these intervals. Train with other"
        " seeds, and compare with `cider compare RUN RUN...`.",
        *scores.notes,
    ]


def interval_notes(resamples: int, notes: tuple[str, ...]) -> list[str]:
    """How intervals were made."""
    return [
        f"Intervals: {100 * LEVEL:.0f} %, percentile bootstrap with {resamples} resamples of the test fold"
        f" (seed {SEED}), predictions and tau as they are. Utterances of one video share speaker and topic,"
        " so the interval over videos, which resamples whole videos, is the one to trust.",
        *notes,
    ]


def _target(measured: SweepResult) -> list[str]:
    if measured.predictions.target is None:
        return []
    return [
        "Tested elsewhere than on the run's own test fold. Neither training nor validation had any of these"
        " utterances. Validation fold, counterfactual vocabulary and, in the strict protocol, class means are"
        " of the corpus of training; only the paper protocol takes means and tau from the utterances tested"
        " on. Rows were served no longer than in training."
    ]


def _seeds(scores: SweepScores) -> str:
    if scores.plan.pattern == SMM:
        return "nothing random"
    return f"seeds {', '.join(map(str, scores.plan.mask_seeds))}"


def _checkpoint(facts: RunFacts) -> str:
    selection = facts.recipe.selection
    rates = ", ".join(f"{rate:g}" for rate in selection.rates)
    by = f"chosen by {selection.metric} on the validation fold, missing rate {rates}"
    if facts.result is None:
        return f"Checkpoint: {by}. Training has not ended: this is the best epoch so far."
    return (
        f"Checkpoint: epoch {facts.result.get('best_epoch')} of {facts.result.get('epochs')}, {by}; training"
        f" ended by {facts.result.get('reason')}."
    )


def _tau(scores: SweepScores, num_valid: int) -> list[str]:
    if scores.tau is None:
        return ["The model has no counterfactual text, so there is no tau to choose."]
    return [
        f"tau: {scores.tau:.1f}, the weakest of the best of {len(TAU_GRID)} strengths from {TAU_GRID[0]:g} to"
        f" {TAU_GRID[-1]:g}, by"
        f" {METRIC_TITLES[scores.tau_metric]} on the {num_valid} validation utterances over all points and"
        " mask seeds of this sweep. A sweep over other points may choose another tau."
    ]


def _area(scores: SweepScores) -> list[str]:
    plan = scores.plan
    if plan.area_name == AUILC:
        return [
            f"AUILC: trapezoid area of a score over the {len(plan.rates)} missing rates from 0.0 to 1.0;"
            " other rates between them give another area."
        ]
    if plan.area_name == NORMALISED_AREA:
        return [
            f"{area_title(plan)}: trapezoid area over these rates divided by their range. The rates do not"
            " span 0.0 to 1.0, so this is no AUILC and not to be compared with one."
        ]
    return []


def _masks(scores: SweepScores) -> list[str]:
    if scores.plan.pattern == SMM:
        return []
    return [
        "Masks: whether a position is lost depends on the mask seed, the pattern, the utterance and the"
        " position alone, and what is lost at a rate is lost at every higher one too. Complete data (rate 0)"
        " and data of which nothing is left (rate 1) are the same for all patterns and seeds."
    ]
