"""Files placed by hand: told by content, then source files in place, or stores and splits."""

import errno
import re
import shutil

import numpy as np
import pytest
from builders import files_below, make_csd_folder, write_csd
from processed_files import (
    casp_ids,
    label_of,
    processed,
    shuffled,
    standard_ids,
    text_of,
    write_cider,
    write_mmsa,
)

from mer_data.errors import SourceError, SplitError, StoreError, WriteError
from mer_data.importing import ImportOptions, import_path
from mer_data.sources.lock_file import SourceLock
from mer_data.splits import SplitManifest, standard_split
from mer_data.store.reader import FeatureStore
from mer_data.verify import verify
from mer_data.workspace import Workspace, home

pytestmark = pytest.mark.usefixtures("bert_pieces")


def take_in(path, **options):
    """Import one thing."""
    (item,) = import_path(path, ImportOptions(**options)).imported
    return item


# --- processed files ---


@pytest.fixture(scope="module")
def ids():
    return standard_ids("mosi")


def test_an_mmsa_pickle_becomes_a_store_and_a_standard_split(tmp_path, ids):
    item = take_in(write_mmsa(tmp_path / "download(3)", processed(ids)))
    workspace = Workspace("mosi")
    assert (item.dataset, item.state) == ("mosi", "new")
    assert item.target == workspace.store_path("mmsa_unaligned")
    assert item.split == workspace.split_path("mmsa")
    store, split = FeatureStore.open(item.target), SplitManifest.load(item.split)
    assert (split.kind, split.task, split.utterance_digest) == ("standard", "any", store.utterance_digest)
    assert {fold: sorted(names) for fold, names in ids.items()} == {
        f: list(n) for f, n in split.splits.items()
    }
    first = store.utterances.iloc[0]
    assert (first["text"], first["label"]) == (text_of(first["id"]), label_of(first["id"]))
    standard = standard_split(store.utterances, dataset="mosi", utterance_digest=store.utterance_digest)
    assert (standard.splits, standard.shift) == (split.splits, split.shift)


@pytest.mark.parametrize("aligned", [True, False])
def test_the_ood_files_of_cider_keep_their_folds_beside_the_standard_ones(tmp_path, ids, aligned):
    other = shuffled(ids)
    path = write_cider(tmp_path / "x.bin", processed(other, aligned=aligned))
    item = take_in(path, task="seven")
    alignment = "aligned" if aligned else "unaligned"
    assert item.target == Workspace("mosi").store_path(f"cider_ood_{alignment}")
    assert item.split == Workspace("mosi").split_path("cider_ood_seven")
    split = SplitManifest.load(item.split)
    assert (split.kind, split.task) == ("ood", "seven")
    assert {fold: list(names) for fold, names in split.splits.items()} == {
        f: sorted(n) for f, n in other.items()
    }
    assert split.shift["word_label_divergence_bits"]["standard_folds"] is not None
    utterances = FeatureStore.open(item.target).utterances
    fold_of = {name: fold for fold, names in ids.items() for name in names}
    assert utterances["fold"].tolist() == [fold_of[name] for name in utterances["id"]]


def test_files_that_differ_only_in_their_folds_share_a_store(tmp_path, ids):
    first = take_in(write_cider(tmp_path / "a", processed(shuffled(ids, 1))), task="binary")
    digest = FeatureStore.open(first.target).content_digest
    second = take_in(write_cider(tmp_path / "b", processed(shuffled(ids, 2))), task="seven")
    assert second.target == first.target
    assert FeatureStore.open(first.target).content_digest == digest
    splits = sorted(path.name for path in Workspace("mosi").split_path("x").parent.iterdir())
    assert splits == ["cider_ood_binary.json", "cider_ood_seven.json"]
    assert files_below(first.target.parent) == ["cider_ood_unaligned.h5"]
    for path in Workspace("mosi").split_path("x").parent.iterdir():
        assert not verify(path).num("error")


def test_the_aligned_file_of_the_same_folds_shares_their_manifest(tmp_path, ids):
    other = shuffled(ids)
    first = take_in(write_cider(tmp_path / "a", processed(other)), task="binary")
    text = first.split.read_text()
    second = take_in(write_cider(tmp_path / "b", processed(other, aligned=True)), task="binary")
    assert (second.split, second.split.read_text()) == (first.split, text)
    assert FeatureStore.open(second.target).alignment == "aligned"


