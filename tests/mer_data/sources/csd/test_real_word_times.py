"""Real forced alignments of CMU-MOSI, as a public repository has them: each word has its successor's time."""

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from mer_data.build import build_store
from mer_data.errors import SourceError
from mer_data.sources import SourceChoices, open_source
from mer_data.store.reader import FeatureStore
from mer_data.verify import verify_store
from mer_data.verify.mixed import find_mixed

NEEDED = ("CMU_MOSI_Opinion_Labels.csd", "transcripts.csv", "utterance_audio.csd", "utterance_vision.csd")
AS_FOUND = "CMU_MOSI_ModifiedTimestampedWords.csd"


def folder_with(path, mosi_folder, words):
    """The real files of CMU-MOSI beside one file of words."""
    path.mkdir()
    for source in (*(mosi_folder / name for name in NEEDED), words):
        (path / source.name).symlink_to(source)
    return path


@pytest.fixture(scope="module")
def repaired(mosi_folder, mosi_words_folder, tmp_path_factory):
    """Stores with the repaired words, by alignment, and the report of the unaligned one."""
    folder = tmp_path_factory.mktemp("repaired")
    source = folder_with(folder / "raw", mosi_folder, mosi_words_folder / "words_realigned.csd")
    reports = {
        alignment: build_store(
            open_source("mosi", source), folder / f"{alignment}.h5", alignment=alignment, tokenizer="minilm"
        )
        for alignment in ("unaligned", "aligned")
    }
    return {name: FeatureStore.open(report.path) for name, report in reports.items()}, reports["unaligned"]


@pytest.mark.parametrize("alignment", ["aligned", "unaligned"])
@pytest.mark.parametrize("root", [None, "words"])
def test_shifted_words_stop_the_build_whatever_their_root(
    tmp_path, mosi_folder, mosi_words_folder, root, alignment
):
    words = Path(shutil.copy(mosi_words_folder / AS_FOUND, tmp_path / "words.csd"))
    words.chmod(0o644)
    if root is not None:
        with h5py.File(words, "r+") as file:
            file.move(next(iter(file)), root)
    folder = folder_with(tmp_path / "raw", mosi_folder, words)
    with pytest.raises(SourceError) as raised:
        build_store(open_source("mosi", folder), tmp_path / "s.h5", alignment=alignment, tokenizer="minilm")
    stored, shifted = map(
        int, re.search(r"in (\d+) of 2199 segments .* in (\d+) with", str(raised.value)).groups()
    )
    assert stored <= 2
    assert shifted >= 1_934
    assert "every word moved by -1 interval (03bSnISJMiM$_$1 has the words 'her anyhow" in str(raised.value)
    assert "Pass --shift-words -1" in str(raised.value)


def test_the_shift_repairs_them(tmp_path, mosi_folder, mosi_words_folder, repaired):
    folder = folder_with(tmp_path / "raw", mosi_folder, mosi_words_folder / AS_FOUND)
    source = open_source("mosi", folder, SourceChoices(shift_words=-1))
    report = build_store(source, tmp_path / "s.h5", alignment="unaligned", tokenizer="minilm")
    same = "utterances_with_the_words_of_their_text"
    assert report.cleaning[same] == repaired[1].cleaning[same] >= 1_934
    store = FeatureStore.open(report.path)
    assert int(store.attribute("word_shift")) == -1


def test_words_across_borders_are_counted_and_none_is_in_two_segments(repaired):
    stores, report = repaired
    assert report.cleaning["words_across_a_border"] == 105
    assert report.cleaning["words_that_touch_two_segments"] == 275
    for store in stores.values():
        utterances = store.utterances
        words = [store.words(index) for index in range(len(store))]
        owners = [index for index, row in enumerate(words) for _ in row]
        tokens = [token for row in words for token in row["token"]]
        times = [(start, end) for row in words for _, start, end in row.tolist()]
        found = find_mixed(utterances, np.array(owners), tokens, np.array(times))
        assert found.mixed == ()
        assert found.twins == ()


def test_the_aligned_store_has_frames_at_its_words(repaired):
    stores, _ = repaired
    store = stores["aligned"]
    assert store.read(range(len(store))).streams["vision"].values.any(axis=1).mean() > 0.5
    assert not [found for found in verify_store(store.path) if found.level == "error"]
