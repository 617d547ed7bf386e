"""Every way to damage a store that we could think of is found, and named."""

import json
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.build import build_store
from mer_data.sources import open_source
from mer_data.verify import verify_store
from mer_data.verify.reading import LAYOUT
from mer_data.verify.run import verify


def flip(path, place, bit=0):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def extents(path, name):
    """Where the bytes of a dataset are in the file: (offset, size) of every chunk."""
    with h5py.File(path, "r") as file:
        dataset = file[name]
        if not dataset.chunks:
            return [(dataset.id.get_offset(), dataset.id.get_storage_size())]
        infos = [dataset.id.get_chunk_info(index) for index in range(dataset.id.get_num_chunks())]
        return [(info.byte_offset, info.size) for info in infos]


@pytest.mark.parametrize("alignment", ["aligned", "unaligned"])
def test_an_intact_store_has_no_errors_and_no_warnings(small_stores, alignment):
    assert {finding.level for finding in verify_store(small_stores[alignment])} <= {"note"}


def test_what_is_empty_is_noted(small_stores):
    notes = {finding.message: finding.ids for finding in verify_store(small_stores["unaligned"])}
    assert notes["utterances without audio"] == ("sample000$_$8",)


@pytest.mark.parametrize("name", LAYOUT)
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_flipped_bit_is_found_in_every_dataset(small_stores, tmp_path, name, place):
    path = tmp_path / "flipped.h5"
    shutil.copy(small_stores["unaligned"], path)
    offset, size = extents(path, name)[0]
    flip(path, offset if place == "first" else offset + size - 1)
    errors = [finding for finding in verify_store(path) if finding.level == "error"]
    assert any(name in finding.message for finding in errors)


@settings(max_examples=30)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), chosen=st.sampled_from(sorted(LAYOUT)))
def test_a_flipped_bit_is_found_wherever_it_is(tmp_path_factory, small_stores, share, bit, chosen):
    path = tmp_path_factory.getbasetemp() / "flipped_anywhere.h5"
    shutil.copy(small_stores["unaligned"], path)
    offset, size = extents(path, chosen)[-1]
    flip(path, offset + int(share * size), bit)
    assert any(finding.level == "error" and chosen in finding.message for finding in verify_store(path))


def test_all_damaged_chunks_are_named_with_their_utterances(small_source, tmp_path, monkeypatch):
    monkeypatch.setattr("mer_data.store.writer._FRAME_CHUNK_BYTES", 1200)  # 50 frames of tone
    path = tmp_path / "chunks.h5"
    build_store(open_source("sample", small_source), path, alignment="unaligned")
    assert not [finding for finding in verify_store(path) if finding.level == "error"]
    chunks = extents(path, "audio/values")
    with h5py.File(path, "r") as file:
        offsets = file["audio/offsets"][()]
        ids = bytes(file["utterances/id_values"][()]).decode().replace("sample", " sample").split()
    flip(path, chunks[1][0])
    flip(path, chunks[-1][0])
    flip(path, extents(path, "words/token_values")[0][0])
    findings = {finding.message: finding for finding in verify_store(path) if finding.check == "checksum"}
    audio = next(finding for message, finding in findings.items() if message.startswith("audio/values"))
    assert f"rows 50 to 99, {50 * (len(chunks) - 1)} to {offsets[-1] - 1} cannot be read" in audio.message
    rows = [*range(50, 100), *range(50 * (len(chunks) - 1), offsets[-1])]
    touched = {ids[np.searchsorted(offsets, row, side="right") - 1] for row in rows}
    assert audio.count == len(touched)
    assert set(audio.ids) <= touched
    words = next(finding for message, finding in findings.items() if "words/token_values" in message)
    assert words.ids[0] == "sample000$_$1"


def put(name, index, value):
    def change(file):
        file[name][index] = value

    return change


def attribute(name, value):
    def change(file):
        file.attrs[name] = value

    return change


def swap(name, first, second):
    def change(file):
        values = file[name][()]
        values[[first, second]] = values[[second, first]]
        file[name][:] = values

    return change


def swap_columns(name, row):
    def change(file):
        file[name][row] = file[name][row][::-1]

    return change


