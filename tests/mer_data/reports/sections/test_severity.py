import numpy as np
import pytest

from mer_data.errors import SplitError
from mer_data.reports.encoder_probe import EncoderProbe
from mer_data.reports.numbering import Numbering
from mer_data.reports.sections.severity import DIVERGENCE, severities_of, severity_curve, severity_section
from mer_data.splits import RepartitionSettings, repartition
from mer_data.splits.defaults import default_of
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS, get_task

BINARY = get_task("binary")
LEVELS, SEEDS = (0.0, default_of("sample", "binary").severity["utterance"], 1.0), (0, 3)


@pytest.fixture(scope="module")
def probe(store):
    return EncoderProbe(store, "tiny")


@pytest.fixture(scope="module")
def calls():
    return []


@pytest.fixture(scope="module")
def curve(store, probe, calls):
    return severity_curve(
        store, BINARY, [1.0, *LEVELS], SEEDS, encoder=probe, progress=lambda *call: calls.append(call)
    )


@pytest.fixture(scope="module")
def runs(store):
    return [
        repartition(
            store.utterances,
            dataset="sample",
            utterance_digest=store.utterance_digest,
            task=BINARY,
            settings=RepartitionSettings(seed=seed),
            severities=LEVELS,
        )
        for seed in SEEDS
    ]


def test_means_and_deviations_over_seeds(curve, runs, probe):
    assert curve.levels == LEVELS
    for place in range(len(LEVELS)):
        splits = [run[place] for run in runs]
        expected = {
            DIVERGENCE: [split.shift["word_label_divergence_bits"]["this_split"] for split in splits],
            "bag of words": [split.shift["text_probe"]["test"] for split in splits],
            "tiny": [probe.test_accuracy(split, BINARY) for split in splits],
        }
        assert curve.measures.keys() == expected.keys()
        for name, values in expected.items():
            mean, deviation = curve.measures[name][place]
            assert mean == pytest.approx(np.mean(values))
            assert deviation == pytest.approx(np.std(values, ddof=1))
    means = [mean for mean, _ in curve.measures[DIVERGENCE]]
    assert means == sorted(means)


def test_baselines_are_the_standard_folds_and_random_splits(curve, runs, probe):
    shift = runs[0][0].shift
    for name, key in ((DIVERGENCE, "word_label_divergence_bits"), ("bag of words", "text_probe")):
        assert curve.baselines[name].standard == shift[key]["standard_folds"]
        assert curve.baselines[name].random_mean == shift[key]["random_mean"]
        assert curve.baselines[name].random_std == shift[key]["random_std"]
    assert curve.baselines["tiny"].standard == probe.standard_accuracy(BINARY)


def test_progress_counts_all_seeds(curve, calls):
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == totals[-1]
    assert len(set(totals)) == 1
    assert done[len(done) // 2 - 1] <= totals[0] / 2


def test_json_has_a_row_for_each_severity(curve):
    rows = curve.to_json()
    assert [row["severity"] for row in rows] == list(LEVELS)
    assert rows[1]["divergence"] == dict(zip(("mean", "std"), curve.measures[DIVERGENCE][1], strict=True))


def test_the_section_shows_the_numbers_and_marks_the_default(curve):
    numbering = Numbering()
    section = severity_section(curve, numbering)
    (table,) = section.tables
    labels = table.frame["Severity"].tolist()
    assert labels == ["0", f"{LEVELS[1]:g} (default)", "1", "random splits", "standard folds"]
    mean, deviation = curve.measures[DIVERGENCE][2]
    assert table.frame["Divergence (bits)"][2] == f"{mean:.4f} ± {deviation:.4f}"
    mean, deviation = curve.measures["tiny"][0]
    column = table.frame["Acc2, tiny embeddings (%)"]
    assert column[0] == f"{100 * mean:.1f} ± {100 * deviation:.1f}"
    assert column[4] == f"{100 * curve.baselines['tiny'].standard:.1f}"
    assert "0, 3" in table.caption
    first, last = (curve.measures[DIVERGENCE][place][0] for place in (0, -1))
    assert f"from {first:.3f} to {last:.3f} bits" in section.paragraphs[0]
    assert list(numbering.charts) == ["severity_binary"]
    assert f"default {LEVELS[1]:g}" in section.figures[0].svg


def test_one_seed_has_no_deviation(store):
    curve = severity_curve(store, BINARY, [0.5], [0])
    assert [deviation for _, deviation in curve.measures[DIVERGENCE]] == [None]
    section = severity_section(curve, Numbering())
    assert "±" not in section.tables[0].frame["Divergence (bits)"][0]
    assert "From severity" not in section.paragraphs[0]


def test_default_levels_hold_both_ends_and_the_default():
    for task in TASKS.values():
        levels = severities_of("mosei", task)
        assert {0.0, 1.0, RepartitionSettings().severity_for("mosei", task)} <= set(levels)
        assert list(levels) == sorted(levels)


def test_a_store_that_gives_no_split_says_why(sample_stores):
    small = FeatureStore.open(sample_stores["unaligned"])
    with pytest.raises(SplitError, match="the label tolerance cannot be met"):
        severity_curve(small, BINARY, [1.0], [0])
