import numpy as np
import pytest

from mer_data.errors import MerDataError
from mer_data.tasks import TASKS, get_task


@pytest.mark.parametrize(
    ("label", "expected"),
    [(-3, 0), (-0.2, 0), (-1e-7, 0), (0.0, 1), (-0.0, 1), (1e-7, 2), (0.2, 2), (3, 2)],
)
def test_binary_is_the_sign(label, expected):
    assert get_task("binary").class_of(np.array([label], np.float32)).tolist() == [expected]


@pytest.mark.parametrize(
    ("label", "rounded"),
    [
        (0.5, 0),
        (-0.5, 0),
        (1.5, 2),
        (-1.5, -2),
        (2.5, 2),
        (-2.5, -2),
        (0.6, 1),
        (-0.0, 0),
        (2.51, 3),
        (3.0, 3),
        (-3.0, -3),
        (3.6, 3),  # clipped before it is rounded
        (-9.0, -3),
    ],
)
def test_seven_rounds_half_to_even_and_clips(label, rounded):
    assert get_task("seven").class_of(np.array([label], np.float32)).tolist() == [rounded + 3]


@pytest.mark.parametrize("name", ["binary", "seven"])
def test_every_label_has_a_class_and_every_class_a_label(name):
    task = TASKS[name]
    classes = task.class_of(np.linspace(-3, 3, 61))
    assert classes.dtype == np.int64
    assert (np.diff(classes) >= 0).all()
    assert np.unique(classes).tolist() == list(range(task.num_classes))


def test_class_names_stand_in_the_order_of_the_index():
    task = get_task("seven")
    assert [task.classes[i] for i in task.class_of(np.arange(-3.0, 4.0))] == [str(n) for n in range(-3, 4)]
    assert get_task("binary").classes == ("negative", "neutral", "positive")


def test_unknown_task_lists_the_known():
    with pytest.raises(MerDataError, match=r"unknown task: found 'five', expected binary or seven\."):
        get_task("five")
