"""What a failed download leaves is named as such, whatever its name."""

import pytest

from mer_data.errors import SourceError
from mer_data.importing import import_path
from mer_data.sources import open_source
from mer_data.sources.catalogue import load_source_manifest
from mer_data.sources.content import check_structure
from mer_data.sources.csd.csd_files import ComputationalSequence
from mer_data.sources.pickles.joblib_file import read_arrays

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 7\n"
INSTEAD = {
    "page": (b"<!DOCTYPE html><html>log in", "a web page.* Download it again"),
    "page with a mark": (b"\xef\xbb\xbf\n<html>", "a web page.* Download it again"),
    "error": (b'<?xml version="1.0"?><Error>AccessDenied</Error>', "a web page.* Download it again"),
    "pointer": (LFS, "a Git LFS pointer.* `git lfs pull`"),
    "zeros": (bytes(5000), "a file of zeros.* Download it again"),
    "nothing": (b"", "an empty file.* Download it again"),
    "archive": (b"PK\x03\x04rest", "a zip archive.* Unpack it"),
}


@pytest.mark.parametrize("name", ["x.pkl", "x.csd", "x.joblib", "x"])
@pytest.mark.parametrize("kind", INSTEAD)
def test_a_source_that_is_no_data_is_named(tmp_path, kind, name):
    content, message = INSTEAD[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        open_source("mosi", tmp_path / name)
    with pytest.raises(SourceError, match=message):
        import_path(tmp_path / name)


@pytest.mark.parametrize("read", [read_arrays, ComputationalSequence])
@pytest.mark.parametrize("kind", INSTEAD)
def test_every_reader_names_it(tmp_path, kind, read):
    content, message = INSTEAD[kind]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read(tmp_path / "x")


@pytest.mark.parametrize("kind", INSTEAD)
def test_a_published_file_that_is_no_data_is_named(tmp_path, kind):
    content, message = INSTEAD[kind]
    manifest = load_source_manifest("mosi")
    _, file = next(iter(manifest.published()))
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SourceError, match=message.replace(".*", rf" instead of {file.name}.*", 1)):
        check_structure(tmp_path / "x", file, manifest)


def test_a_pickle_that_is_cut_is_to_be_downloaded_again(tmp_path):
    import pickle

    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"train": b"x" * 500})[:300])
    with pytest.raises(SourceError, match=r"cut short.* found 300 bytes\. Download or copy the file again"):
        open_source("mosi", tmp_path / "x.pkl")
