import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from exact_stores import split_of, write_store

from mer_data.errors import StatisticsError
from mer_data.statistics.integrity import json_digest
from mer_data.statistics.vocabulary import (
    counterfactual_vocabulary,
    load_kept_tokens,
    token_counts,
    vocabulary_origin,
)
from mer_data.tasks import TASKS

BINARY, SEVEN = TASKS["binary"], TASKS["seven"]
TEXTS = [
    "bad film bad",
    "good film",
    "film seen",
    "good good plot",
    "dull bad film",
    "fine film",
    "seen",
    "test only",
]
LABELS = [-2.0, 1.2, 0.0, 3.0, -0.4, 0.6, 0.0, 2.0]
TRAIN, TEST = list(range(7)), [7]
SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "s.h5", TEXTS, LABELS)


@pytest.fixture
def split(store):
    return split_of(store, TRAIN, (), TEST)


def store_with_counts(path, counts, **changes):
    """A store whose training text has each word (negative, neutral, positive) times."""
    texts = [" ".join(w for w, n in counts.items() for _ in range(n[i])) for i in range(3)]
    return write_store(path, texts, [-1, 0, 1], limits={"text": 10_000}, **changes)


def table_of(store, task=BINARY, rows=None, **options):
    rows = range(len(store)) if rows is None else rows
    return counterfactual_vocabulary(store, split_of(store, rows), task, **options).table.set_index("token")


@pytest.mark.parametrize("task", [BINARY, SEVEN], ids=["binary", "seven"])
def test_counts_equal_a_brute_force_count(sample_stores, task):
    from mer_data.splits import standard_split
    from mer_data.store.reader import FeatureStore

    store = FeatureStore.open(sample_stores["unaligned"])
    split = standard_split(store.utterances, dataset="sample", utterance_digest=store.utterance_digest)
    expected = [Counter() for _ in task.classes]
    for row in store.utterances.itertuples():
        if row.id in split.splits["train"]:
            number = task.class_of(np.array([row.label]))[0]
            expected[number].update(store.tokenizer.encode(row.text)[0].tolist())
    found = token_counts(store, split, task)
    assert found.shape == (len(store.tokenizer.vocabulary), task.num_classes)
    for token_id, token in enumerate(store.tokenizer.vocabulary):
        wanted = [0 if token in SPECIAL else counter[token_id] for counter in expected]
        assert found[token_id].tolist() == wanted, token
    assert found.sum() > 100


def test_variation_is_population_deviation_over_mean(store, split):
    table = counterfactual_vocabulary(store, split, SEVEN).table
    columns = [f"count_{name}" for name in SEVEN.classes]
    for row in table.to_dict("records"):
        counts = [row[column] for column in columns]
        mean = sum(counts) / 7
        deviation = (sum((count - mean) ** 2 for count in counts) / 7) ** 0.5
        assert row["cv"] == pytest.approx(deviation / mean)
        assert row["total"] == sum(counts)


def test_binary_uses_negative_and_positive_alone(tmp_path):
    table = table_of(store_with_counts(tmp_path / "s.h5", {"x": (3, 50, 1), "y": (2, 0, 2)}))
    assert table.loc["x", ["count_negative", "count_neutral", "count_positive", "total"]].tolist() == [
        3,
        50,
        1,
        4,
    ]
    assert table.loc["x", "cv"] == pytest.approx(0.5)
    assert table.loc["y", "cv"] == 0


def test_binary_with_all_classes_uses_neutral_too(tmp_path):
    store = store_with_counts(tmp_path / "s.h5", {"x": (3, 50, 1), "n": (0, 2, 0)})
    table = table_of(store, all_classes=True)
    assert table.loc["x", "total"] == 54
    assert table.loc["x", "cv"] == pytest.approx(np.std([3, 50, 1]) / 18)
    assert table.loc["n", "cv"] == pytest.approx(2**0.5)
    assert table.loc["n", "kept"]


