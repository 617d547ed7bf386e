"""Building a corpus of CMU-MOSEI's shape in one pass: time and memory as the corpus grows."""

import sys
import tempfile
from pathlib import Path

from corpora import write_mosei_folder
from measure import Clock, PeakOfChildren, in_process, report, table

NUM_VIDEOS = (100, 200, 400)
MOSEI_VIDEOS = 3228
ROOTS = {"labels": "All Labels", "words": "words", "audio": "COVAREP", "vision": "FACET 4.2"}


def run():
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for num in NUM_VIDEOS:
            raw = Path(name) / f"raw{num}"
            in_process(__file__, "make", raw, num)
            digests = set()
            for workers in (1, 2):
                result = in_process(__file__, "build", raw, Path(name) / "store.h5", workers)
                digests.add(result["digest"])
                total = result["peak_mib"] + result["workers_mib"]
                rows.append(
                    (
                        num,
                        workers,
                        f"{result['seconds']:.1f}",
                        f"{1000 * result['seconds'] / num:.0f}",
                        result["peak_mib"],
                        total,
                    )
                )
            assert len(digests) == 1, "the store depends on the number of workers"
    table(
        "Building a MOSEI-shaped corpus (7 segments of 7 s a video, audio 100 Hz x 74, vision 30 Hz x 35)",
        ("videos", "workers", "seconds", "ms per video", "peak MiB, writing process", "peak MiB, all"),
        rows,
    )
    each = float(rows[-2][3])
    print(
        f"\nThe same content digest with 1 and 2 workers. At {each:.0f} ms per video the "
        f"{MOSEI_VIDEOS} videos of CMU-MOSEI would take about {each * MOSEI_VIDEOS / 60_000:.0f} min with 1 "
        "worker (extrapolated; its raw videos also have parts outside all segments, which are read as well)."
    )


def _build(raw, out, workers):
    from mer_data.build import build_store
    from mer_data.sources import load_source_manifest
    from mer_data.sources.base import SourceChoices
    from mer_data.sources.catalogue import Folds
    from mer_data.sources.csd.folder import ComputationalSequences
    from mer_data.store.reader import FeatureStore

    (raw / "folds.json").write_text('{"train": [], "valid": [], "test": []}')
    manifest = load_source_manifest("mosei")
    manifest = manifest.model_copy(update={"folds": Folds(kind="file", name="folds.json")})
    with Clock() as clock, PeakOfChildren() as children:
        build_store(
            ComputationalSequences(raw, manifest, SourceChoices()),
            out,
            alignment="unaligned",
            workers=workers,
        )
    digest = FeatureStore.open(out).attribute("content_digest")
    report(seconds=clock.seconds, digest=digest, workers_mib=children.total_mib)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        write_mosei_folder(Path(sys.argv[2]), int(sys.argv[3]), ROOTS)
        report()
    else:
        _build(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