def test_twice_the_same_file_changes_nothing(tmp_path, ids):
    path = write_cider(tmp_path / "a", processed(shuffled(ids)))
    first = take_in(path)
    before = (first.target.stat().st_mtime_ns, first.split.stat().st_mtime_ns)
    again = take_in(path)
    assert again.state == "present"
    assert (first.target.stat().st_mtime_ns, first.split.stat().st_mtime_ns) == before


def test_other_features_under_the_same_name_are_refused(tmp_path, ids):
    content = processed(shuffled(ids))
    take_in(write_cider(tmp_path / "a", content))
    content["test"]["audio"][0, 0, 0] += 1
    other = write_cider(tmp_path / "b", content)
    with pytest.raises(StoreError, match=r"exists already and has other content\. Pass --name"):
        take_in(other)
    assert files_below(Workspace("mosi").root / "store") == ["cider_ood_unaligned.h5"]
    assert take_in(other, name="mine").target.stem == "mine_unaligned"
    assert take_in(other, force=True).state == "new"


def test_other_folds_under_the_same_name_are_refused(tmp_path, ids):
    take_in(write_cider(tmp_path / "a", processed(shuffled(ids, 1))))
    with pytest.raises(
        SplitError, match=r"cider_ood\.json exists already\. Pass --force to replace it, or --name to"
    ):
        take_in(write_cider(tmp_path / "b", processed(shuffled(ids, 2))))


@pytest.mark.parametrize(("dataset", "steps"), [("mosi", 44), ("mosei", 75)])
def test_the_cross_dataset_files_of_casp(tmp_path, dataset, steps):
    ids = standard_ids(dataset)
    content = processed(casp_ids(shuffled(ids)), widths=(25, 171), steps=(steps, steps), lengths=False)
    item = take_in(write_mmsa(tmp_path / "x.pkl", content))
    assert item.target == Workspace(dataset).store_path("casp_unaligned")
    split = SplitManifest.load(item.split)
    assert (split.kind, split.dataset) == ("cross_dataset", dataset)
    store = FeatureStore.open(item.target)
    assert (store.width("audio"), store.width("vision")) == (25, 171)
    assert sorted(store.utterances["id"]) == sorted(name for names in ids.values() for name in names)
    assert not verify(item.split).num("error")


def test_the_user_may_know_better(tmp_path, ids):
    item = take_in(
        write_mmsa(tmp_path / "x.pkl", processed(ids)), kind="cross_dataset", name="mine", task="seven"
    )
    split = SplitManifest.load(item.split)
    assert (item.target.stem, item.split.stem, split.kind, split.task) == (
        "mine_unaligned",
        "mine",
        "cross_dataset",
        "seven",
    )


def test_a_pickle_of_an_unknown_corpus_needs_a_name(tmp_path, workspace_home):
    strange = {fold: [f"zz{fold}{n}$_$1" for n in range(6)] for fold in ("train", "valid", "test")}
    path = write_mmsa(tmp_path / "x.pkl", processed(strange))
    with pytest.raises(SourceError, match=r"cannot tell which dataset it is of .* --dataset NAME"):
        take_in(path)
    with pytest.raises(SourceError, match="less than half of its videos are in the standard folds of mosi"):
        take_in(path, dataset="mosi")
    assert not workspace_home.exists()
    item = take_in(path, dataset="sample", tokenizer="bert-base-uncased")
    assert (item.target.stem, item.split.stem) == ("imported_unaligned", "imported")
    assert SplitManifest.load(item.split).kind == "standard"


def test_a_published_file_is_told_by_its_checksum(tmp_path, ids, monkeypatch):
    """Folds that are not the standard ones, but the checksum of a file that is published as standard."""
    from mer_data.files.writing import sha256_file
    from mer_data.sources import recognise

    path = write_mmsa(tmp_path / "x", processed(shuffled(ids)))
    known = recognise.load_source_manifest("mosi")
    mmsa = next(c for c in known.collections if c.name == "mmsa")
    file = mmsa.files[0].model_copy(update={"sha256": sha256_file(path).removeprefix("sha256:")})
    collections = tuple(
        c.model_copy(update={"files": (file,)}) if c is mmsa else c for c in known.collections
    )
    monkeypatch.setattr(
        recognise, "load_source_manifest", lambda name: known.model_copy(update={"collections": collections})
    )
    raw = Workspace("mosi").raw
    raw.mkdir(parents=True)
    item = take_in(shutil.copy(path, raw / "x") and raw / "x")
    assert (SplitManifest.load(item.split).kind, item.split.stem) == ("standard", "mmsa")
    assert files_below(raw) == ["mmsa_unaligned_50.pkl"]
    assert list(SourceLock(Workspace("mosi").source_lock).read()) == ["mmsa_unaligned_50.pkl"]


