import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mer_data.reports.charts.style import CLASS_COLOURS, INK, PAGE_STYLE, PAPER, styled
from mer_data.reports.charts.svg import inline_svg
from mer_data.reports.page import Report

STYLE = Report("t").to_html().partition("<style>")[2].partition("</style>")[0]


@styled(PAGE_STYLE)
def chart(title: str = "t") -> Figure:
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], "o", color=PAPER, label="$a$", clip_on=True)
    axes.bar([0, 1], [1, 2], color=CLASS_COLOURS[0])
    axes.set_title(title)
    axes.legend()
    return figure


def test_equal_charts_give_equal_elements():
    assert inline_svg(chart(), "c", "a") == inline_svg(chart(), "c", "a")


def test_is_one_element_that_needs_nothing_else():
    svg = inline_svg(chart(), "c", 'a <b> "c"')
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'a <b> "c"'
    assert "width" not in root.attrib
    assert "viewBox" in root.attrib
    for absent in ("<?xml", "<!DOCTYPE", "<metadata", "style=", "<image", "dc:date", "DejaVu"):
        assert absent not in svg
    assert set(re.findall(r"https?://[^\"]+", svg)) <= {"http://www.w3.org/2000/svg"}


def test_ids_are_those_of_the_chart_and_all_references_lead_somewhere():
    one, other = (inline_svg(chart(), name, "a") for name in ("one", "other"))
    for svg, name in ((one, "one"), (other, "other")):
        ids = re.findall(r' id="([^"]+)"', svg)
        references = re.findall(r"(?:url\(|href=\")#([^)\"]+)", svg)
        assert len(set(ids)) == len(ids)
        assert references
        assert set(references) == set(ids)
        assert all(found.startswith(f"{name}-") for found in ids)


def test_colours_are_the_pages():
    svg = inline_svg(chart(), "c", "a")
    variables = set(re.findall(r"var\((--[^)]+)\)", svg))
    assert f"--c{CLASS_COLOURS[0][1:]}" in variables
    for name in variables:
        light, dark = re.findall(rf"{name}: (#[0-9a-f]{{6}});", STYLE)
        assert light == f"#{name[3:]}"
        assert dark != light
    assert "currentColor" in svg
    assert "Canvas" in svg
    assert INK not in svg
    assert PAPER not in svg


def test_names_are_shown_as_they_are():
    svg = inline_svg(chart("a_$b$ & <c>"), "c", "a")
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
    assert "a_$b$ & <c>" in texts
    assert "$a$" in texts


def test_classes_can_be_told_apart_in_grey():
    grey = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(to_rgb, CLASS_COLOURS)]
    assert all(after - before > 0.08 for before, after in pairwise(grey))


def test_the_settings_of_matplotlib_are_left_as_they_were():
    from matplotlib import rcParams

    before = dict(rcParams)
    inline_svg(chart(), "c", "a")
    assert dict(rcParams) == before


@pytest.mark.parametrize("medium", ["screen and (prefers-color-scheme: dark)", "print"])
def test_the_style_knows_dark_screens_and_paper(medium):
    assert f"@media {medium}" in STYLE