def swap_borders(file):
    start, end = file["utterances/start_s"][2], file["utterances/end_s"][2]
    file["utterances/start_s"][2], file["utterances/end_s"][2] = end, start


def repeat_first_id(file):
    a, b, c = file["utterances/id_offsets"][:3]
    file["utterances/id_values"][b:c] = file["utterances/id_values"][a:b]


def last_piece(file):
    file["tokens/ids"][file["tokens/offsets"][1] - 1] = 0


def longer(name):
    def change(file):
        file[name].resize(file[name].shape[0] + 1, axis=0)

    return change


def replace(name, **dataset):
    def change(file):
        del file[name]
        file.create_dataset(name, **dataset)

    return change


def add_column_name(file):
    columns = json.loads(file.attrs["columns"])
    columns["vision"].append("one more")
    file.attrs["columns"] = json.dumps(columns)


EDITS = {
    "label too large": (put("utterances/label", 3, 4.0), "label-range", "sample000$_$4"),
    "label NaN": (put("utterances/label", 3, np.nan), "label-range", "sample000$_$4"),
    "id twice": (repeat_first_id, "unique-ids", "sample000$_$1"),
    "id of another form": (put("utterances/id_values", 9, ord("x")), "id-form", None),
    "segment 0": (put("utterances/id_values", 12, ord("0")), "id-form", "sample000$_$0"),
    "id of another segment": (put("utterances/segment", 1, 7), "id-agrees", "sample000$_$2"),
    "id of another video": (put("utterances/video_id_values", 8, ord("3")), "id-agrees", "sample000$_$1"),
    "unknown fold": (put("utterances/fold_values", 0, ord("b")), "fold", "sample000$_$1"),
    "segment backwards": (swap_borders, "interval", "sample000$_$3"),
    "segment without end": (put("utterances/end_s", 1, np.inf), "interval", "sample000$_$2"),
    "segment with half a time": (put("utterances/end_s", 1, np.nan), "interval", "sample000$_$2"),
    "word backwards": (swap_columns("words/times", 0), "word-interval", "sample000$_$1"),
    "word with half a time": (put("words/times", (0, 0), np.nan), "word-interval", "sample000$_$1"),
    "words out of order": (swap("words/times", 1, 3), "word-order", "sample000$_$1"),
    "piece outside the vocabulary": (put("tokens/ids", 1, 10**6), "token-vocabulary", "sample000$_$1"),
    "negative piece": (put("tokens/ids", 1, -1), "token-vocabulary", "sample000$_$1"),
    "no [CLS]": (put("tokens/ids", 0, 1), "token-frame", "sample000$_$1"),
    "no [SEP]": (last_piece, "token-frame", "sample000$_$1"),
    "piece of no word": (put("tokens/words", 1, 99), "token-words", "sample000$_$1"),
    "piece of word -2": (put("tokens/words", 1, -2), "token-words", "sample000$_$1"),
    "NaN in audio": (put("audio/values", (0, 1), np.nan), "finite", "sample000$_$1"),
    "-inf in vision": (put("vision/values", (0, 1), -np.inf), "finite", "sample000$_$1"),
    "offset too large": (put("audio/offsets", 3, 10**7), "offsets", "sample000$_$4"),
    "offset falls": (put("tokens/offsets", 3, 1), "offsets", "sample000$_$3"),
    "offsets do not begin at 0": (put("words/offsets", 0, 1), "offsets", None),
    "offsets do not end at the values": (put("vision/offsets", 32, 10**7), "offsets", None),
    "too many offsets": (longer("audio/offsets"), "offsets", None),
    "extreme offset": (put("audio/offsets", 3, np.iinfo(np.int64).min), "offsets", "sample000$_$3"),
    "offset of an id": (put("utterances/id_offsets", 3, 10**7), "offsets", "row 3"),
    "offset of a text": (put("utterances/text_offsets", 3, 10**7), "offsets", "sample000$_$4"),
    "offset of a word's letters": (put("words/token_offsets", 3, 10**7), "offsets", None),
    "a label too many": (longer("utterances/label"), "length", None),
    "dataset missing": (lambda file: file.__delitem__("tokens/words"), "layout", None),
    "group missing": (lambda file: file.__delitem__("audio"), "layout", None),
    "dataset of text": (replace("utterances/label", data=[b"x"] * 32), "layout", None),
    "dataset without dimensions": (replace("words/times", data=1.5), "layout", None),
    "chunks missing": (lambda file: file["audio/values"].resize(10**5, axis=0), "readable", None),
    "impossible size": (lambda file: file["audio/values"].resize(10**15, axis=0), "readable", None),
    "not UTF-8": (put("utterances/text_values", 0, 0xFF), "encoding", "sample000$_$1"),
    "word not UTF-8": (put("words/token_values", 0, 0xFF), "encoding", "sample000$_$1"),
    "no tokenizer": (
        replace("tokens/tokenizer_json", data=np.frombuffer(b"{}", np.uint8)),
        "tokenizer",
        None,
    ),
    "drops are no list": (put("dropped_json", 0, ord("x")), "dropped", None),
    "a dropped one is there": (
        replace(
            "dropped_json",
            data=np.frombuffer(b'[{"id": "sample000$_$2", "reason": "why not"}]', np.uint8),
        ),
        "dropped",
        "sample000$_$2",
    ),
    "attribute missing": (lambda file: file.attrs.__delitem__("limits"), "attributes", None),
    "attribute is no JSON": (attribute("cleaning", "{"), "attributes", None),
    "strange limits": (attribute("limits", '{"text": 50, "audio": 0, "vision": 9}'), "attributes", None),
    "unknown alignment": (attribute("alignment", "diagonal"), "attributes", None),
    "column names": (add_column_name, "columns", None),
    "other vocabulary": (attribute("vocabulary_digest", "sha256:0"), "vocabulary-digest", None),
    "other format": (attribute("format", "mer-data/statistics"), "format", None),
    "newer version": (attribute("version", 3), "version", None),
    "version is a word": (attribute("version", "one"), "version", None),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_is_found(edited, name):
    change, check, example = EDITS[name]
    findings = verify_store(edited(change, sealed=False))
    found = [finding for finding in findings if finding.check == check]
    assert [finding.level for finding in found] == ["error"] * len(found) != []
    assert example is None or example in found[0].ids


@pytest.mark.parametrize("name", ["label too large", "NaN in audio", "segment backwards", "piece of no word"])
def test_a_sealed_edit_is_the_only_error(edited, found_in, name):
    change, check, _ = EDITS[name]
    assert found_in(edited(change)) == {check}


def test_offsets_of_ids_and_others_may_be_wrong_together(edited):
    def change(file):
        file["utterances/id_offsets"].resize(20, axis=0)
        file["audio/offsets"][30] = 0

    found = [(f.message.split()[0], f.ids) for f in verify_store(edited(change, sealed=False))]
    assert ("utterances/id_offsets", ()) in found
    assert ("audio/offsets", ("row 29",)) in found


def test_an_aligned_store_has_one_frame_per_piece(edited, found_in):
    def change(file):
        file["audio/offsets"][1] += 1

    assert found_in(edited(change, alignment="aligned")) == {"aligned-frames"}
    assert "aligned-frames" not in found_in(edited(change))


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (attribute("utterance_digest", "sha256:0"), "utterance-digest"),
        (attribute("content_digest", "sha256:0"), "content-digest"),
        (attribute("tokenizer", "another"), "content-digest"),
        (put("utterances/text_values", 0, ord("q")), "utterance-digest"),
        (put("audio/values", (0, 0), 7.0), "content-digest"),
    ],
)
def test_digests_are_computed_again(edited, found_in, change, check):
    assert check in found_in(edited(change, sealed=False))


