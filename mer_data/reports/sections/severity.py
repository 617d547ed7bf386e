"""The severity curve: divergence and text probes of splits from random to the strongest that is found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mer_data.progress import Progress
from mer_data.reports.charts.shift import CurvePanel, curves
from mer_data.reports.encoder_probe import EncoderProbe
from mer_data.reports.formatting import (
    ShiftMeasure,
    count_of,
    mean_and_deviation,
    measure,
    number,
    percent,
    percent_spread,
    spread,
)
from mer_data.reports.numbering import Numbering
from mer_data.reports.page import Section, Table
from mer_data.reports.sections.shift import BITS, METRICS, PROBE
from mer_data.splits import RepartitionSettings, SplitManifest, repartition
from mer_data.splits.defaults import default_of
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task

DIVERGENCE, BAG_OF_WORDS = "divergence", "bag of words"
_LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


def severities_of(dataset: str, task: Task) -> tuple[float, ...]:
    """Five levels from end to end, and the default of the corpus and task among them."""
    return tuple(sorted({*_LEVELS, _default_severity(dataset, task)}))


def _default_severity(dataset: str, task: Task) -> float:
    default = default_of(dataset, task.name)
    return default.severity[default.group_by]


@dataclass(frozen=True)
class SeverityCurve:
    """Measures of S severities over several seeds.

    Attributes:
        task: of the splits.
        levels: severities, rising (S).
        seeds: one search each.
        default: the severity that ``mer-data repartition`` takes when none is named.
        measures: for every measure its mean and standard deviation at each severity (S).
        baselines: for every measure its value on the standard folds and on random splits.
        encoder_name: text encoder of the second probe, where there is one.
    """

    task: Task
    levels: tuple[float, ...]
    seeds: tuple[int, ...]
    default: float
    measures: dict[str, list[tuple[float | None, float | None]]]
    baselines: dict[str, ShiftMeasure]
    encoder_name: str | None

    def to_json(self) -> list[dict[str, Any]]:
        """One object a severity."""
        rows: list[dict[str, Any]] = [{"severity": level} for level in self.levels]
        for name, values in self.measures.items():
            for row, (mean, deviation) in zip(rows, values, strict=True):
                row[name] = {"mean": mean, "std": deviation}
        return rows


def severity_curve(
    store: FeatureStore,
    task: Task,
    levels: Sequence[float],
    seeds: Sequence[int],
    *,
    encoder: EncoderProbe | None = None,
    progress: Progress | None = None,
) -> SeverityCurve:
    """Search once a seed, with the default parameters, and measure the splits at every severity.

    Args:
        store: gives the utterances.
        task: of the splits.
        levels: severities in [0, 1].
        seeds: of the searches.
        encoder: a second text probe.
        progress: called with the proposals done and in total, over all seeds.

    Raises:
        SplitError: the store gives no splits (see ``mer_data.splits.repartition``).
    """
    levels = tuple(sorted(set(levels)))
    runs = [
        repartition(
            store.utterances,
            dataset=store.dataset,
            utterance_digest=store.utterance_digest,
            task=task,
            settings=RepartitionSettings(seed=seed),
            severities=levels,
            progress=_part_of(progress, place, len(seeds)),
        )
        for place, seed in enumerate(seeds)
    ]
    readers: dict[str, Callable[[SplitManifest], float | None]] = {
        DIVERGENCE: lambda split: measure(split.shift, BITS, "this_split"),
        BAG_OF_WORDS: lambda split: measure(split.shift, PROBE, "test"),
    }
    first = runs[0][0]
    baselines = {
        DIVERGENCE: ShiftMeasure.from_recorded(first.shift[BITS]),
        BAG_OF_WORDS: ShiftMeasure.from_recorded(first.shift[PROBE], "test"),
    }
    if encoder is not None:
        readers[encoder.encoder_name] = lambda split: encoder.test_accuracy(split, task)
        baselines[encoder.encoder_name] = encoder.scores(first, task)
    measures = {
        name: [mean_and_deviation([read(run[place]) for run in runs]) for place in range(len(levels))]
        for name, read in readers.items()
    }
    return SeverityCurve(
        task,
        levels,
        tuple(seeds),
        _default_severity(store.dataset, task),
        measures,
        baselines,
        None if encoder is None else encoder.encoder_name,
    )


def _part_of(progress: Progress | None, part: int, parts: int) -> Progress | None:
    """Progress of one of several equal parts."""
    if progress is None:
        return None

    def report(done: int, total: int, text: str = "", /) -> None:
        progress(part * total + done, parts * total)

    return report


def severity_section(curve: SeverityCurve, numbering: Numbering) -> Section:
    """The curve as a figure, a table and a sentence."""
    metric = METRICS[curve.task.name]
    names = {DIVERGENCE: "divergence", BAG_OF_WORDS: "bags of words"}
    if curve.encoder_name is not None:
        names[curve.encoder_name] = f"{curve.encoder_name} embeddings"
    probes = [name for name in curve.measures if name != DIVERGENCE]
    panels = [
        _panel("Divergence (bits)", curve, [DIVERGENCE], names, in_percent=False),
        _panel(f"{metric} on test", curve, probes, names, in_percent=True),
    ]
    drawing = numbering.draw(
        f"severity_{curve.task.name}",
        curves(
            curve.levels,
            panels,
            x_label="Severity (0: as a random split, 1: the strongest found)",
            mark=(curve.default, f"default {curve.default:g}"),
        ),
        f"Task {curve.task.name}: divergence and accuracy of text probes against severity. Bars and bands are"
        " one standard deviation; the vertical line is the default severity.",
        f"Two line charts: divergence rises and probe accuracy falls with severity, task {curve.task.name}",
    )
    return Section(
        f"Task {curve.task.name}",
        paragraphs=[_sentence(curve, names, metric)],
        tables=[_table(curve, names, probes, metric, numbering)],
        figures=[drawing],
    )


def _panel(
    label: str, curve: SeverityCurve, measures: Sequence[str], names: dict[str, str], *, in_percent: bool
) -> CurvePanel:
    series, levels = {}, {}
    for name in measures:
        baseline = curve.baselines[name]
        series[names[name]] = [
            (math.nan if mean is None else mean, deviation) for mean, deviation in curve.measures[name]
        ]
        lines = {
            "standard folds": (baseline.standard, None),
            "random splits": (baseline.random_mean, baseline.random_std),
        }
        levels[names[name]] = [
            (line, (mean, deviation)) for line, (mean, deviation) in lines.items() if mean is not None
        ]
    return CurvePanel(label, series, levels, in_percent)


def _table(
    curve: SeverityCurve, names: dict[str, str], probes: Sequence[str], metric: str, numbering: Numbering
) -> Table:
    lines = []
    for place, level in enumerate(curve.levels):
        label = f"{level:g} (default)" if level == curve.default else f"{level:g}"
        lines.append((label, {name: values[place] for name, values in curve.measures.items()}))
    baselines = curve.baselines.items()
    lines.append(
        ("random splits", {name: (found.random_mean, found.random_std) for name, found in baselines})
    )
    lines.append(("standard folds", {name: (found.standard, None) for name, found in baselines}))
    rows = [
        {
            "Severity": label,
            "Divergence (bits)": spread(*values[DIVERGENCE]),
            **{f"{metric}, {names[name]} (%)": percent_spread(*values[name]) for name in probes},
        }
        for label, values in lines
    ]
    seeds = ", ".join(map(str, curve.seeds))
    spreads = "mean and standard deviation over seeds" if len(curve.seeds) > 1 else "seed"
    return numbering.table(f"Severity, task {curve.task.name}: {spreads} {seeds}.", rows)


def _sentence(curve: SeverityCurve, names: dict[str, str], metric: str) -> str:
    first, last = curve.levels[0], curve.levels[-1]
    text = (
        f"One search for each of {count_of(len(curve.seeds), 'seed')}, with default parameters; all"
        " severities of a search have the sizes of the standard folds."
    )
    if first == last:
        return text
    ends = []
    for name, ((start, _), *_, (end, _)) in curve.measures.items():
        if name == DIVERGENCE:
            ends.append(f"the divergence goes from {number(start, 3)} to {number(end, 3)} bits")
        else:
            ends.append(f"{metric} of the probe on {names[name]} from {percent(start)} to {percent(end)} %")
    return f"{text} From severity {first:g} to {last:g} {', '.join(ends)}."
