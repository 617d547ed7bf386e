"""Charts as SVG elements inside a page: they take the page's fonts, and its colours in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any, ParamSpec

from mer_data.reports.charts.lines import NUM_COLOURS, series_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")
INK, MUTED, GRID, PAPER = "#1b1b1c", "#6a6a6c", "#dddde0", "#fffffe"
CLASS_COLOURS = ("#00224e", "#17466f", "#2a6b86", "#4b8f96", "#76b094", "#a7cea0", "#dcedc5")
"""Of the seven classes, from negative (dark) to positive (light)."""
_SERIES_IN_THE_DARK = ("#d6e4ff", "#ee9f6d", "#58afc2", "#c77aa6", "#4d8a55")
DARK_COLOURS = {
    MUTED: "#a5a5aa",
    GRID: "#3c3c40",
    CLASS_COLOURS[0]: "#274b86",
    CLASS_COLOURS[1]: "#2f648f",
} | {series_style(index).colour: _SERIES_IN_THE_DARK[index] for index in range(NUM_COLOURS)}
"""Colours that differ on a dark screen: the stylesheet has a variable for each, "--c" and its digits."""
_SYSTEM = {INK: "currentColor", PAPER: "Canvas"}

CHART_STYLE: Any = {
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "mer-data",  # else the ids inside differ from run to run
}
"""Settings of matplotlib while a chart of a page is drawn and saved."""


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under ``CHART_STYLE``, without the global state of pyplot."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        from matplotlib import rc_context

        with rc_context(CHART_STYLE):
            return draw(*args, **kwargs)

    return drawn


def inline_svg(figure: Figure, name: str, alt: str) -> str:
    """A chart as one SVG element without fonts, dates and ids that another chart of the page has.

    Args:
        figure: drawn under ``CHART_STYLE``.
        name: of this chart in its page: letters, digits, "-" and "_".
        alt: what it shows, for those who cannot see it.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context(CHART_STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = _lighter(text[text.index("<svg") :])
    opening = f'<svg class="drawing" role="img" aria-label="{escape(alt)}" xmlns="http://www.w3.org/2000/svg"'
    text = re.sub(r'^<svg[^>]*?( viewBox="[^"]+")[^>]*>', lambda found: f"{opening}{found.group(1)}>", text)
    used = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda found: _own_id(found.group(1), used, name), text)
    text = re.sub(
        r'(url\(|xlink:href=")#', lambda found: f"{found.group(1).removeprefix('xlink:')}#{name}-", text
    )
    text = re.sub(r"#[0-9a-f]{6}", lambda found: _page_colour(found.group()), text)
    return _shared_styles(text, name)


def _shared_styles(text: str, name: str) -> str:
    """The drawing with each style written once, as a class of its own."""
    styles: dict[str, int] = {}

    def as_class(found: re.Match[str]) -> str:
        return f'class="{name}-{styles.setdefault(found.group(1), len(styles))}"'

    text = re.sub(r'style="([^"]*)"', as_class, text)
    rules = "\n".join(f"svg.drawing .{name}-{number} {{ {style} }}" for style, number in styles.items())
    return text.replace(">", f">\n<style>\n{rules}\n</style>", 1)


def _lighter(text: str) -> str:
    """The drawing without what a page does not need: half the bytes, and not a pixel else."""
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|<g/>", "", text, flags=re.DOTALL)
    text = re.sub(r" font-family: [^;\"]*;| transform=\"rotate\(-0 [^\"]*\"", "", text)
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag.group()), text)
    kept: list[bool] = []

    def group(tag: re.Match[str]) -> str:
        """Groups that say nothing go; which end belongs to which beginning is a matter of order."""
        if tag.group() == "</g>":
            return tag.group() if kept.pop() else ""
        kept.append("=" in re.sub(r' id="[^"]*"', "", tag.group()))
        return tag.group() if kept[-1] else ""

    text = re.sub(r"<g>|<g [^>]*>|</g>", group, text)
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def _own_id(found: str, used: set[str], name: str) -> str:
    """An id that something refers to, made this chart's own; others go."""
    return f' id="{name}-{found}"' if found in used else ""


def _page_colour(colour: str) -> str:
    """The name that the page gives a colour, where it has one."""
    if colour in _SYSTEM:
        return _SYSTEM[colour]
    return f"var(--c{colour[1:]})" if colour in DARK_COLOURS else colour