def test_a_text_of_other_words_is_a_warning(edited, found_in):
    path = edited(put("utterances/text_values", 0, ord("q")))
    assert (found_in(path), found_in(path, "warning")) == (set(), {"text-words"})


def test_words_far_from_their_segment_are_a_warning(edited, found_in):
    def change(file):
        first, last = file["words/offsets"][:2]
        file["words/times"][first:last] += 100.0

    path = edited(change)
    assert (found_in(path), found_in(path, "warning")) == (set(), {"word-outside"})


def test_a_word_in_two_utterances_is_a_mixed_sentence(edited, words_of, set_words):
    def change(file):
        rows = words_of(file)
        (before, before_times), (after, after_times) = rows[4], rows[5]
        rows[5] = [before[-1], *after], np.concatenate([before_times[-1:], after_times])
        set_words(file, rows)

    (finding,) = [finding for finding in verify_store(edited(change)) if finding.level == "error"]
    assert (finding.check, finding.ids) == ("mixed-words", ("sample000$_$5", "sample000$_$6"))


def test_all_words_of_the_neighbour_are_a_mixed_sentence(edited, words_of, set_words, found_in):
    def change(file):
        rows = words_of(file)
        rows[5] = rows[4]
        set_words(file, rows)

    assert "mixed-words" in found_in(edited(change))


