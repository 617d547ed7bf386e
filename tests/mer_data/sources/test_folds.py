import json
import subprocess
import sys

import pytest

from mer_data.errors import SourceError
from mer_data.sources.catalogue import Folds
from mer_data.sources.folds import standard_folds

FILE = Folds(kind="file", name="folds.json")


def write(folder, lists):
    (folder / "folds.json").write_text(lists if isinstance(lists, str) else json.dumps(lists))
    return folder


def test_fold_of_every_video(tmp_path):
    folder = write(tmp_path, {"train": ["a", "b"], "valid": [], "test": ["c"]})
    assert standard_folds(FILE, folder) == {"a": "train", "b": "train", "c": "test"}


@pytest.mark.parametrize(("name", "sizes"), [("cmu_mosi", (52, 10, 31)), ("cmu_mosei", (2250, 300, 678))])
def test_the_sdks_lists(tmp_path, name, sizes):
    folds = list(standard_folds(Folds(kind="sdk", name=name), tmp_path).values())
    assert tuple(folds.count(fold) for fold in ("train", "valid", "test")) == sizes


def test_the_sdks_lists_do_not_import_torch():
    code = (
        "import sys; from pathlib import Path; from mer_data.sources.catalogue import Folds;"
        "from mer_data.sources.folds import standard_folds;"
        "assert standard_folds(Folds(kind='sdk', name='cmu_mosi'), Path());"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_folds_of_a_missing_list_are_told(tmp_path):
    with pytest.raises(SourceError, match=r"the CMU Multimodal SDK has no folds of cmu_nobody"):
        standard_folds(Folds(kind="sdk", name="cmu_nobody"), tmp_path)


def test_folds_with_a_byte_order_mark(tmp_path):
    (tmp_path / "folds.json").write_bytes(b'\xef\xbb\xbf{"train": ["a"], "valid": [], "test": []}')
    assert standard_folds(FILE, tmp_path) == {"a": "train"}


def test_a_video_in_two_folds_is_told(tmp_path):
    folder = write(tmp_path, {"train": ["a"], "valid": ["b"], "test": ["c", "a"]})
    with pytest.raises(SourceError, match=r"video a is in two folds \(train, test\) in .*folds\.json"):
        standard_folds(FILE, folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "folds are not JSON"),
        ("[]", "need the keys train, valid and test"),
        ({"train": [], "test": []}, "need the keys train, valid and test"),
        ({"train": [], "valid": [], "test": [], "more": []}, "need the keys train, valid and test"),
        ({"train": [], "valid": None, "test": []}, "fold 'valid' is not a list"),
        ({"train": [], "valid": [], "test": "abc"}, "fold 'test' is not a list"),
        (
            {"train": [], "valid": [None], "test": []},
            "fold 'valid' has a video that is no text .*: found None",
        ),
        ({"train": [], "valid": [["a"]], "test": []}, "fold 'valid' has a video that is no text"),
        ("[" * 200_000, r"folds are not JSON \(nested too deeply\)"),
        ('{"train": ["\\ud800"]}', r"folds are not JSON \(half of a surrogate pair"),
    ],
)
def test_damaged_folds_are_told(tmp_path, content, message):
    with pytest.raises(SourceError, match=message) as caught:
        standard_folds(FILE, write(tmp_path, content))
    assert "folds.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_told(tmp_path):
    (tmp_path / "folds.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(SourceError, match="folds are not JSON"):
        standard_folds(FILE, tmp_path)


def test_absent_folds_are_told(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read the folds .No such file"):
        standard_folds(FILE, tmp_path)
