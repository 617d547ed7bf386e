"""Aligning and building a corpus of CMU-MOSI's shape, against the ``align`` of the CMU Multimodal SDK."""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from corpora import write_mosi_folder
from measure import Clock, in_process, report, table

FILES = {"words": "words.csd", "audio": "covarep.csd", "vision": "facet.csd"}


def run(real):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = write_mosi_folder(folder / "raw", real)
        sdk = in_process(__file__, "sdk", folder / "raw", folder / "sdk.npz")
        own = in_process(__file__, "own", folder / "raw", folder / "own.npz")
        build = in_process(__file__, "build", folder / "raw", folder / "store.h5")
        difference = _largest_difference(folder / "sdk.npz", folder / "own.npz")
    rows = [("SDK align", sdk), ("mer-data, same alignment", own), ("mer-data build (read to store)", build)]
    table(
        f"Align to words: {len(videos)} videos, {own['words']} words, audio 100 Hz x 74, vision 30 Hz x 47",
        ("what", "seconds", "times faster", "peak MiB"),
        [(n, f"{r['seconds']:.2f}", f"{sdk['seconds'] / r['seconds']:.0f}", r["peak_mib"]) for n, r in rows],
    )
    print(f"\nLargest difference between the two outputs: {difference:.1e}; same words without frames.")
    assert difference <= 1e-5
    return sdk["seconds"] / own["seconds"]


def _largest_difference(*paths):
    sdk, own = (np.load(path) for path in paths)
    assert set(sdk.files) == set(own.files)
    largest = 0.0
    for name in sdk.files:
        assert np.array_equal(np.isnan(sdk[name]), np.isnan(own[name])), name
        largest = max(largest, float(np.nanmax(np.abs(sdk[name] - own[name]))))
    return largest


def _sdk(raw, out):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import mmsdk.mmdatasdk.dataset.dataset as module
        from mmsdk import mmdatasdk

        # The tolerance of the SDK's repository; release 0.0.6 on PyPI has 1e-3.
        module.epsilon = 1e-5
        with Clock() as clock:
            dataset = mmdatasdk.mmdataset({role: str(raw / file) for role, file in FILES.items()})
            dataset.align("words", collapse_functions=[lambda _, features: _average(features)])
        result = {}
        lengths = _num_words(raw)
        for role in ("audio", "vision"):
            data = dataset.computational_sequences[role].data
            width = next(iter(data.values()))["features"].shape[1]
            for video, length in lengths.items():
                rows = np.full((length, width), np.nan)
                for index in range(length):
                    if f"{video}[{index}]" in data:
                        rows[index] = data[f"{video}[{index}]"]["features"][0]
                result[f"{role} {video}"] = rows
        np.savez(out, **result)
    report(seconds=clock.seconds)


def _average(features):
    return np.average(features, axis=0) if features.dtype.kind == "f" else features


def _num_words(raw):
    from mer_data.sources.csd.csd_files import ComputationalSequence

    words = ComputationalSequence(raw / "words.csd")
    return {video: len(words.read(video)[1]) for video in words.videos}


def _own(raw, out):
    from mer_data.alignment import average_frames
    from mer_data.sources.csd.csd_files import ComputationalSequence

    result, num_words = {}, 0
    with Clock() as clock:
        sequences = {role: ComputationalSequence(raw / file) for role, file in FILES.items()}
        for video in sequences["words"].videos:
            _, intervals = sequences["words"].read(video)
            num_words += len(intervals)
            for role in ("audio", "vision"):
                result[f"{role} {video}"] = average_frames(*sequences[role].read(video), intervals)
    filled = {name: np.where(counts[:, None] > 0, means, np.nan) for name, (means, counts) in result.items()}
    np.savez(out, **filled)
    report(seconds=clock.seconds, words=num_words)


def _build(raw, out):
    from mer_data.build import build_store
    from mer_data.sources import load_source_manifest
    from mer_data.sources.base import SourceChoices
    from mer_data.sources.catalogue import Folds
    from mer_data.sources.csd.folder import ComputationalSequences

    (raw / "folds.json").write_text('{"train": [], "valid": [], "test": []}')
    manifest = load_source_manifest("mosi")
    every = [known.model_copy(update={"columns": None}) for known in manifest.features]
    manifest = manifest.model_copy(
        update={"features": tuple(every), "folds": Folds(kind="file", name="folds.json")}
    )
    with Clock() as clock:
        source = ComputationalSequences(raw, manifest, SourceChoices())
        build_store(source, out, alignment="aligned")
    report(seconds=clock.seconds)


if __name__ == "__main__":
    part, raw, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    {"sdk": _sdk, "own": _own, "build": _build}[part](raw, out)
