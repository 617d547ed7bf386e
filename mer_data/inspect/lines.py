"""Summaries as lines for people."""

from __future__ import annotations

from typing import Any

from mer_data.inspect.summary import QUANTILES, Summary
from mer_data.utterances import FOLDS

TIME_LINE_WIDTH = 48


def describe(summary: Summary) -> list[str]:
    """A summary as lines for people."""
    lines: list[str] = {
        "store": _store_lines,
        "split": _split_lines,
        "statistics": _statistics_lines,
        "vocabulary": _vocabulary_lines,
        "utterance": _utterance_lines,
    }[summary["kind"]](summary)
    return lines


def _store_lines(store: Summary) -> list[str]:
    seconds = store["duration_s"]
    length = "no times" if seconds is None else f"{_hours(seconds)} h of segments"
    lines = [
        f"{store['dataset']}, {store['alignment']}: {store['num_utterances']} utterances of"
        f" {store['num_videos']} videos, {length}, {store['num_bytes'] / 1e6:.1f} MB",
        f"text    tokenizer {store['tokenizer']}, {store['vocabulary_size']} pieces in its vocabulary",
    ]
    for modality in store["feature_sets"]:
        rate = store["frame_rate_hz"][modality]
        if store["alignment"] == "aligned":
            frames = "one frame per word piece"
        else:
            frames = "frames as in the source" if rate is None else f"{rate:g} frames per second"
        columns = store["num_columns"][modality]
        lines.append(f"{modality:<8}{store['feature_sets'][modality]}, {columns} columns, {frames}")
    for task, counts in store["counts"].items():
        classes = list(next(iter(counts.values())))
        rows = [[fold, sum(found.values()), *found.values()] for fold, found in counts.items()]
        lines += ["", *_table([task, "all", *classes], rows)]
    quantiles = [[name, *found.values()] for name, found in store["lengths"].items() if found]
    lines += ["", *_table(["length", *QUANTILES], quantiles), ""]
    changed = {name.replace("_", " "): count for name, count in store["cleaning"].items() if count}
    lines += [f"{name}: {count}" for name, count in sorted(changed.items())]
    lines += [f"dropped {drop['id']}: {drop['reason']}" for drop in store["dropped"]]
    lines += [f"source {name} {digest}" for name, digest in store["sources"].items()]
    return [*lines, f"utterances {store['utterance_digest']}", f"content {store['content_digest']}"]


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def _table(header: list[Any], rows: list[list[Any]]) -> list[str]:
    """Columns of equal width, the first to the left and numbers to the right."""
    cells = [
        [f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row] for row in (header, *rows)
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    ]


def _split_lines(split: Summary) -> list[str]:
    parameters = {name: value for name, value in split["generator"].items() if name != "name"}
    maker = " ".join([str(split["generator"].get("name", "?")), *(f"{k} {v}" for k, v in parameters.items())])
    sizes = " / ".join(str(split["sizes"][fold]) for fold in FOLDS)
    lines = [
        f"{split['dataset']}, {split['split_kind']} split, task {split['task']}:"
        f" {sizes} (train / valid / test), {split['num_dropped']} dropped",
        f"made by {maker}",
    ]
    shift = dict(split["shift"])
    shares = shift.pop("label_shares", {})
    if shares:
        rows = [[fold, *(f"{share:.1%}" for share in found.values())] for fold, found in shares.items()]
        lines += ["", *_table(["share", *next(iter(shares.values()))], rows), ""]
    top = [entry["word"] for entry in shift.pop("top_words", [])]
    for name, value in shift.items():
        inner = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        lines.append(f"{name.replace('_', ' ')}: {inner}")
    lines += [f"words that shift most: {', '.join(top)}"] if top else []
    return [*lines, f"made from utterances {split['utterance_digest']}", f"digest {split['digest']}"]


def _statistics_lines(statistics: Summary) -> list[str]:
    used = {f"used for {modality}": counts for modality, counts in statistics["used"].items()}
    rows: list[list[Any]] = [
        ["utterances", *statistics["counts"].values()],
        ["prior", *(f"{prior:.4f}" for prior in statistics["priors"].values())],
        *([name, *counts] for name, counts in used.items()),
    ]
    widths = ", ".join(f"{modality} {width}" for modality, width in statistics["widths"].items())
    return [
        f"class statistics, task {statistics['task']}, widths of the means: {widths}",
        "",
        *_table(["training", *statistics["counts"]], rows),
        "",
        *(f"{name.replace('_', ' ')}: {value}" for name, value in statistics["origin"].items()),
    ]


def _vocabulary_lines(vocabulary: Summary) -> list[str]:
    parameters = ", ".join(f"{name} {value}" for name, value in vocabulary["parameters"].items())
    return [
        f"counterfactual vocabulary, task {vocabulary['task']}: {len(vocabulary['tokens'])} tokens",
        f"made with {parameters}",
        " ".join(vocabulary["tokens"]),
        *(f"{name.replace('_', ' ')}: {value}" for name, value in vocabulary["origin"].items()),
    ]


def _utterance_lines(utterance: Summary) -> list[str]:
    start, end = utterance["interval_s"]
    place = "no times" if start is None or end is None else f"{start:.2f} to {end:.2f} s"
    classes = ", ".join(utterance["classes"].values())
    frames = ", ".join(f"{modality} {count}" for modality, count in utterance["num_frames"].items()) or "none"
    return [
        f"{utterance['id']}: label {utterance['label']:+g} ({classes}), fold {utterance['fold']}, {place}",
        f"  {utterance['text']}",
        *time_line(utterance["words"], start, end),
        f"{len(utterance['words'])} words, {len(utterance['pieces'])} word pieces; frames: {frames}",
        " ".join(utterance["pieces"]),
    ]


def time_line(words: list[Summary], start: float | None, end: float | None) -> list[str]:
    """One line per word: start, end, its place between the segment's start and end, and the word.

    The line reaches as far as the words do where they cross the segment's border. A word without times has
    no bar.
    """
    borders = [b for w in words for b in (w["start_s"], w["end_s"]) if b is not None]
    borders += [b for b in (start, end) if b is not None]
    low, high = min(borders, default=0.0), max(borders, default=0.0)
    scale = TIME_LINE_WIDTH / (high - low) if high > low else 0.0
    lines = []
    for word in words:
        if word["start_s"] is None or word["end_s"] is None:
            lines.append(f"{'-':>8} {'-':>8} |{' ' * TIME_LINE_WIDTH}| {word['token']}")
            continue
        first = min(int((word["start_s"] - low) * scale), TIME_LINE_WIDTH - 1)
        last = max(first + 1, min(round((word["end_s"] - low) * scale), TIME_LINE_WIDTH))
        bar = (" " * first + "█" * (last - first)).ljust(TIME_LINE_WIDTH)
        lines.append(f"{word['start_s']:8.2f} {word['end_s']:8.2f} |{bar}| {word['token']}")
    return lines
