"""Which files words mean, where mirrors have them, and several files at once."""

import re

import pytest
from download_corpus import FACE, TONE, describe_corpus, make_csd_bytes, parts, raw_names, sha256
from file_server import breaking

from mer_data.errors import SourceError
from mer_data.sources.download import DownloadError, file_sizes, plan_download
from mer_data.workspace import Workspace


def keys(dataset, *only):
    return [planned.file.key for planned in plan_download(dataset, only).files]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ((), ["sentiment", "words", "covarep", "facet41"]),
        (("audio", "labels"), ["sentiment", "covarep"]),
        (("opensmile",), ["opensmile"]),
        (("vision", "openface2"), ["facet41", "openface2"]),
        (("text",), ["phones", "glove"]),
        (("mmsa",), ["mmsa_unaligned", "mmsa_aligned"]),
        (("words", "casp"), ["words", "casp_mosi"]),
    ],
)
def test_words_choose_files(only, expected):
    assert keys("mosi", *only) == expected


def test_all_is_everything():
    assert len(keys("mosei", "all")) == 10 + 2 + 4 + 1 + 1


def test_a_word_without_meaning_lists_the_known():
    with pytest.raises(SourceError, match="nothing of mosi is called 'smell': expected all, labels, words"):
        plan_download("mosi", ["smell"])


def test_the_sample_is_not_downloaded():
    with pytest.raises(SourceError, match=r"nothing is published of sample .* `mer-data sample`"):
        plan_download("sample")


def test_a_mirror_replaces_every_address_and_everything_comes_from_it():
    plan = plan_download("mosi", ["facet41", "mmsa_aligned", "ood_seven_aligned"], "http://m.example/d/")
    facet, mmsa, ood = plan.files
    base, visual = "http://m.example/d", "CMU-MOSI/visual"
    assert facet.addresses == (
        f"{base}/CMU_MOSI_VisualFacet_4.1.csd",
        f"{base}/CMU_MOSI_Visual_Facet_41.csd",
        f"{base}/{visual}/CMU_MOSI_VisualFacet_4.1.csd",
        f"{base}/{visual}/CMU_MOSI_Visual_Facet_41.csd",
    )
    assert mmsa.addresses == (
        f"{base}/mmsa_aligned_50.pkl",
        f"{base}/aligned_50.pkl",
        f"{base}/MOSI/Processed/aligned_50.pkl",
    )
    assert ood.addresses == (f"{base}/cider_ood_seven_aligned_50.pkl",)
    assert {planned.via for planned in plan.files} == {"http"}


@pytest.mark.parametrize("mirror", ["/a/folder", "ftp://m.example", "http:///x", "m.example"])
def test_a_mirror_is_an_http_address(mirror):
    with pytest.raises(SourceError, match=r"a mirror is the http address of a folder: found .*import PATH"):
        plan_download("mosi", mirror=mirror)


@pytest.fixture
def two(server, content, tmp_path):
    """Two files on the server; their contents."""
    face = make_csd_bytes(tmp_path / "face.csd", root="Sample Face")
    describe_corpus(
        TONE | {"addresses": [server.add("/tone.csd", content)]},
        FACE | {"addresses": [server.add("/face.csd", face)]},
    )
    return {"tone.csd": content, "face.csd": face}


def contents():
    return {path.name: path.read_bytes() for path in Workspace("tiny").raw.glob("*.csd")}


def test_files_come_in_the_order_of_the_manifest(two, fetch):
    assert [had.planned.file.key for had in fetch()] == ["tone", "face"]
    assert contents() == two


def test_only_what_was_asked_for_comes(two, fetch, server):
    fetch("vision")
    assert raw_names() == ["face.csd"]
    assert server.gets("/tone.csd") == []


def test_one_missing_file_does_not_keep_the_others(two, fetch, server):
    del server.files["/tone.csd"]
    with pytest.raises(DownloadError, match="1 of 2 files of tiny could not be had") as caught:
        fetch()
    assert [failure.name for failure in caught.value.failures] == ["tone.csd"]
    assert raw_names() == ["face.csd"]


def test_a_mirror_serves_flat_or_by_path(two, fetch, server):
    for path, content in two.items():
        server.files["/mirror/" + path] = content
    fetch(mirror=f"{server.url}/mirror")
    assert contents() == two
    assert server.gets("/tone.csd") == []
    fetch(mirror=server.url, force=True)
    assert contents() == two


def test_sizes_are_asked_for_and_may_stay_unknown(two, server):
    plan = plan_download("tiny")
    assert file_sizes(plan) == {name: len(content) for name, content in two.items()}
    server.heads = False
    assert file_sizes(plan) == {"tone.csd": None, "face.csd": None}


def test_what_has_arrived_needs_no_room_again(two, fetch, server, monkeypatch):
    from mer_data.sources.download import settings

    server.moods["/tone.csd"] = [breaking(200_000)] * 2
    with pytest.raises(DownloadError):
        fetch("tone", attempts=1)
    usage = settings.shutil.disk_usage(".")
    monkeypatch.setattr(settings.shutil, "disk_usage", lambda _: usage._replace(free=50_000))
    fetch("tone", spare_bytes=0)
    assert raw_names() == ["tone.csd"]


def test_files_by_hand_are_told_and_never_skipped(two, fetch, content):
    page = "https://drive.example/folder"
    by_hand = {
        "name": "hand",
        "title": "By hand",
        "via": "manual",
        "page": page,
        "files": [TONE | {"default": True, "path": "deep/tone.csd"}],
    }
    describe_corpus(collections=[by_hand])
    with pytest.raises(DownloadError) as caught:
        fetch()
    line = str(caught.value).splitlines()[1]
    assert line == f"  tone.csd: {page} (cannot be fetched by a program; take deep/tone.csd from there)"
    target = Workspace("tiny").raw / "tone.csd"
    target.write_bytes(content)
    assert [had.state for had in fetch(force=True)] == ["present"]


def test_a_wrong_file_by_hand_is_told(two, fetch, content):
    by_hand = {"name": "hand", "title": "By hand", "via": "manual", "page": "https://drive.example"}
    describe_corpus(collections=[by_hand | {"files": [TONE | {"sha256": sha256(content)}]}])
    target = Workspace("tiny").raw / "tone.csd"
    target.parent.mkdir(parents=True)
    target.write_bytes(two["face.csd"])
    with pytest.raises(DownloadError, match=re.escape(str(target)) + r" \(another feature set than tone"):
        fetch()


def test_a_full_disk_ends_the_download(two, fetch, monkeypatch):
    from mer_data.sources.download.partial import Partial

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Partial, "begin", full)
    with pytest.raises(OSError, match="No space left"):
        fetch()
    assert (raw_names(), parts()) == ([], [])