def test_a_segment_that_was_published_twice_is_a_warning(edited, words_of, set_words, found_in):
    def change(file):
        rows = words_of(file)
        rows[5] = rows[4]
        set_words(file, rows)
        for border in ("start_s", "end_s"):
            file[f"utterances/{border}"][5] = file[f"utterances/{border}"][4]

    path = edited(change)
    assert found_in(path, "warning") == {"same-segment-twice"}
    assert "mixed-words" not in found_in(path)


@pytest.mark.parametrize(("num_shared", "found"), [(3, {"possible-mixed-sentence"}), (2, set())])
def test_without_times_a_repeated_end_is_suspected(edited, words_of, set_words, num_shared, found):
    def change(file):
        rows = words_of(file)
        (before, _), (after, times) = rows[4], rows[5]
        rows[5] = [*before[-num_shared:], *after], np.concatenate([times[:num_shared], times])
        set_words(file, rows)
        for name in ("utterances/start_s", "utterances/end_s", "words/times"):
            file[name][...] = np.nan

    warnings = [finding for finding in verify_store(edited(change)) if finding.level == "warning"]
    assert {finding.check for finding in warnings} == found
    assert all(finding.ids == ("sample000$_$5", "sample000$_$6") for finding in warnings)


def test_what_is_no_hdf5_is_told_in_one_finding(tmp_path, small_stores):
    path = tmp_path / "cut.h5"
    path.write_bytes(small_stores["aligned"].read_bytes()[:5000])
    (finding,) = verify_store(path)
    assert (finding.check, finding.level) == ("readable", "error")
    assert "\n" not in finding.message


def test_progress_reaches_its_end_and_never_falls(small_stores):
    seen = []
    result = verify(small_stores["unaligned"], lambda done, total, _="": seen.append((done, total)))
    assert not result.num("error")
    assert seen[-1][0] == seen[-1][1] == small_stores["unaligned"].stat().st_size
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_frames_are_read_in_parts(small_source, tmp_path, monkeypatch):
    monkeypatch.setattr("mer_data.store.writer._FRAME_CHUNK_BYTES", 1200)
    path = tmp_path / "chunks.h5"
    build_store(open_source("sample", small_source), path, alignment="unaligned")
    read = h5py.Dataset.__getitem__
    sizes = {}

    def watched(dataset, *arguments):
        rows = read(dataset, *arguments)
        sizes[dataset.name] = max(sizes.get(dataset.name, 0), len(rows))
        return rows

    monkeypatch.setattr(
        "mer_data.verify.reading.content_digest", lambda file: None
    )  # it has parts of its own
    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    verify_store(path)
    assert (sizes["/audio/values"], sizes["/vision/values"]) == (50, 37)


@pytest.mark.parametrize("name", ["csd", "pickle"])
def test_real_mosi_has_no_errors(mosi_stores, name):
    findings = verify_store(mosi_stores[name].path)
    assert [finding.text for finding in findings if finding.level == "error"] == []
    # What the corpus itself has: two segments twice, and sentences repeated in the next transcript.
    expected = {"csd": ("same-segment-twice", 4), "pickle": ("possible-mixed-sentence", 12)}
    assert [(f.check, f.count) for f in findings if f.level == "warning"] == [expected[name]]