# --- source files ---


VIDEOS = {
    "mosi": ["03bSnISJMiM", "0h-zjBukYpk", "2iD-tVS8NPw"],
    "mosei": ["hh04W3xXa5s", "GdFP_p4eQX0", "188343"],
}
CONTENT = (np.ones((3, 4), np.float32), np.array([[0, 1], [1, 2], [2, 3]]))


def csd(path, root, dataset):
    return write_csd(path, root, dict.fromkeys(VIDEOS[dataset], CONTENT))


@pytest.mark.parametrize("dataset", ["mosi", "mosei"])
def test_a_csd_is_told_by_its_root_and_its_videos(tmp_path, dataset):
    item = take_in(csd(tmp_path / "whatever", "covarep", dataset))
    name = f"CMU_{dataset.upper()}_COVAREP.csd"
    assert (item.dataset, item.what, item.target) == (dataset, "covarep", Workspace(dataset).raw / name)
    assert (tmp_path / "whatever").read_bytes() == item.target.read_bytes()
    recorded = SourceLock(Workspace(dataset).source_lock).read()[name]
    assert (recorded.origin, recorded.bytes) == ("imported", item.target.stat().st_size)


def test_a_whole_folder_goes_to_its_places(tmp_path):
    folder = tmp_path / "downloads"
    (folder / "deep").mkdir(parents=True)
    csd(folder / "1", "words", "mosei")
    csd(folder / "deep" / "2.csd", "FACET 4.2", "mosei")
    csd(folder / "3.csd", "OpenFace_2", "mosi")
    csd(folder / "4.csd", "nobody knows", "mosi")
    (folder / "notes.txt").write_text("hello")
    (folder / "page.csd").write_text("<html>")
    (folder / ".hidden").write_text("x")
    (folder / "t.csv").write_text("".join(f'"{video}_1","so it is"\n' for video in VIDEOS["mosi"]))
    report = import_path(folder)
    assert sorted(str(item.target.relative_to(home())) for item in report.imported) == [
        "mosei/raw/CMU_MOSEI_TimestampedWords.csd",
        "mosei/raw/CMU_MOSEI_VisualFacet42.csd",
        "mosi/raw/CMU_MOSI_OpenFace2.csd",
        "mosi/raw/transcripts.csv",
    ]
    assert {path.name: reason.split(" in ")[0] for path, reason in report.others.items()} == {
        "4.csd": "no source manifest knows the root 'nobody knows'",
        "notes.txt": "not a source file",
    }
    assert {path.name: reason.split(" in ")[0] for path, reason in report.failed.items()} == {
        "page.csd": "a web page, not a source file"
    }