def test_a_token_of_neutral_text_alone_has_no_variation_and_is_not_kept(tmp_path):
    table = table_of(
        store_with_counts(tmp_path / "s.h5", {"n": (0, 9, 0), "x": (3, 0, 1)}), min_variation=0.0
    )
    assert np.isnan(table.loc["n", "cv"])
    assert table.loc["n", "total"] == 0
    assert not table.loc["n", "kept"]
    assert pd.isna(table.loc["n", "rank"])
    assert table.index[-1] == "n"


def test_special_tokens_are_not_counted(tmp_path):
    store = write_store(tmp_path / "s.h5", ["a ☃ ☃ b", "a [UNK] [SEP] [MASK]"], [-1, 1], known=["a b"])
    unknown = store.tokenizer.special_id("[UNK]")
    assert (store.read_tokens([0, 1]).values == unknown).sum() >= 2
    table = table_of(store)
    assert not SPECIAL & set(table.index)
    assert set(table.index) <= {"a", "b"}


def test_variation_at_the_threshold_is_kept(tmp_path):
    counts = {"edge": (9, 0, 11), "below": (10, 0, 12), "above": (8, 0, 10)}
    table = table_of(store_with_counts(tmp_path / "s.h5", counts))
    assert table.loc["edge", "cv"] == 0.1
    assert table["kept"].to_dict() == {"below": False, "edge": True, "above": True}


def test_ranks_count_the_tokens_that_vary_by_frequency(tmp_path):
    counts = {"same": (9, 0, 9), "often": (9, 0, 4), "mid": (1, 0, 4), "rare": (1, 0, 0)}
    table = table_of(store_with_counts(tmp_path / "s.h5", counts), size=2)
    assert table.index.tolist() == ["same", "often", "mid", "rare"]
    assert table["rank"].tolist() == [pd.NA, 1, 2, 3]
    assert table["kept"].tolist() == [False, True, True, False]


def test_kept_ids_go_by_frequency_and_not_by_id(tmp_path):
    counts = {"rare": (1, 0, 2), "often": (9, 0, 4)}
    store = store_with_counts(tmp_path / "s.h5", counts, known=["rare rare often"])
    kept = counterfactual_vocabulary(store, split_of(store, range(3)), BINARY).kept_token_ids.tolist()
    assert [store.tokenizer.vocabulary[token_id] for token_id in kept] == ["often", "rare"]
    assert kept[0] > kept[1]


def test_ties_go_by_token_id(tmp_path):
    counts = dict.fromkeys(("zeta", "alpha", "mid", "beta"), (2, 0, 1))
    store = store_with_counts(tmp_path / "s.h5", counts)
    table = table_of(store, size=3)
    assert table["token_id"].tolist() == sorted(table["token_id"])
    vocabulary = counterfactual_vocabulary(store, split_of(store, range(3)), BINARY, size=3)
    assert vocabulary.kept_token_ids.tolist() == table["token_id"].tolist()[:3]


def test_the_hundred_most_frequent_are_kept(tmp_path):
    counts = {f"w{number:03d}": (number + 2, 0, 0) for number in range(130)}
    store = store_with_counts(tmp_path / "s.h5", counts)
    vocabulary = counterfactual_vocabulary(store, split_of(store, range(3)), BINARY)
    assert len(vocabulary.kept_token_ids) == 100
    kept = [store.tokenizer.vocabulary[token_id] for token_id in vocabulary.kept_token_ids]
    assert kept == [f"w{number:03d}" for number in range(129, 29, -1)]


def test_only_the_training_fold_counts(store, split, tmp_path):
    labels = [*LABELS[:7], -3.0]
    other = write_store(tmp_path / "o.h5", [*TEXTS[:7], "bad bad film"], labels, known=TEXTS)
    first = counterfactual_vocabulary(store, split, BINARY).table
    second = counterfactual_vocabulary(other, split_of(other, TRAIN, (), TEST), BINARY).table
    pd.testing.assert_frame_equal(first, second)
    assert "test" not in set(first["token"])


