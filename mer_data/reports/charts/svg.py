"""Charts as SVG elements inside a page: they take the page's fonts, and its colours in light and dark."""

from __future__ import annotations

import io
import re
from html import escape

from matplotlib.figure import Figure

from mer_data.reports.charts.style import CLASS_COLOURS, COLOURS, GRID, INK, MUTED, PAGE_STYLE, PAPER, styled

_SERIES_IN_THE_DARK = ("#d6e4ff", "#ee9f6d", "#58afc2", "#c77aa6", "#4d8a55")
DARK_COLOURS = {
    MUTED: "#a5a5aa",
    GRID: "#3c3c40",
    CLASS_COLOURS[0]: "#274b86",
    CLASS_COLOURS[1]: "#2f648f",
    **dict(zip(COLOURS, _SERIES_IN_THE_DARK, strict=True)),
}
"""Colours that differ on a dark screen: the stylesheet has a variable for each, "--c" and its digits."""
_SYSTEM = {INK: "currentColor", PAPER: "Canvas"}


@styled(PAGE_STYLE)
def inline_svg(figure: Figure, name: str, alt: str) -> str:
    """A chart as one SVG element without fonts, dates and ids that another chart of the page has.

    Args:
        figure: drawn under ``PAGE_STYLE``.
        name: of this chart in its page: letters, digits, "-" and "_".
        alt: what it shows, for those who cannot see it.
    """
    buffer = io.StringIO()
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
