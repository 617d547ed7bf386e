"""Corpora described by a manifest alone: a commented draft, and builds from .csd folders of any corpus."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from builders import write_csd
from click.testing import CliRunner

from mer_data.build import build_store
from mer_data.commands import main
from mer_data.errors import SourceError
from mer_data.sources import known_datasets, load_source_manifest, open_source
from mer_data.sources.new_source import find_sets, write_new_source
from mer_data.store.reader import FeatureStore
from mer_data.workspace import Workspace

VIDEOS = {"train": ["p1", "p2"], "valid": ["p3"], "test": ["p4"]}
LENGTH_S = 4.0


def write_corpus(folder, labels=(1.0, 4.0, 7.0, 6.5), segments=1):
    """A made-up corpus with labels on a scale from 1 to 7, and file names that say little.

    With one segment, that is the whole video; with more, they have labels and words of their own.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [video for fold in VIDEOS.values() for video in fold]
    bounds = np.arange(segments + 1) * LENGTH_S
    intervals = np.stack([bounds[:-1], bounds[1:]], axis=1)
    rated = {name: np.full(segments, label) for name, label in zip(names, labels, strict=True)}
    if segments > 1:
        rated = {name: rng.permutation(np.resize(np.arange(1, 8), segments)) for name in names}
    write_csd(
        folder / "a.csd",
        "Video Level Sentiment",
        {
            name: (np.stack([values, values + 9], axis=1).astype(np.float32), intervals)
            for name, values in rated.items()
        },
    )
    starts = np.arange(4 * segments, dtype=float)
    said = {name: np.concatenate([_words(rng, value) for value in values]) for name, values in rated.items()}
    times = np.stack([starts, starts + 1], axis=1)
    write_csd(folder / "b.csd", "POM words", {n: (w.astype("S16")[:, None], times) for n, w in said.items()})
    for file, root, rate, width in (("c.csd", "COVAREP", 20, 4), ("d.csd", "Facet_41", 10, 3)):
        count = int(segments * LENGTH_S * rate)
        frames = np.arange(count * width, dtype=np.float32).reshape(count, width)
        times = np.stack([np.arange(count), np.arange(1, count + 1)], axis=1) / rate
        write_csd(folder / file, root, dict.fromkeys(names, (frames, times)))
    (folder / "folds.json").write_text(json.dumps(VIDEOS))
    return folder


def _words(rng, rating):
    """Four words: one for the rating that is not always right, one of no meaning, one that is silence."""
    honest = rng.random() < 0.8
    return ["so", "sp", "good" if (rating >= 4) == honest else "bad", rng.choice(["indeed", "film", "plot"])]


def edit(name, **changes):
    """What a person would write into the manifest: keys of features by role, or keys of the whole."""
    path = Workspace(name).source_manifest
    manifest = yaml.safe_load(path.read_text())
    for entry in manifest["features"]:
        entry |= changes.pop(entry["role"], {})
    path.write_text(yaml.safe_dump(manifest | changes))


def test_a_draft_is_commented_and_valid():
    path, found = write_new_source("my-corpus")
    text = path.read_text()
    assert found == []
    assert text.count("#") > 15
    assert "my-corpus" in known_datasets()
    manifest = load_source_manifest("my-corpus")
    assert [known.role for known in manifest.features] == ["labels", "words", "audio", "vision"]
    assert manifest.folds.model_dump() == {"kind": "file", "name": "folds.json"}
    raw = str(Workspace("my-corpus").raw)
    assert all(len(line) <= 120 for line in text.replace(raw, "RAW").splitlines())


def test_a_folder_fills_in_the_features(tmp_path):
    found = find_sets(write_corpus(tmp_path / "c"))
    assert [(known.file, known.role) for known in found] == [
        ("a.csd", "labels"),
        ("b.csd", "words"),
        ("c.csd", "audio"),
        ("d.csd", "vision"),
    ]
    assert found[2].about == "4 videos, 4 columns, rows of 0.05 s (20 Hz)"
    write_new_source("pom", tmp_path / "c")
    manifest = load_source_manifest("pom")
    assert [(known.role, known.roots) for known in manifest.features] == [
        ("labels", ("Video Level Sentiment",)),
        ("words", ("POM words",)),
        ("audio", ("COVAREP",)),
        ("vision", ("Facet_41",)),
    ]


def test_what_nothing_tells_is_left_to_the_user_as_a_comment(tmp_path):
    folder = write_corpus(tmp_path / "c")
    frames = (np.zeros((2, 5), np.float32), np.array([[0, 1], [1, 2]]))
    write_csd(folder / "e.csd", 'Mystery: "x"', {"p1": frames})
    write_csd(folder / "f.csd", "Other Labels", {"p1": frames})
    path, found = write_new_source("pom", folder)
    assert [known.role for known in found[-2:]] == [None, "labels"]
    assert len(load_source_manifest("pom").features) == 4
    assert "# - role: ROLE" in path.read_text()
    restored = yaml.safe_load(
        re.sub(r"^  # (?=- role|  name|  roots|  columns)", "  ", path.read_text(), flags=re.M)
    )
    assert restored["features"][-2]["roots"] == ['Mystery: "x"']