def test_a_long_text_counts_only_what_is_served(tmp_path):
    store = write_store(tmp_path / "s.h5", ["a b c d e f", "a b"], [-1, 1], limits={"text": 6})
    table = table_of(store)
    assert set(table.index) == {"a", "b", "c", "d"}  # [CLS] a b c d [SEP]
    assert table.loc["a", ["count_negative", "count_positive"]].tolist() == [1, 1]


def test_a_text_of_exactly_the_limit_counts_whole(tmp_path):
    store = write_store(tmp_path / "s.h5", ["a b c d", "a"], [-1, 1], limits={"text": 6})
    assert set(table_of(store).index) == {"a", "b", "c", "d"}


def test_every_column_stands_in_the_csv(store, split, tmp_path):
    path = tmp_path / "v.csv"
    vocabulary = counterfactual_vocabulary(store, split, BINARY)
    vocabulary.save(path)
    lines = path.read_text().splitlines()
    assert lines[0] == "token_id,token,count_negative,count_neutral,count_positive,total,cv,rank,kept"
    read = pd.read_csv(path, keep_default_na=False)
    assert read["token"].tolist() == vocabulary.table["token"].tolist()
    row = read.set_index("token").loc["bad"]
    assert row.iloc[1:].tolist() == [3, 0, 0, 3, "1.000000", "1", True]
    assert read.set_index("token").loc["seen", ["cv", "rank", "kept"]].tolist() == ["", "", False]


def test_class_columns_of_seven(store, split):
    columns = counterfactual_vocabulary(store, split, SEVEN).table.columns.tolist()
    assert columns[2:9] == [f"count_{value}" for value in range(-3, 4)]
    assert columns[9:] == ["total", "cv", "rank", "kept"]


def saved(store, split, folder, **options):
    vocabulary = counterfactual_vocabulary(store, split, BINARY, **options)
    vocabulary.save(folder / "v.csv")
    return vocabulary, folder / "v.json"


def test_kept_tokens_come_back_from_the_json(store, split, tmp_path):
    vocabulary, path = saved(store, split, tmp_path)
    found = load_kept_tokens(path, vocabulary_origin(store, split), BINARY)
    assert found.dtype == np.int64
    assert found.tolist() == vocabulary.kept_token_ids.tolist()
    names = [store.tokenizer.vocabulary[token_id] for token_id in found]
    assert names == ["bad", "good", "dull", "fine", "plot"]  # film is in balance
    content = json.loads(path.read_text())
    assert [token["token"] for token in content["tokens"]] == names
    assert content["parameters"] == {
        "min_variation": 0.1,
        "size": 100,
        "classes_used": ["negative", "positive"],
    }


def test_nothing_kept_comes_back_as_nothing(store, split, tmp_path):
    vocabulary, path = saved(store, split, tmp_path, min_variation=99.0)
    assert not vocabulary.table["kept"].any()
    assert load_kept_tokens(path, vocabulary.origin, BINARY).tolist() == []


def test_equal_input_gives_equal_bytes(store, split, tmp_path):
    files = []
    for name in "ab":
        (tmp_path / name).mkdir()
        _, path = saved(store, split, tmp_path / name)
        files.append((path.read_bytes(), path.with_suffix(".csv").read_bytes()))
    assert files[0] == files[1]


def test_another_split_task_tokenizer_or_corpus_is_refused(store, split, tmp_path):
    _, path = saved(store, split, tmp_path)
    with pytest.raises(
        StatisticsError, match=r"computed from another split in .*v\.json.*counterfactual-vocab --f"
    ):
        load_kept_tokens(path, vocabulary_origin(store, split_of(store, TEST, (), TRAIN)), BINARY)
    with pytest.raises(StatisticsError, match=r"is of another task .*: found binary, expected seven"):
        load_kept_tokens(path, vocabulary_origin(store, split), SEVEN)
    retold = write_store(tmp_path / "t.h5", TEXTS, LABELS, known=["x y z"])
    assert retold.utterance_digest == store.utterance_digest
    with pytest.raises(StatisticsError, match="computed from another tokenizer vocabulary"):
        load_kept_tokens(path, vocabulary_origin(retold, split), BINARY)
    relabelled = write_store(tmp_path / "l.h5", TEXTS, [*LABELS[:7], -2.0])
    with pytest.raises(StatisticsError, match="computed from another utterances") as e:
        load_kept_tokens(path, vocabulary_origin(relabelled, split), BINARY)
    assert "\n" not in str(e.value)


