import json

import pytest

from mer_data.errors import SplitError
from mer_data.splits import RepartitionSettings
from mer_data.splits.settings import DEFAULT_SEVERITY
from mer_data.tasks import TASKS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "negative seed: found -1, expected 0 or more"),
        ({"severity": 1.01}, r"impossible severity: found 1.01, expected 0 \(random\) to 1 \(strongest\)"),
        ({"severity": -0.1}, "impossible severity"),
        ({"severity": float("nan")}, "impossible severity: found nan"),
        ({"min_count": 0}, "min_count is too small: found 0"),
        ({"smoothing": -0.5}, "impossible smoothing: found -0.5"),
        ({"smoothing": float("nan")}, "impossible smoothing: found nan"),
        ({"smoothing": float("inf")}, "impossible smoothing: found inf"),
        ({"label_tolerance": 1.5}, "label_tolerance is no share: found 1.5"),
        ({"label_tolerance": -0.1}, "label_tolerance is no share"),
        ({"group_by": "speaker"}, "unknown group_by: found 'speaker', expected utterance or video"),
        ({"keep_valid": "both"}, "unknown keep_valid: found 'both', expected iid or ood"),
        ({"sizes": (10, 5)}, r"impossible sizes: found \(10, 5\), expected three numbers of at least 1"),
        ({"sizes": (10, 0, 5)}, "impossible sizes"),
        ({"restarts": 0}, "too few restarts: found 0"),
        ({"steps_per_utterance": -3}, "negative number of steps: found -3"),
    ],
)
def test_values_outside_their_range_are_refused(options, message):
    with pytest.raises(SplitError, match=message) as caught:
        RepartitionSettings(**options)
    assert "\n" not in str(caught.value)


def test_the_default_severity_is_that_of_the_task_and_the_largest_for_videos():
    assert set(DEFAULT_SEVERITY) == set(TASKS)
    for name, task in TASKS.items():
        assert RepartitionSettings().severity_of(task) == DEFAULT_SEVERITY[name]
        assert RepartitionSettings(group_by="video").severity_of(task) == 1
        assert RepartitionSettings(group_by="video", severity=0.0).severity_of(task) == 0


def test_what_is_recorded_makes_the_settings_again():
    settings = RepartitionSettings(seed=3, sizes=(5, 4, 3), keep_valid="ood", smoothing=0.25)
    recorded = json.loads(json.dumps(settings.recorded(0.5)))
    assert recorded == {
        "seed": 3,
        "severity": 0.5,
        "min_count": 10,
        "smoothing": 0.25,
        "label_tolerance": 0.02,
        "group_by": "utterance",
        "keep_valid": "ood",
        "sizes": [5, 4, 3],
        "restarts": 2,
        "steps_per_utterance": 40,
    }
    again = RepartitionSettings(**{**recorded, "sizes": tuple(recorded["sizes"])})
    assert again.recorded(0.5) == recorded
    assert RepartitionSettings().recorded(1.0)["sizes"] is None
