import base64
from html.parser import HTMLParser

import pandas as pd
import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from mer_data.errors import MerDataError
from mer_data.reports import Figure, Report, Section, Table, line_chart
from mer_data.reports.page import Drawing
from mer_data.reports.templating import escape_html, escape_markdown, render


class Page(HTMLParser):
    """Elements of a page with their attributes, its text, and whether every element is closed in order."""

    VOID = frozenset({"meta", "img", "wbr"})

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def attributes(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def report(tmp_path) -> Report:
    png, _ = line_chart(
        {"a": [(0, 0.5, None), (1, 0.4, None)]},
        x_label="x",
        y_label="y",
        title="t",
        path_stem=tmp_path / "fig (1)",
    )
    frame = pd.DataFrame({"model": ["CIDer", "<a|b>"], "Acc2": ["78.1 ± 0.3", "70.0"]}, index=[7, 8])
    table = Table("Table 1. Scores & areas.", frame)
    figure = Figure(png, "Figure 1. It <falls>.", 'line "a"')
    return Report(
        "Run <1>", ["Video _dI--x_ with tau_best * 2."], [Section("Numbers", ["- first"], [table], [figure])]
    )


def test_html_is_one_escaped_file(report, tmp_path):
    html = report.to_html()
    page = Page(html)
    assert page.open == []
    assert page.attributes("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.attributes("meta")
    assert any(meta.get("name") == "viewport" for meta in page.attributes("meta"))
    text = "".join(page.text)
    for shown in ("Run <1>", "<a|b>", "Table 1. Scores & areas.", "Figure 1. It <falls>.", "@media print"):
        assert shown in text
    (image,) = page.attributes("img")
    assert image["alt"] == 'line "a"'
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == (tmp_path / "fig (1).png").read_bytes()
    assert 'src="http' not in html
    assert "<link" not in html
    assert [cell["scope"] for cell in page.attributes("th")] == ["col", "col", "row", "row"]


def test_markdown_has_the_same_content(report, tmp_path):
    lines = report.to_markdown(tmp_path).splitlines()
    assert lines[0] == r"# Run \<1\>"
    assert r"Video \_dI--x\_ with tau_best \* 2." in lines
    assert "## Numbers" in lines
    assert r"\- first" in lines
    assert '![line "a"](fig%20%281%29.png)' in lines
    start = lines.index("| model | Acc2 |")
    assert lines[start + 1 : start + 4] == ["| :-- | --: |", "| CIDer | 78.1 ± 0.3 |", r"| \<a\|b\> | 70.0 |"]
    assert lines[start - 1] == lines[start + 4] == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2. second", r"2\. second"),
        ("2.5 points", "2.5 points"),
        ("# no heading", r"\# no heading"),
        ("a\n\n  b", "a b"),
        ("[x](y) `z`", r"\[x\](y) \`z\`"),
        ("AT&T \\ |", r"AT\&T \\ \|"),
    ],
)
def test_markdown_shows_text_as_it_is(text, expected):
    assert Report("t", [text]).to_markdown() == f"# t\n\n{expected}\n"


def test_templates_escape_what_nobody_marked_as_safe():
    assert escape_html("<'\">") == "&lt;&#x27;&quot;&gt;"
    assert escape_markdown("*a*\n{{ b }}") == r"\*a\* {{ b }}"
    for escape in (escape_html, escape_markdown):
        assert escape(Markup("<b>*</b>")) == "<b>*</b>"
        assert escape(escape("<*>")) == escape("<*>")
    with pytest.raises(UndefinedError, match="'report' is undefined"):
        render("page.html.j2")


def test_a_text_with_template_marks_is_shown_as_it_is():
    page = Report("{{ 7 * 7 }}", ["{% raw %} {# c #}"])
    assert "{{ 7 * 7 }}" in page.to_html()
    assert page.to_markdown() == "# {{ 7 \\* 7 }}\n\n{% raw %} {# c #}\n"


def test_write_makes_both_files(report, tmp_path):
    folder = tmp_path / "reports" / "rmfm"
    paths = report.write(folder)
    assert [path.name for path in paths] == ["summary.md", "summary.html"]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert "](../../fig%20%281%29.png)" in paths[0].read_text(encoding="utf-8")
    assert paths[1].read_text(encoding="utf-8") == report.to_html()


def test_a_missing_figure_is_refused(tmp_path):
    page = Report("t", (), [Section("s", figures=[Figure(tmp_path / "no.png", "c", "a")])])
    with pytest.raises(
        MerDataError, match=r"PNG of a figure is missing in .*no\.png\. Draw the figure first"
    ):
        page.write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def nested() -> Report:
    drawing = Drawing("<svg class='drawing'></svg>", "Figure 1. <Shares>.", "bars")
    frame = pd.DataFrame({"Split": ["ood_<1>"], "Ids": ["a, b"], "n": [3]})
    part = Section(
        "Part & parcel",
        facts=[("Digest", "sha256:1\nfor <all>")],
        tables=[Table("Folded <1>.", frame, text_columns=["Ids"], folded=True), Table("Open.", frame)],
        figures=[drawing],
    )
    return Report("t", (), [Section("First", ["p"], sections=[part]), Section("Second")], contents=True)


def test_parts_facts_drawings_and_folded_tables_in_html(nested):
    html = nested.to_html()
    page = Page(html)
    assert page.open == []
    assert [link["href"] for link in page.attributes("a")] == ["#s1", "#s2"]
    assert [section["id"] for section in page.attributes("section")] == ["s1", "s1-1", "s2"]
    assert [tag for tag, _ in page.elements if tag in ("h1", "h2", "h3")] == ["h1", "h2", "h3", "h2"]
    order = ["<dl>", "Open.", "<svg class='drawing'></svg>", "<details>", "Folded &lt;1&gt;."]
    assert [html.index(mark) for mark in order] == sorted(html.index(mark) for mark in order)
    assert "<dd>sha256:1\nfor &lt;all&gt;</dd>" in html
    assert "<summary>Folded &lt;1&gt;.</summary>" in html
    assert html.count("<caption>") == 1
    assert [cell.get("class") for cell in page.attributes("td")] == [None, None, "text", None]
    assert '<th scope="row">ood_<wbr>&lt;1&gt;</th>' in html
    assert "ood_<1>" in "".join(page.text)


def test_parts_facts_and_drawings_in_markdown(nested):
    assert nested.to_markdown().split("\n\n") == [
        "# t",
        "## First",
        "p",
        r"### Part \& parcel",
        r"**Digest**: sha256:1 for \<all\>",
        r"Folded \<1\>.",
        "| Split | Ids | n |\n| :-- | --: | --: |\n| ood\\_\\<1\\> | a, b | 3 |",
        "Open.",
        "| Split | Ids | n |\n| :-- | --: | --: |\n| ood\\_\\<1\\> | a, b | 3 |",
        "bars",
        r"Figure 1. \<Shares\>.",
        "## Second\n",
    ]


def test_folded_tables_are_open_on_paper(nested):
    style = nested.to_html().partition("@media print {")[2].partition("</style>")[0]
    assert "details::details-content { content-visibility: visible;" in style


def test_a_page_without_contents_has_no_links(report):
    assert "<nav" not in report.to_html()
