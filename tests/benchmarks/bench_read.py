"""An epoch of a store in CMU-MOSEI's shape in random order, against unpickling padded arrays."""

import pickle
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from corpora import MOSEI_LIMITS, write_mosei_store
from measure import Clock, in_process, report, table

BATCH = 32


def run():
    with tempfile.TemporaryDirectory() as name:
        store, padded = Path(name) / "mosei.h5", Path(name) / "mosei.pkl"
        for part, target in (("make-store", store), ("make-pickle", padded)):
            in_process(__file__, part, target, store)
        own = in_process(__file__, "store", store, store)
        other = in_process(__file__, "pickle", padded, store)
        sizes = [f"{path.stat().st_size / 1e9:.2f}" for path in (padded, store)]
    rows = []
    for what, result, size in (("unpickle padded arrays", other, sizes[0]), ("FeatureStore", own, sizes[1])):
        rate = result["utterances"] / result["epoch_s"]
        rows.append((what, size, f"{result['first_s']:.2f}", f"{rate:,.0f}", result["peak_mib"]))
    table(
        f"Reading {own['utterances']} utterances in random order, {BATCH} at a time",
        ("what", "GB on disk", "s to first batch", "utterances/s after it", "peak MiB"),
        rows,
    )
    print(
        f"\nFirst batch {other['first_s'] / own['first_s']:.0f} times sooner, "
        f"{other['peak_mib'] / own['peak_mib']:.0f} times less memory. Whole epoch with loading: "
        f"{other['first_s'] + other['epoch_s']:.1f} s unpickled, {own['first_s'] + own['epoch_s']:.1f} s "
        "from the store. The files were in the page cache; rows are copied out, not used."
    )


def _make_pickle(target, store):
    from mer_data.store.reader import FeatureStore

    opened = FeatureStore.open(store)
    num = len(opened)
    content = {m: np.zeros((num, MOSEI_LIMITS[m], opened.width(m)), np.float32) for m in ("audio", "vision")}
    content["text"] = np.zeros((num, 3, MOSEI_LIMITS["text"]), np.float32)
    for index in range(num):
        rows = opened.read([index])
        for modality in ("audio", "vision"):
            row = rows.streams[modality][0][: MOSEI_LIMITS[modality]]
            content[modality][index, : len(row)] = row
        ids = rows.token_ids[0][: MOSEI_LIMITS["text"]]
        content["text"][index, 0, : len(ids)] = ids
    with target.open("wb") as handle:
        pickle.dump(content, handle, protocol=4)


def _batches(num):
    order = np.random.default_rng(0).permutation(num)
    return [order[start : start + BATCH] for start in range(0, num, BATCH)]


def _store(path):
    start = time.perf_counter()
    from mer_data.store.reader import FeatureStore

    imported = time.perf_counter()
    store = FeatureStore.open(path)
    _ = store.utterances
    batches = _batches(len(store))
    store.read(batches[0])
    first = time.perf_counter() - imported
    with Clock() as clock:
        for batch in batches:
            store.read(batch)
    report(utterances=len(store), first_s=first, epoch_s=clock.seconds, import_s=imported - start)


def _pickle(path):
    with Clock() as loading:
        with path.open("rb") as handle:
            content = pickle.load(handle)
        batches = _batches(len(content["audio"]))
        _ = [array[batches[0]] for array in content.values()]
    with Clock() as clock:
        for batch in batches:
            _ = [array[batch] for array in content.values()]
    report(utterances=len(content["audio"]), first_s=loading.seconds, epoch_s=clock.seconds)


if __name__ == "__main__":
    part, target, store = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if part == "make-store":
        write_mosei_store(target)
        report()
    elif part == "make-pickle":
        _make_pickle(target, store)
        report()
    else:
        {"store": _store, "pickle": _pickle}[part](target)
