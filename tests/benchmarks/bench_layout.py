"""The layout of a store's frames, chosen by measurement: chunks, HDF5 format, compression, checksums."""

import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from corpora import MOSEI_WIDTHS, write_mosei_store
from measure import Clock, in_process, report, table

NUM = 6000
NEW = ("v110", "v110")
LAYOUTS = [(kib, NEW, None, True) for kib in (4, 8, 16, 32, 64, 256)] + [
    (16, "earliest", None, True),
    (16, NEW, "lzf", True),
    (16, NEW, "gzip", True),
    (16, NEW, None, False),
]


def run():
    rows = []
    with tempfile.TemporaryDirectory() as name:
        base, other = Path(name) / "base.h5", Path(name) / "other.h5"
        write_mosei_store(base, NUM)
        for kib, libver, compression, checksums in LAYOUTS:
            _lay_out(base, other, kib, libver, compression, checksums)
            rate = max(in_process(__file__, other)["rate"] for _ in range(3))
            kind = "oldest" if libver == "earliest" else "1.10"
            size = f"{other.stat().st_size / 2**20:.0f}"
            rows.append(
                (kib, kind, compression or "none", "on" if checksums else "off", size, f"{rate:,.0f}")
            )
    table(
        f"Layout of the frames: {NUM} utterances, random order, 32 at a time, best of 3",
        ("chunk KiB", "HDF5 format", "compression", "checksums", "MiB on disk", "utterances/s"),
        rows,
    )


def _lay_out(base, target, kib, libver, compression, checksums):
    with h5py.File(base) as old, h5py.File(target, "w", libver=libver) as new:
        new.attrs.update(old.attrs)
        for name in old:
            old.copy(name, new)
        for modality, width in MOSEI_WIDTHS.items():
            values = old[modality]["values"]
            del new[modality]["values"]
            copy = new.create_dataset(
                f"{modality}/values",
                values.shape,
                "f4",
                maxshape=(None, width),
                chunks=(kib * 1024 // (4 * width), width),
                compression=compression,
                fletcher32=checksums,
            )
            for start in range(0, len(values), 100_000):
                copy[start : start + 100_000] = values[start : start + 100_000]


def _read(path):
    from mer_data.store.reader import FeatureStore

    store = FeatureStore.open(path)
    order = np.random.default_rng(0).permutation(len(store))
    store.read(order[:32])
    with Clock() as clock:
        for start in range(0, len(order), 32):
            store.read(order[start : start + 32])
    report(rate=len(order) / clock.seconds)


if __name__ == "__main__":
    _read(Path(sys.argv[1]))
