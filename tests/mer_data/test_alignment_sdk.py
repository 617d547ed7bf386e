"""Our word-level averages against the ``align`` of the CMU Multimodal SDK on the same files."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from mer_data.alignment import TOLERANCE_S, average_frames
from mer_data.sources.csd.csd_files import ComputationalSequence, write_computational_sequence


def write_corpus(folder):
    """Two videos: words with gaps, touching borders and a word beyond the frames; frames with a gap."""
    rng = np.random.default_rng(5)
    words, frames = {}, {}
    for video in ("one", "two"):
        starts = np.cumsum(rng.uniform(0.2, 0.5, 40))
        borders = np.stack([starts, starts + rng.choice([0.1, 0.2, 0.25], 40)], axis=1)
        borders[-1] += 100.0
        times = np.arange(0, borders[-2, 1], 0.05)
        times = times[(times < 4) | (times > 6)]
        words[video] = (np.array([b"word"] * 40, dtype="S32")[:, None], borders)
        frames[video] = (
            rng.normal(size=(len(times), 3)).astype(np.float32),
            np.stack([times, times + 0.05], axis=1),
        )
    for name, content, columns in (("words", words, ["word"]), ("frames", frames, ["a", "b", "c"])):
        write_computational_sequence(
            folder / f"{name}.csd", name, content, dataset_name="x", description="x", dimension_names=columns
        )


def test_collapse_equals_the_sdk(tmp_path, monkeypatch):
    write_corpus(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import mmsdk.mmdatasdk.dataset.dataset as module
        from mmsdk import mmdatasdk

        # The constant of the SDK's repository; its release on the package index has 1e-3.
        monkeypatch.setattr(module, "epsilon", TOLERANCE_S)
        dataset = mmdatasdk.mmdataset({name: str(tmp_path / f"{name}.csd") for name in ("words", "frames")})
        dataset.align("words", collapse_functions=[lambda _, features: average(features)])
    theirs = dataset.computational_sequences["frames"].data
    words, frames = (ComputationalSequence(tmp_path / f"{name}.csd") for name in ("words", "frames"))
    compared = 0
    for video in words.videos:
        means, counts = average_frames(*frames.read(video), words.read(video)[1])
        for index, count in enumerate(counts):
            name = f"{video}[{index}]"
            assert (name in theirs) == (count > 0)
            if count:
                assert means[index] == pytest.approx(theirs[name]["features"][0], abs=1e-5)
                compared += 1
    assert 50 < compared < 80


def average(features):
    return np.average(features, axis=0) if features.dtype.kind == "f" else features
