import json

import pytest

from mer_data.errors import SplitError
from mer_data.splits import RepartitionSettings
from mer_data.splits.defaults import default_of
from mer_data.splits.settings import SearchVersionError
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
        ({"seed": 2**64}, "too large a seed: found 18446744073709551616, expected at most 4294967295"),
        ({"restarts": 10**8}, "too many restarts: found 100000000, expected at most 1000"),
        ({"steps_per_utterance": 10**8}, "too many steps: found 100000000, expected at most 10000"),
    ],
)
def test_values_outside_their_range_are_refused(options, message):
    with pytest.raises(SplitError, match=message) as caught:
        RepartitionSettings(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dataset", ["mosi", "mosei"])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_what_is_not_chosen_is_the_default_of_the_corpus_and_task(dataset, task):
    default = default_of(dataset, task.name)
    settings = RepartitionSettings().for_corpus(dataset, task)
    assert (settings.group_by, settings.severity) == (default.group_by, default.severity[default.group_by])
    for group_by, severity in default.severity.items():
        assert RepartitionSettings(group_by=group_by).for_corpus(dataset, task).severity == severity
    assert settings.steps_per_utterance == {"utterance": 40, "video": 80}[default.group_by]
    chosen = RepartitionSettings(group_by="video", severity=0.0, steps_per_utterance=7)
    assert chosen.for_corpus(dataset, task) == chosen


def test_a_corpus_that_was_not_calibrated_takes_the_defaults_of_cmu_mosi():
    for task in TASKS:
        assert default_of("mine", task) == default_of("mosi", task)


def test_what_is_recorded_makes_the_settings_again():
    settings = RepartitionSettings(
        seed=3, sizes=(5, 4, 3), keep_valid="ood", smoothing=0.25, group_by="utterance"
    ).for_corpus("mosi", TASKS["binary"])
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
    again = RepartitionSettings.from_recorded({"name": "repartition", **recorded})
    assert again.recorded(0.5) == recorded
    assert RepartitionSettings().recorded(1.0)["sizes"] is None


def test_the_version_of_the_search_is_recorded_where_it_is_not_the_first():
    recorded = RepartitionSettings(group_by="video").recorded(1.0)
    assert recorded["version"] == 2
    assert RepartitionSettings.from_recorded(recorded).group_by == "video"
    del recorded["version"]
    with pytest.raises(SearchVersionError, match="another version of the search: found 1, expected 2"):
        RepartitionSettings.from_recorded(recorded)


def test_unknown_parameters_are_those_of_another_version():
    with pytest.raises(SplitError, match=r"parameters of another version: found .*'colour'"):
        RepartitionSettings.from_recorded({"name": "repartition", "colour": "red"})
