"""Drawing a correction: its texts, the scores of every step, and the caption."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cider.figures.corrected_prediction import BOTH, COUNTERFACTUAL_TEXT, MCM, PLAIN, Correction, Piece
from mer_data.files.writing import write_json
from mer_data.reports.charts.style import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _MARGIN = 8.6, 0.2
"""Inches."""
_FONT, _LINE = 8.5, 0.165
"""Points of the letters of texts, and inches from line to line."""
_LETTERS = int((_WIDTH - 2 * _MARGIN) * 72 / (0.602 * _FONT))
"""Letters on a line: those of a fixed-width font are 0.602 of its size."""
_TRUE, _OTHER = "#00204d", "0.72"
_TITLES = {
    PLAIN: "1. plain",
    MCM: "2. with MCM",
    COUNTERFACTUAL_TEXT: "3. counterfactual text",
    BOTH: "4. with both: 2 less tau x 3",
}


def write_correction(correction: Correction, stem: str | Path) -> list[Path]:
    """Write ``stem`` as PNG, PDF and JSON; return their paths."""
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = draw_correction(correction, stem)
    facts = stem.with_name(f"{stem.name}.json")
    write_json(facts, correction.to_json())
    return [*paths, facts]


def draw_correction(correction: Correction, path_stem: Path) -> list[Path]:
    """Save a correction as PNG (150 dpi) and PDF; equal input gives equal bytes.

    Returns:
        The paths of the PNG and the PDF.
    """
    from matplotlib.figure import Figure

    text = textwrap.wrap(correction.text, _LETTERS) or ["(no words)"]
    masked = wrap_pieces(correction.pieces, _LETTERS) or [[(0, "(no words)", False)]]
    caption = textwrap.wrap(correction.caption, int(1.3 * _LETTERS))
    bars = 0.75 + 0.26 * len(correction.classes)
    lines = len(text) + len(masked) + len(caption) + 3.5
    height = 2 * _MARGIN + _LINE * lines + bars
    figure = Figure(figsize=(_WIDTH, height))
    y = height - _MARGIN
    y = _heading(figure, "Text", y)
    for line in text:
        y = _write(figure, [(0, line, False)], y)
    y = _heading(figure, "Counterfactual text: kept words in bold", y - 0.5 * _LINE)
    for pieces in masked:
        y = _write(figure, pieces, y)
    _draw_steps(figure, correction, top=y - 0.5 * _LINE, bars=bars)
    y -= bars + 0.5 * _LINE
    for line in caption:
        y = _write(figure, [(0, line, False)], y, family="sans-serif", size=7.5)
    return save_figure(figure, path_stem)


def wrap_pieces(pieces: Sequence[Piece], letters: int) -> list[list[tuple[int, str, bool]]]:
    """Pieces on lines of at most so many letters: column, text, and whether it is bold (kept).

    Pieces of one word stand together where they are kept; every piece that is not kept is a [MASK].
    """
    lines: list[list[tuple[int, str, bool]]] = []
    column = letters + 1
    for piece in pieces:
        joined = piece.kept and piece.text.startswith("##") and bool(lines)
        shown = piece.text.removeprefix("##") if joined else piece.text
        shown = shown if piece.kept else "[MASK]"
        if column + len(shown) + (not joined) > letters:
            lines.append([])
            column = 0
        elif not joined:
            column += 1
        lines[-1].append((column, shown, piece.kept))
        column += len(shown)
    return lines


def _heading(figure: Figure, text: str, y: float) -> float:
    figure.text(
        _MARGIN / _WIDTH, y / figure.get_figheight(), text, va="top", fontsize="medium", fontweight="bold"
    )
    return y - 1.3 * _LINE


def _write(
    figure: Figure,
    words: Sequence[tuple[int, str, bool]],
    y: float,
    *,
    family: str = "monospace",
    size: float = _FONT,
) -> float:
    """One line, top at ``y`` inches from the bottom of the figure; the top of the next."""
    letter = 0.602 * _FONT / 72
    for column, text, bold in words:
        figure.text(
            (_MARGIN + column * letter) / _WIDTH,
            (y - 0.75 * _LINE) / figure.get_figheight(),
            text,
            family=family,
            fontsize=size,
            fontweight="bold" if bold else "normal",
            color="black" if bold or family != "monospace" or not text.startswith("[") else "0.45",
            parse_math=False,
        )
    return y - _LINE


def _draw_steps(figure: Figure, correction: Correction, *, top: float, bars: float) -> None:
    """A panel of bars per step, between ``top`` and ``top - bars`` inches."""
    height = figure.get_figheight()
    left, gap = 0.15 + 0.066 * len(f"{max(correction.classes, key=len)} (true)"), 0.18
    width = (_WIDTH - left - _MARGIN - 3 * gap) / 4
    for number, (name, title) in enumerate(_TITLES.items()):
        place = (
            (left + number * (width + gap)) / _WIDTH,
            (top - bars + 0.45) / height,
            width / _WIDTH,
            (bars - 0.75) / height,
        )
        axes = figure.add_axes(place)
        _draw_scores(axes, correction, name)
        axes.set_title(title, fontsize="small", loc="left")
        if number:
            axes.set_yticks([])


def _draw_scores(axes: Axes, correction: Correction, name: str) -> None:
    """Bars of one step; the true class is dark and hatched, the answer's number bold."""
    values, classes = correction.scores[name].tolist(), correction.classes
    answer = max(range(len(values)), key=values.__getitem__)
    low, high = min(0.0, *values), max(0.0, *values)
    if name != BOTH:
        low, high = 0.0, 1.0
    span = (high - low) or 1.0
    for row, value in enumerate(values):
        true = row == correction.true_class
        axes.barh(
            row,
            value,
            height=0.72,
            color=_TRUE if true else _OTHER,
            hatch="////" if true else None,
            edgecolor="white" if true else "0.4",
            linewidth=0.5,
        )
        axes.text(
            max(value, 0.0) + 0.03 * span,
            row,
            f"{value:.3f}",
            va="center",
            fontsize="small",
            fontweight="bold" if row == answer else "normal",
        )
    axes.axvline(0, color="0.3", linewidth=0.8)
    if name != BOTH:
        axes.set_xticks([0, 0.5, 1])
    axes.set_xlim(low - (0.05 * span if low < 0 else 0), high + 0.42 * span)
    names = [
        f"{label} (true)" if row == correction.true_class else label for row, label in enumerate(classes)
    ]
    axes.set_yticks(range(len(classes)), names, fontsize="small")
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize="small")
    axes.spines[["top", "right", "left"]].set_visible(False)
    of_logarithms = correction.debiasing == "log"
    label = (
        ("score of logarithms" if of_logarithms else "score, not probability")
        if name == BOTH
        else "probability"
    )
    axes.set_xlabel(label, fontsize="small")
