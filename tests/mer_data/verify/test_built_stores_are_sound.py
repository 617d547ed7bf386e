"""Whatever a folder of ``.csd`` files holds: it is refused in one line, or its store passes ``verify``."""

import numpy as np
import pytest
from builders import Video, make_csd_folder, small_corpus, write_csd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data.build import build_store
from mer_data.errors import SourceError
from mer_data.sources import open_source
from mer_data.store.reader import FeatureStore
from mer_data.verify import verify_store

ODD_SECONDS = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, 2.0, 2.25, 3.5, np.nan, np.inf, -np.inf])
INTERVALS = st.tuples(ODD_SECONDS, ODD_SECONDS)
WORDS = st.tuples(st.sampled_from(["good", "Film", "sp", "", "a b", "é", b"\xe9", "\x00", "\n"]), INTERVALS)
NAMES = st.sampled_from(["va", "v_1", "01", "v$_$0", "v\n", "vé", " v", "v$"])
FRAMES = st.lists(st.tuples(INTERVALS, st.sampled_from([0.0, 1.5, -2.0, np.nan, np.inf, 1e38])), max_size=6)


@st.composite
def videos(draw):
    segments = draw(st.lists(INTERVALS, min_size=1, max_size=3))
    words = draw(st.lists(WORDS, max_size=6))
    streams = {}
    for modality, width in (("audio", 3), ("vision", 2)):
        frames = draw(FRAMES)
        values = np.array([[value] * width for _, value in frames], np.float32).reshape(-1, width)
        streams[modality] = (values, np.array([times for times, _ in frames], float).reshape(-1, 2))
    labels = [draw(st.sampled_from([-3.0, 0.0, 0.4, 3.0])) for _ in segments]
    return Video(labels, segments, [(encoded(word), *times) for word, times in words], **streams)


def encoded(word):
    return word if isinstance(word, bytes) else word.encode()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, video=videos(), alignment=st.sampled_from(["aligned", "unaligned"]))
def test_a_store_that_was_built_is_sound(tmp_path_factory, name, video, alignment):
    folder = tmp_path_factory.mktemp("odd")
    corpus = {name: video, "vb": small_corpus()["vb"]}
    folds = {"train": [name], "valid": ["vb"], "test": []}
    raw = make_csd_folder(folder / "raw", corpus, folds=folds)
    try:
        build_store(open_source("sample", raw), folder / "s.h5", alignment=alignment)
    except SourceError as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    assert [finding.text for finding in verify_store(folder / "s.h5") if finding.level == "error"] == []


def test_words_that_could_not_be_kept_are_listed_in_the_store(tmp_path):
    corpus = small_corpus()
    corpus["va"].words += [(b"caf\xe9", 0.1, 0.2), ("back", 0.4, 0.3)]
    source = open_source("sample", make_csd_folder(tmp_path / "raw", corpus))
    report = build_store(source, tmp_path / "s.h5", alignment="aligned")
    assert [(drop.id, drop.reason) for drop in report.dropped] == [
        ("va word 6", "bytes of b'caf\\xe9' that are not UTF-8 became U+FFFD"),
        ("va word 7", "interval [0.4, 0.3] of 'back' does not run forward"),
    ]
    store = FeatureStore.open(tmp_path / "s.h5")
    assert store.utterances["text"][0] == "good caf\ufffd film"
    assert not [finding for finding in verify_store(tmp_path / "s.h5") if finding.level == "error"]


@pytest.mark.parametrize("words", [[("x" * 100_000, 0, 1)], [("y" * 1001, 0, 1)]])
def test_a_huge_word_is_refused_at_once(tmp_path, words):
    corpus = small_corpus()
    raw = make_csd_folder(tmp_path / "raw", corpus)
    texts = np.array([[word[0].encode()] for word in words])
    times = np.array([word[1:] for word in words], float)
    write_csd(raw / "words.csd", "words", dict.fromkeys(corpus, (texts, times)))
    with pytest.raises(SourceError, match=r"word 1 is too long in .*words\.csd, video va: found 1\d*,\d{3}"):
        build_store(open_source("sample", raw), tmp_path / "s.h5", alignment="aligned")
