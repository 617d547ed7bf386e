import numpy as np
import pytest
from evaluation_builders import BINARY, SEVEN, random_sweep
from sklearn.metrics import confusion_matrix

from cider.scoring import confusion as room
from cider.scoring.conditions import SweepPlan
from cider.scoring.confusion import chosen_points, confusion, draw_confusion
from cider.scoring.protocols import score_sweep


@pytest.mark.parametrize("task", [BINARY, SEVEN], ids=lambda task: task.name)
def test_counts_equal_scikit_learn(task):
    rng = np.random.default_rng(0)
    labels = rng.choice(np.round(np.linspace(-3, 3, 31), 1), size=80)
    values = rng.normal(size=(80, task.num_classes))
    expected = confusion_matrix(task.class_of(labels), values.argmax(axis=1), labels=range(task.num_classes))
    assert np.array_equal(confusion(values, labels, task), expected)


def test_points_that_are_looked_at():
    eleven = SweepPlan.from_settings("rmfm", tuple(round(0.1 * step, 1) for step in range(11)), (0,))
    assert [eleven.points[number].label for number in chosen_points(eleven)] == ["0.0", "0.5", "0.9"]
    assert chosen_points(SweepPlan.from_settings("rmfm", (0.5,), (0,))) == [0]
    assert chosen_points(SweepPlan.from_settings("rmfm", (0.0, 1.0), (0,))) == [0, 1]
    assert chosen_points(SweepPlan.from_settings("rmfm", (0.0, 0.5, 1.0), (0,))) == [0, 1]
    smm = SweepPlan.from_settings("smm", (), (0,))
    assert [smm.points[number].label for number in chosen_points(smm)] == ["LAV", "L", "AV"]


def test_cells_are_shares_of_the_true_class_over_the_mask_seeds(tmp_path, monkeypatch):
    plan = SweepPlan.from_settings("rmfm", (0.0, 0.5, 1.0), (0, 1))
    predictions = random_sweep(plan, size=40)
    result = score_sweep(predictions)
    labels = predictions.test.labels
    drawn = {}
    monkeypatch.setattr(
        room, "matrix_chart", lambda panels, **options: drawn.update(options, panels=panels) or []
    )
    draw_confusion(result, labels, tmp_path / "confusion")
    assert [panel.title for panel in drawn["panels"]] == ["missing rate 0.0", "missing rate 0.5"]
    counts = sum(confusion(result.answers[row], labels, BINARY) for row in plan.index[1]) / 2
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert drawn["panels"][1].values == pytest.approx(shares)
    assert drawn["panels"][1].texts[0][2] == f"{100 * shares[0, 2]:.0f}"
    sizes = [int((np.sign(labels) == sign).sum()) for sign in (-1, 0, 1)]
    assert drawn["row_names"] == [
        f"{name} ({size})" for name, size in zip(("negative", "neutral", "positive"), sizes, strict=True)
    ]


def test_a_class_without_utterances_has_empty_cells(tmp_path, monkeypatch):
    predictions = random_sweep(size=40)
    labels = np.where(predictions.test.labels == 0, 1.0, predictions.test.labels)
    drawn = []
    monkeypatch.setattr(room, "matrix_chart", lambda panels, **_: drawn.extend(panels) or [])
    draw_confusion(score_sweep(predictions), labels, tmp_path / "confusion")
    assert np.isnan(drawn[0].values[1]).all()
    assert drawn[0].texts[1] == ["", "", ""]
    monkeypatch.undo()
    paths = draw_confusion(score_sweep(predictions), labels, tmp_path / "confusion")
    assert [path.suffix for path in paths] == [".png", ".pdf"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
