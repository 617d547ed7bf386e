import json
from pathlib import Path

import pytest

from mer_data.errors import SplitError
from mer_data.splits import SplitManifest
from mer_data.utterances import DroppedUtterance


def manifest(**changes) -> SplitManifest:
    fields = {
        "dataset": "mosi",
        "task": "binary",
        "kind": "ood",
        "generator": {"name": "repartition", "seed": 3},
        "utterance_digest": "sha256:1",
        "splits": {"train": ("b$_$1", "a$_$2"), "valid": ("c$_$1",), "test": ("d$_$1",)},
        "dropped": (DroppedUtterance("z$_$1", "in no standard fold"),),
        "shift": {"num_words": 4, "x": 0.125},
    }
    return SplitManifest(**{**fields, **changes})


def write(path: Path, **changes) -> Path:
    value = {**manifest().to_json(), **changes}
    path.write_text(json.dumps({key: part for key, part in value.items() if part is not ...}))
    return path


def test_saves_and_loads_with_equal_bytes_and_digest(tmp_path):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    manifest().save(first)
    loaded = SplitManifest.load(first)
    loaded.save(second)
    assert first.read_bytes() == second.read_bytes()
    assert loaded == manifest()
    assert loaded.digest == manifest().digest
    assert list(json.loads(first.read_text()))[:2] == ["format", "version"]


def test_digest_does_not_depend_on_layout_but_on_content(tmp_path):
    unsorted = write(
        tmp_path / "u.json", splits={"test": ["d$_$1"], "train": ["b$_$1", "a$_$2"], "valid": ["c$_$1"]}
    )
    assert SplitManifest.load(unsorted).splits["train"] == ("a$_$2", "b$_$1")
    assert SplitManifest.load(unsorted).digest == manifest().digest
    assert manifest(utterance_digest="sha256:2").digest != manifest().digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "not a split manifest: found 'other', expected format \"mer-data/split\""),
        ({"version": 2}, "newer version: found 2, expected at most 1. Update mer-data"),
        ({"version": "1"}, "no version number: found '1'"),
        ({"shift": ...}, 'missing key "shift"'),
        ({"generator": "x"}, 'wrong type of "generator": found str, expected dict'),
        ({"note": "x"}, 'unknown key: found "note"'),
        ({"kind": "iid"}, "unknown kind: found 'iid', expected standard, ood, cross_dataset"),
        ({"task": "three"}, "unknown task: found 'three'"),
        ({"splits": {"train": ["a"], "test": ["b"]}}, "wrong folds"),
        ({"splits": {"train": ["a"], "valid": [], "test": ["b"]}}, 'fold "valid" is empty'),
        (
            {"splits": {"train": ["a", "a"], "valid": ["c"], "test": ["b"]}},
            "a occurs twice in train and train",
        ),
        ({"splits": {"train": ["a"], "valid": ["c"], "test": ["a"]}}, "a occurs twice in train and test"),
        ({"dropped": [{"id": "c$_$1", "reason": "x"}]}, "twice in valid and dropped"),
        ({"splits": {"train": "ab", "valid": ["c"], "test": ["d"]}}, 'wrong ids of fold "train"'),
        ({"dropped": ["x"]}, "wrong entry of \"dropped\": found 'x'"),
    ],
)
def test_load_refuses(tmp_path, changes, message):
    path = write(tmp_path / "split.json", **changes)
    with pytest.raises(SplitError) as caught:
        SplitManifest.load(path)
    text = str(caught.value)
    assert message in text
    assert str(path) in text
    assert "\n" not in text


def test_load_refuses_what_is_not_json(tmp_path):
    path = tmp_path / "split.json"
    path.write_text("{")
    with pytest.raises(SplitError, match=r"not a JSON file in .*split\.json"):
        SplitManifest.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SplitError, match="not a JSON file"):
        SplitManifest.load(path)
    path.write_text("[]")
    with pytest.raises(SplitError, match="not a split manifest: found 'list'"):
        SplitManifest.load(path)


def test_load_names_the_commands_that_make_a_manifest(tmp_path):
    with pytest.raises(
        SplitError, match=r"no split manifest .*`mer-data standard-split` or `mer-data repartition`"
    ):
        SplitManifest.load(tmp_path / "absent.json")


def test_indices_are_rows_in_the_order_of_the_store():
    rows = manifest().indices(["d$_$1", "b$_$1", "x", "c$_$1", "a$_$2"])
    assert {fold: found.tolist() for fold, found in rows.items()} == {
        "train": [1, 4],
        "valid": [3],
        "test": [0],
    }
    assert all(found.dtype == "int64" for found in rows.values())


def test_check_store_refuses_another_store_and_missing_utterances():
    ids = ["a$_$2", "b$_$1", "c$_$1", "d$_$1"]
    manifest().check_store("sha256:1", ids, Path("s.h5"))
    with pytest.raises(
        SplitError, match=r"made from another store than s\.h5: found sha256:1, .*repartition"
    ):
        manifest().check_store("sha256:9", ids, Path("s.h5"))
    with pytest.raises(SplitError, match=r"1 utterances .* missing in s\.h5: found no d\$_\$1"):
        manifest().check_store("sha256:1", ids[:3], Path("s.h5"))


def test_only_a_cross_dataset_split_may_leave_a_fold_empty():
    splits = {"train": ("a",), "valid": ("b",), "test": ()}
    assert manifest(kind="cross_dataset", splits=splits, dropped=()).splits["test"] == ()
    with pytest.raises(SplitError, match='fold "test" is empty'):
        manifest(splits=splits)
