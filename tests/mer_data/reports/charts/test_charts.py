"""What is drawn: bars, marks and lines stand where the numbers are."""

import numpy as np
import pytest

from mer_data.reports.charts.bars import ShareRow, length_histograms, share_bars, stacked_histogram
from mer_data.reports.charts.shift import CurvePanel, DotPanel, Dumbbell, curves, dot_rows, dumbbells
from mer_data.reports.formatting import ShiftMeasure


def texts_of(figure):
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return found + [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def line(axes, label):
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return list(zip(*(np.asarray(data, float).tolist() for data in found.get_data()), strict=True))


def test_stacked_histogram_counts_every_utterance_once():
    rng = np.random.default_rng(0)
    parts = {name: rng.integers(-15, 16, size) / 5 for name, size in (("train", 90), ("test", 40))}
    figure = stacked_histogram(parts, width=0.2, x_label="label")
    (axes,) = figure.axes
    drawn = {}
    for bars, (name, values) in zip(axes.containers, parts.items(), strict=True):
        assert bars.get_label() == name
        for bar in bars:
            centre = bar.get_x() + bar.get_width() / 2
            assert bar.get_height() == np.sum(np.abs(values - centre) < 0.05)
            drawn[round(centre, 6)] = bar.get_y() + bar.get_height()
    both = np.concatenate(list(parts.values()))
    assert drawn[0.0] == np.sum(both == 0)
    assert sum(drawn.values()) == len(both)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "test"]


def test_length_histograms_reach_to_the_99th_percentile():
    words = np.concatenate([np.arange(1, 100), [5000]]).astype(float)
    seconds = np.linspace(0.5, 9.5, 100)
    figure = length_histograms({"words": words, "seconds": seconds}, {"words": 50.0, "seconds": 99.0})
    first, second = figure.axes
    last = np.quantile(words, 0.99)
    assert sum(bar.get_height() for bar in first.patches) == np.sum(words <= last)
    assert sum(bar.get_height() for bar in second.patches) == np.sum(seconds <= np.quantile(seconds, 0.99))
    borders = [bar.get_x() for bar in first.patches]
    assert {border % 1 for border in borders} == {0.5}  # whole numbers are not divided
    assert [line.get_xdata()[0] for line in first.get_lines()] == [np.median(words), 50.0]
    assert len(second.get_lines()) == 1  # the limit is out of sight
    assert first.get_title(loc="right") == "median 50.5, longest 5,000"


@pytest.mark.parametrize("num_panels", [1, 2, 3, 4])
def test_length_histograms_have_a_panel_each(num_panels):
    panels = {f"p{i}": np.arange(10.0) for i in range(num_panels)}
    assert [axes.get_xlabel() for axes in length_histograms(panels, {}).axes] == list(panels)


def test_share_bars_add_up():
    rows = [
        ShareRow("all", "", [0.25, 0.05, 0.7]),
        ShareRow("one", "train", [0.5, 0.25, 0.25]),
        ShareRow("one", "test", [0.0, 0.0, 1.0]),
    ]
    figure = share_bars(rows, ["negative", "neutral", "positive"])
    (axes,) = figure.axes
    assert [bars.get_label() for bars in axes.containers] == ["negative", "neutral", "positive"]
    for number, row in enumerate(rows):
        assert [bars[number].get_width() for bars in axes.containers] == pytest.approx(row.shares)
        left = [bars[number].get_x() for bars in axes.containers]
        assert left == pytest.approx(np.cumsum([0.0, *row.shares[:2]]))
    places = [bar.get_y() for bar in axes.containers[0]]
    assert places == sorted(places, reverse=True)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["", "train", "test"]
    texts = texts_of(figure)
    assert {"all", "one", "25", "70", "50", "100"} <= set(texts)
    assert "5" not in texts  # too narrow for its number
    assert "0" not in texts


def test_dot_rows_mark_values_and_baselines():
    bits = [ShiftMeasure(0.1, 0.03, 0.02, 0.001), ShiftMeasure(None, 0.04, None, None)]
    scores = [ShiftMeasure(0.4, 0.7, 0.71, 0.01), ShiftMeasure(0.5, None, 0.72, None)]
    panel, other = DotPanel("bits", bits), DotPanel("Acc2", scores, percent=True)
    first, second = dot_rows(["a", "b"], [panel, other]).axes
    assert line(first, "this split")[0] == (0.1, 0.0)
    assert np.isnan(line(first, "this split")[1][0])
    assert line(first, "standard folds") == [(0.03, 0.0), (0.04, -1.0)]
    assert line(second, "this split") == [(0.4, 0.0), (0.5, -1.0)]
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "b"]
    assert [label.get_text() for label in second.get_yticklabels()] == ["", ""]
    assert first.get_xlim()[0] == 0
    (bars,) = first.containers
    (segments,) = bars.lines[2]
    assert np.asarray(segments.get_segments()[0])[:, 0] == pytest.approx([0.019, 0.021])


def test_dumbbells_join_the_two_sides():
    rows = [Dumbbell("movie", 0.65, 0.14), Dumbbell("once", None, 0.5)]
    figure = dumbbells(
        rows,
        sides=("train and valid", "test"),
        x_label="share",
        x_range=(0, 1),
        corpus=0.49,
        percent=True,
    )
    (axes,) = figure.axes
    assert line(axes, "train and valid")[0] == (0.65, 0.0)
    assert np.isnan(line(axes, "train and valid")[1][0])
    assert line(axes, "test") == [(0.14, 0.0), (0.5, -1.0)]
    assert line(axes, "all utterances")[0][0] == 0.49
    segment = np.asarray(axes.collections[0].get_segments()[0])
    assert sorted(segment[:, 0]) == [0.14, 0.65]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["movie", "once"]
    hollow, filled = (axes.get_lines()[i] for i in (1, 2))
    assert hollow.get_marker() != filled.get_marker()
    assert hollow.get_markerfacecolor() != filled.get_markerfacecolor()


def test_curves_show_series_levels_and_the_mark():
    panels = [
        CurvePanel(
            "bits", {"divergence": [(0.02, None), (0.1, None)]}, {"divergence": [("standard", (0.03, None))]}
        ),
        CurvePanel(
            "Acc2",
            {"words": [(0.7, 0.01), (0.2, 0.02)]},
            {"words": [("standard", (0.69, None)), ("random", (0.71, 0.02))]},
            percent=True,
        ),
    ]
    figure = curves([0.0, 1.0], panels, x_label="severity", mark=(0.6, "default 0.6"))
    first, second = figure.axes
    assert line(first, "standard")[0][1] == 0.03
    assert [line(second, name)[0][1] for name in ("standard", "random")] == [0.69, 0.71]
    assert first.containers[0].lines[0].get_ydata().tolist() == [0.02, 0.1]
    assert not first.containers[0].has_yerr
    (segments,) = second.containers[0].lines[2]
    assert np.asarray(segments.get_segments()[1])[:, 1] == pytest.approx([0.18, 0.22])
    for axes in (first, second):
        assert 0.6 in [line.get_xdata()[0] for line in axes.get_lines()]
        assert axes.get_ylim()[0] == 0
    assert texts_of(figure) == ["default 0.6", "divergence", "standard", "words", "standard", "random"]
    (band,) = [patch for patch in second.patches if patch.get_alpha()]
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.69, 0.73))
