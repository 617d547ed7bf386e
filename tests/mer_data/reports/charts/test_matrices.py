import matplotlib.image
import numpy as np
import pytest

from mer_data.errors import MerDataError
from mer_data.reports import Matrix, matrix_chart

NAMES = {"row_names": ["a (3)", "b (4)"], "column_names": ["a", "b", "c"]}
LABELS = {"row_label": "true", "column_label": "predicted", "title": "Cells"}
VALUES = np.array([[0.0, 0.5, 1.0], [1.0, np.nan, 0.25]])
TEXTS = [["0", "50", "100"], ["100", "", "25"]]


def draw(path, *values):
    panels = [Matrix(f"panel {number}", table, TEXTS) for number, table in enumerate(values)]
    return matrix_chart(panels, **NAMES, **LABELS, path_stem=path)


def grey(path):
    return matplotlib.image.imread(path)[..., :3] @ [0.299, 0.587, 0.114]


def test_writes_a_png_and_a_pdf_that_are_equal_when_drawn_again(tmp_path):
    paths = draw(tmp_path / "new" / "cells", VALUES, VALUES)
    assert [path.name for path in paths] == ["cells.png", "cells.pdf"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")
    again = draw(tmp_path / "again", VALUES, VALUES)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_greater_values_are_darker_in_grey(tmp_path):
    """The darkest colour that fills a fifth of the chart's cells, for a chart of one value."""
    shades = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        path, _ = draw(tmp_path / f"v{value}", np.full((2, 3), value))
        levels, counts = np.unique(np.round(grey(path), 3), return_counts=True)
        shades.append(float(levels[counts > 0.1 * counts.sum()].min()))
    assert shades == sorted(shades, reverse=True)
    assert np.diff(shades).max() < -0.05


def test_many_panels_take_several_rows(tmp_path):
    one, four = (matplotlib.image.imread(draw(tmp_path / str(n), *[VALUES] * n)[0]).shape for n in (1, 4))
    assert four[0] > 1.5 * one[0]


def test_impossible_matrices_are_refused(tmp_path):
    with pytest.raises(MerDataError, match='chart "Cells" has no panels'):
        draw(tmp_path / "none")
    with pytest.raises(
        MerDataError, match=r'matrix "panel 0" of chart "Cells" does not fit .*found \(3, 2\)'
    ):
        draw(tmp_path / "turned", VALUES.T)
    assert list(tmp_path.iterdir()) == []