def test_a_file_that_fails_does_not_keep_the_others_out(tmp_path):
    """Damaged, refused, and another one in its place: each is listed with its reason, the rest goes on."""
    take_in(csd(tmp_path / "first.csd", "COVAREP", "mosi"))
    folder = tmp_path / "downloads"
    folder.mkdir()
    write_csd(folder / "1.csd", "COVAREP", dict.fromkeys(VIDEOS["mosi"][:1], CONTENT))
    (folder / "2.csd").write_bytes(csd(tmp_path / "whole.csd", "FACET 4.1", "mosi").read_bytes()[:-200])
    (folder / "3.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    (folder / "4.csv").write_text("03bSnISJMiM_1,fine\nbroken\n")
    csd(folder / "5.csd", "OpenFace_2", "mosi")
    report = import_path(folder)
    assert [item.path.name for item in report.imported] == ["5.csd"]
    assert report.others == {}
    reasons = [
        "is not the file that was recorded first",
        "not a readable|truncated|cut short",
        r"refused class os\.system",
        "not a transcript line",
    ]
    assert [path.name for path in report.failed] == ["1.csd", "2.csd", "3.pkl", "4.csv"]
    for reason, told in zip(reasons, report.failed.values(), strict=True):
        assert re.search(reason, told), told


def test_a_folder_where_everything_fails_is_told(tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "x.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    report = import_path(tmp_path / "downloads")
    assert (report.imported, report.others) == ((), {})
    assert list(report.failed) == [tmp_path / "downloads" / "x.pkl"]


def test_a_full_disk_ends_the_import(tmp_path, monkeypatch):
    folder = tmp_path / "downloads"
    folder.mkdir()
    csd(folder / "1.csd", "COVAREP", "mosi")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(WriteError, match=r"raw"):
        import_path(folder)


def test_what_the_build_of_a_processed_file_changed_is_told(tmp_path, ids):
    content = processed(ids)
    content["train"]["raw_text"] = [text.encode() for text in content["train"]["raw_text"]]
    path = write_mmsa(tmp_path / "x.pkl", content)
    assert take_in(path).changed["texts_of_bytes_decoded"] == len(ids["train"])
    assert take_in(path).changed["texts_of_bytes_decoded"] == len(ids["train"])  # there before


@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte-order mark"])
def test_text_files_of_excel_and_notepad(tmp_path, begin):
    folder = tmp_path / "files"
    folder.mkdir()
    lines = "".join(f'"{video}_1","so it is"\r\n' for video in VIDEOS["mosi"])
    (folder / "t.csv").write_bytes(begin + lines.encode())
    (folder / "f.json").write_bytes(begin + b'{"train": ["a"], "valid": ["b"], "test": ["c"]}\r\n')
    report = import_path(folder)
    assert [item.what for item in report.imported] == ["folds", "transcripts"]


def test_copies_in_the_raw_folder_get_their_names(tmp_path):
    raw = Workspace("mosi").raw
    raw.mkdir(parents=True)
    csd(raw / "covarep (1).csd", "COVAREP", "mosi")
    import_path(raw)
    assert files_below(raw) == ["CMU_MOSI_COVAREP.csd"]
    assert [item.state for item in import_path(raw).imported] == ["present"]


def test_a_link_saves_space(tmp_path):
    path = csd(tmp_path / "x.csd", "COVAREP", "mosi")
    item = take_in(path, link=True)
    assert item.target.is_symlink()
    assert item.target.resolve() == path.resolve()


def test_another_file_in_its_place_needs_force(tmp_path):
    item = take_in(csd(tmp_path / "a.csd", "COVAREP", "mosi"))
    other = write_csd(tmp_path / "b.csd", "COVAREP", dict.fromkeys(VIDEOS["mosi"][:1], CONTENT))
    with pytest.raises(SourceError, match=r"is not the file that was recorded first"):
        take_in(other)
    assert take_in(other, force=True).state == "new"
    assert item.target.read_bytes() == other.read_bytes()
    recorded = SourceLock(Workspace("mosi").source_lock).read()["CMU_MOSI_COVAREP.csd"]
    assert recorded.bytes == other.stat().st_size


def test_a_file_of_another_corpus_is_refused(tmp_path):
    path = csd(tmp_path / "a.csd", "COVAREP", "mosei")
    with pytest.raises(SourceError, match="less than half of its videos are in the standard folds of mosi"):
        take_in(path, dataset="mosi")


def test_the_files_of_a_corpus_with_folds_of_its_own(tmp_path):
    folder = make_csd_folder(tmp_path / "sample")
    report = import_path(folder)
    assert files_below(Workspace("sample").raw) == [
        "face.csd",
        "folds.json",
        "labels.csd",
        "tone.csd",
        "words.csd",
    ]
    assert report.others == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file, not a source file in .*x"),
        (b"hello", "not a source file in .*x: expected a .csd file, a pickle"),
        (b"\x89HDF\r\n\x1a\nbroken", "the computational sequence is truncated"),
        (b"\x80\x04broken", "unsafe or damaged pickle|damaged pickle"),
        (b'{"a": 1}', "folds need the keys train, valid and test"),
        (b"<!doctype html>", "a web page, not a source file"),
    ],
)
def test_a_file_that_is_nothing_known(tmp_path, workspace_home, content, message):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        import_path(tmp_path / "x")
    assert not workspace_home.exists()


def test_a_place_with_nothing(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        import_path(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"no file that is known .* found no files"):
        import_path(tmp_path / "empty")
