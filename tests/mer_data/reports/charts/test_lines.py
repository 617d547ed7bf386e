import sys
from itertools import combinations, pairwise

import matplotlib.image
import numpy as np
import pytest

from mer_data.errors import MerDataError
from mer_data.reports import line_chart
from mer_data.reports.charts.style import MOST_SERIES, series_style

RATES = [0.0, 0.5, 1.0]
SERIES = {
    "debiased": [(rate, 0.8 - 0.3 * rate, 0.02) for rate in RATES],
    "factual": [(rate, 0.7 - 0.2 * rate, None) for rate in reversed(RATES)],
}
TEXTS = {"x_label": "missing rate", "y_label": "Acc2", "title": "Accuracy falls"}


def luminance(colour: str) -> float:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_writes_a_png_and_a_pdf_that_are_equal_when_drawn_again(tmp_path):
    paths = line_chart(SERIES, **TEXTS, path_stem=tmp_path / "new" / "acc2.binary", percent=True)
    assert [path.name for path in paths] == ["acc2.binary.png", "acc2.binary.pdf"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")
    image = matplotlib.image.imread(paths[0])
    assert image.shape[0] > 600
    assert image.shape[1] == 960  # 6.4 inches at 150 dpi
    assert len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > 50
    again = line_chart(SERIES, **TEXTS, path_stem=tmp_path / "again", percent=True)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]
    assert b"CreationDate" not in paths[1].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.pdf", "again.png", "new"]


def test_series_that_stand_out_are_thick_and_the_others_thin_and_grey(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "matplotlib.axes.Axes.errorbar", lambda axes, x, y, *, label, **style: drawn.update({label: style})
    )
    series = {f"other {number}": [(0.0, 0.5, None)] for number in range(12)} | SERIES
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda figure, **_: None)
    line_chart(series, **TEXTS, path_stem=tmp_path / "chart", emphasis=list(SERIES))
    others = [style for name, style in drawn.items() if name not in SERIES]
    assert {style["linewidth"] for style in others} == {0.9}
    assert len({(s["color"], s["marker"], s["linestyle"]) for s in others}) == 12
    for style in others:
        assert 0.3 < float(style["color"]) < 0.7
    for name in SERIES:
        assert drawn[name]["linewidth"] > 2
        assert drawn[name]["zorder"] > others[0]["zorder"]


def test_series_can_be_told_apart_in_grey():
    styles = [series_style(i) for i in range(MOST_SERIES)]
    assert len(set(styles)) == MOST_SERIES
    for first, second in pairwise(styles):
        assert first.marker != second.marker
        assert first.dashes != second.dashes
    for first, second in combinations(styles[:5], 2):
        assert abs(luminance(first.colour) - luminance(second.colour)) > 0.1
    assert max(luminance(style.colour) for style in styles) < 0.7  # seen on white


def test_colours_differ_in_the_drawn_grey_image(tmp_path):
    def darkest(index: int) -> float:
        names = [f"s{i}" for i in range(index)]
        points = {name: [(0.0, float("nan"), None)] for name in names}
        flat = {**points, "seen": [(0.0, 1.0, None), (1.0, 1.0, None)]}
        path, _ = line_chart(flat, **TEXTS, path_stem=tmp_path / f"c{index}")
        image = matplotlib.image.imread(path)[..., :3] @ [0.299, 0.587, 0.114]
        return float(image[200:460, 400:700].min())

    values = [darkest(index) for index in range(3)]
    assert values == sorted(values)
    assert np.diff(values).min() > 0.05


def test_a_band_shades_around_its_line_only(tmp_path):
    flat = {"a": [(0.0, 0.5, None), (1.0, 0.5, None)], "b": [(0.0, 0.0, None), (1.0, 1.0, None)]}
    images = [
        matplotlib.image.imread(line_chart(flat, **TEXTS, path_stem=tmp_path / name, bands=bands)[0])
        for name, bands in (("plain", None), ("band", {"a": [(0.0, 0.45, 0.55), (1.0, 0.45, 0.55)]}))
    ]
    changed = np.flatnonzero((images[0] != images[1]).any(axis=(1, 2)))
    height = len(images[0])
    # A tenth of the axis, which is most of the height; the middle of it.
    assert 0.05 < len(changed) / height < 0.11
    assert np.diff(changed).max() < 0.05 * height
    assert 0.3 * height < changed[0] < changed[-1] < 0.6 * height


def test_leaves_no_state_in_pyplot(tmp_path):
    def open_figures() -> list[int]:
        # Others in this process may have figures open; importing pyplot here would hide that we do.
        pyplot = sys.modules.get("matplotlib.pyplot")
        return [] if pyplot is None else pyplot.get_fignums()

    before = open_figures()
    line_chart(SERIES, **TEXTS, path_stem=tmp_path / "chart")
    assert open_figures() == before


def test_impossible_charts_are_refused(tmp_path):
    with pytest.raises(MerDataError, match="impossible number of series: found 0, expected 1 to 20"):
        line_chart({}, **TEXTS, path_stem=tmp_path / "chart")
    with pytest.raises(MerDataError, match='series "a" of chart "Accuracy falls" has no points'):
        line_chart({"a": []}, **TEXTS, path_stem=tmp_path / "chart")
    assert list(tmp_path.iterdir()) == []