def test_the_alignment_plays_no_part(store, split, tmp_path):
    aligned = write_store(tmp_path / "a.h5", TEXTS, LABELS, aligned=True)
    assert vocabulary_origin(aligned, split) == vocabulary_origin(store, split)
    pd.testing.assert_frame_equal(
        counterfactual_vocabulary(aligned, split, BINARY).table,
        counterfactual_vocabulary(store, split, BINARY).table,
    )


def test_missing_json_names_the_command(tmp_path):
    with pytest.raises(
        StatisticsError, match=r"no counterfactual vocabulary in .*`mer-data counterfactual-vocab`"
    ):
        load_kept_tokens(tmp_path / "v.json", {}, BINARY)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"{}", b"null", b'{"format": 1, "version": "x"}', b"[" * 10**5],
)
def test_damaged_json_is_one_line(tmp_path, content):
    path = tmp_path / "v.json"
    path.write_bytes(content)
    with pytest.raises(StatisticsError, match=r"the counterfactual vocabulary is .*v\.json.*--force`") as e:
        load_kept_tokens(path, {}, BINARY)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "mer-data/split"}, "is of an unknown format or a newer version"),
        ({"version": 3}, "is of an unknown format or a newer version"),
        ({"version": 1}, r"older version, which has no digest .*`mer-data counterfactual-vocab --force`"),
        ({"tokens": [{"token_id": "x"}]}, "is damaged"),
        ({"tokens": [5]}, "is damaged"),
        ({"tokens": None}, "is damaged"),
        ({"origin": [1]}, "is damaged"),
    ],
)
def test_json_of_another_form_is_refused(store, split, tmp_path, change, message):
    vocabulary, path = saved(store, split, tmp_path)
    content = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({**content, "content_digest": json_digest(content)}))
    with pytest.raises(StatisticsError, match=message):
        load_kept_tokens(path, vocabulary.origin, BINARY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"min_variation": 0.1', '"min_variation": 0.2'),
        ('"negative",', '"neutral",'),
        ('"total": 3', '"total": 4'),
        ('"cv": 1.0', '"cv": 0.9'),
        ("sha256:", "sha256:0"),
    ],
)
def test_every_change_of_the_json_is_found(store, split, tmp_path, old, new):
    vocabulary, path = saved(store, split, tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(StatisticsError, match=r"was changed after it was made, or is damaged: other"):
        load_kept_tokens(path, vocabulary.origin, BINARY)


def test_the_layout_of_the_json_plays_no_part(store, split, tmp_path):
    vocabulary, path = saved(store, split, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert load_kept_tokens(path, vocabulary.origin, BINARY).tolist() == vocabulary.kept_token_ids.tolist()


def test_a_changed_csv_is_found_and_a_missing_one_is_not_needed(store, split, tmp_path):
    vocabulary, path = saved(store, split, tmp_path)
    table = path.with_suffix(".csv")
    table.write_text(table.read_text().replace("1.000000", "0.900000", 1))
    with pytest.raises(StatisticsError, match=r"was changed after it .* in .*v\.csv: found .*--force`"):
        load_kept_tokens(path, vocabulary.origin, BINARY)
    table.unlink()
    assert len(load_kept_tokens(path, vocabulary.origin, BINARY)) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size is too small: found 0, expected 1 or more"),
        ({"min_variation": -0.1}, "negative min_variation: found -0.1"),
        ({"min_variation": float("nan")}, "negative min_variation: found nan"),
    ],
)
def test_impossible_parameters_are_refused(store, split, options, message):
    with pytest.raises(StatisticsError, match=message):
        counterfactual_vocabulary(store, split, BINARY, **options)


def test_an_empty_training_fold_is_an_error(store):
    with pytest.raises(StatisticsError, match="has no training utterances"):
        counterfactual_vocabulary(store, split_of(store, [], (), TEST), BINARY)