def test_a_third_corpus_builds_by_its_manifest(tmp_path):
    """Labels from 1 to 7 and one per video, as in POM."""
    raw = write_corpus(Workspace("pom").raw)
    write_new_source("pom", raw)
    edit("pom", labels={"shift": -4}, audio={"frame_rate_hz": 5, "columns": [3, 0]}, tokenizer="tiny")
    for alignment in ("unaligned", "aligned"):
        target = tmp_path / f"{alignment}.h5"
        build_store(open_source("pom", raw), target, alignment=alignment)
        store = FeatureStore.open(target)
        utterances = store.utterances
        assert store.dataset == "pom"
        assert utterances["id"].tolist() == ["p1$_$1", "p2$_$1", "p3$_$1", "p4$_$1"]
        assert utterances["label"].tolist() == [-3.0, 0.0, 3.0, 2.5]
        assert utterances["fold"].tolist() == ["train", "train", "valid", "test"]
        assert all(re.fullmatch("so (good|bad) (indeed|film|plot)", text) for text in utterances["text"])
    unaligned = FeatureStore.open(tmp_path / "unaligned.h5").read([0]).streams
    frames = np.arange(320, dtype=np.float32).reshape(80, 4)[:, [3, 0]]
    assert np.allclose(unaligned["audio"][0], frames.reshape(20, 4, 2).mean(axis=1))
    assert unaligned["vision"][0].shape == (40, 3)


def test_a_corpus_like_ch_sims(tmp_path):
    """Labels from -1 to 1 and Chinese transcripts in place of words."""
    raw = write_corpus(Workspace("sims").raw, labels=(-1.0, 0.2, 0.6, 1.0))
    (raw / "b.csd").unlink()
    texts = {"p1": "我很喜欢", "p2": "不好", "p3": "好", "p4": "这部电影很好"}
    (raw / "transcripts.csv").write_text(
        "".join(f'"{video}_1","{text}"\n' for video, text in texts.items()), "utf-8"
    )
    write_new_source("sims", raw)
    edit("sims", labels={"scale": 3}, tokenizer="tiny")
    report = build_store(open_source("sims", raw), tmp_path / "s.h5", alignment="unaligned")
    utterances = FeatureStore.open(report.path).utterances
    assert utterances["text"].tolist() == list(texts.values())
    assert np.allclose(utterances["label"], [-3.0, 0.6, 1.8, 3.0])


def test_labels_outside_the_range_are_told_with_the_utterance(tmp_path):
    raw = write_corpus(Workspace("pom").raw)
    write_new_source("pom", raw)
    edit("pom", tokenizer="tiny")
    with pytest.raises(SourceError, match=r"label of utterance p2\$_\$1 is out of range .* found 4"):
        build_store(open_source("pom", raw), tmp_path / "s.h5", alignment="unaligned")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mosi", "mosi is described already. See `mer-data sources mosi`"),
        ("../x", "not a name for a dataset: found '../x', expected small letters"),
        ("Pom", "not a name for a dataset"),
        ("", "not a name for a dataset"),
    ],
)
def test_names_that_cannot_be(name, message, workspace_home):
    with pytest.raises(SourceError) as caught:
        write_new_source(name)
    assert message in str(caught.value)
    assert not workspace_home.exists()


def test_what_a_person_wrote_is_not_replaced():
    path, _ = write_new_source("pom")
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(SourceError, match="exists already"):
        write_new_source("pom")
    assert path.read_text().endswith("# mine\n")
    write_new_source("pom", force=True)
    assert "# mine" not in path.read_text()


def test_a_folder_without_csd(tmp_path):
    with pytest.raises(SourceError, match=r"no \.csd files in"):
        write_new_source("pom", tmp_path)
    assert not Workspace("pom").root.exists()


def test_the_page_on_new_corpora_can_be_followed(tmp_path, monkeypatch):
    page = (Path(__file__).resolve().parents[3] / "docs" / "new-corpus.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MER_DATA_HOME", "data")
    write_corpus(tmp_path / "pom_files", segments=21)
    block = page.split("```bash\n", 1)[1].split("```", 1)[0]
    commands = [line.split("#")[0].split() for line in block.splitlines()]
    assert [words[1] for words in commands] == [
        "new-source",
        "import",
        "build",
        "standard-split",
        "repartition",
    ]
    for words in commands:
        result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, f"{words}: {result.output}"
        if words[1] == "new-source":
            edit("pom", labels={"shift": -4}, tokenizer="tiny")
    entry = yaml.safe_load(page.split("```yaml\n", 1)[1].split("```", 1)[0])
    edit("pom", **entry)
    assert [file.key for _, file in load_source_manifest("pom").published()] == ["my_audio"]
