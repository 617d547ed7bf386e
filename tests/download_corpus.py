"""The small corpus "tiny" that download tests fetch, what lies in its folder, and how its download ends."""

import hashlib
import json
import sys

import numpy as np
import pytest
import yaml
from builders import files_below, write_csd

from mer_data.sources.catalogue import manifest_folder
from mer_data.sources.download import DownloadError
from mer_data.workspace import Workspace

NAME = "tone.csd"
TONE = {"key": "tone", "role": "audio", "name": NAME, "default": True}
FACE = {"key": "face", "role": "vision", "name": "face.csd", "default": True}
COMMAND = [sys.executable, "-c", "from mer_data.commands import main; main()", "download", "tiny"]


def make_csd_bytes(path, root="Sample Tone", seed=0):
    """A computational sequence of some 200 kilobytes."""
    times = np.stack([np.arange(4000), np.arange(4000) + 1], axis=1)
    features = np.random.default_rng(seed).normal(size=(4000, 10)).astype(np.float32)
    return write_csd(path, root, {"va": (features, times)}).read_bytes()


def describe_corpus(*files, collections=None):
    """Write the source manifest of "tiny", whose files have addresses of their own."""
    known = yaml.safe_load((manifest_folder() / "sample.yaml").read_text())
    own = {"name": "own", "title": "Own", "via": "http", "files": list(files)}
    known |= {"dataset": "tiny", "collections": collections or [own]}
    path = Workspace("tiny").source_manifest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(known))


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def raw_names():
    """Everything in the raw folder but the folder of parts."""
    raw = Workspace("tiny").raw
    return sorted(path.name for path in raw.iterdir() if path.name != ".download") if raw.is_dir() else []


def parts():
    """Parts and notes that lie around; locks do not count."""
    folder = Workspace("tiny").raw / ".download"
    return [name for name in files_below(folder) if not name.endswith(".lock")]


def target():
    """Where the file belongs."""
    return Workspace("tiny").raw / NAME


def locked():
    """What the lock file holds of every file."""
    path = Workspace("tiny").source_lock
    return json.loads(path.read_text())["files"] if path.exists() else {}


def assert_verified(content):
    """The file is in its place, recorded, and nothing else lies around."""
    assert target().read_bytes() == content
    assert locked()[NAME]["sha256"] == f"sha256:{sha256(content)}"
    assert locked()[NAME]["bytes"] == len(content)
    assert (raw_names(), parts()) == ([NAME], [])


def refused(fetch, *messages, **options):
    """The download ends in one error with a line for the file, and no file under its name."""
    with pytest.raises(DownloadError) as caught:
        fetch(**options)
    first, *lines = str(caught.value).split("\n")
    raw = Workspace("tiny").raw
    assert first.startswith("1 of 1 files of tiny could not be had")
    assert f"put them into {raw} under any name and run `mer-data import {raw}`" in first
    (line,) = lines
    assert line.startswith(f"  {NAME}: http")
    for message in messages:
        assert message in line
    assert (raw_names(), locked()) == ([], {})
    return caught.value
