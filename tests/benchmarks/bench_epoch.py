"""One training epoch of CMU-MOSI: both optimisation steps over all of the training fold, then validation.

``utterance`` has the source's own features, one audio and one vision vector per segment. ``frames`` has the
same texts, labels and folds with synthetic frames of the usual widths and rates over the real segments
(12.5 Hz x 5 audio, 15 Hz x 20 vision), which is what COVAREP and Facet would be.

It takes a quarter of an hour, so ``make bench`` leaves it out: run this file. With the word ``small``
it measures two steps in float32, to see that it runs; its seconds per epoch are extrapolated from them.
"""

import os
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from measure import in_process, machine, report, table

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "mosi"
SETTINGS = ("model.layers=3", "model.heads=8")
RECIPE = "mosi_iid_binary_minilm"
FRAMES = {"audio": (5, 12.5), "vision": (20, 15.0)}
PRECISIONS = ("no", "bf16")
STEPS = 11  # all of the training fold
SMALL_STEPS = 2
#: Attributes that the writer adds by itself.
WRITTEN = ("format", "version", "utterance_digest", "content_digest")
NAMES = {"no": "float32", "bf16": "bf16"}


def run(real, *, threads=2, repeats=3, kinds=("utterance", "frames"), precisions=PRECISIONS, steps=STEPS):
    rows, shares = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            home = Path(folder) / kind
            in_process(__file__, "make", home, kind, real)
            for precision in precisions:
                results = [
                    in_process(__file__, "epoch", home, precision, threads, steps) for _ in range(repeats)
                ]
                best = min(results, key=lambda result: result["epoch"])
                shares[kind, precision] = best["shares"]
                rows.append(
                    (
                        kind,
                        NAMES[precision],
                        f"{best['epoch']:.1f}",
                        f"{best['step']:.2f}",
                        f"{best['validation']:.1f}",
                        best["memory_mib"],
                        ", ".join(f"{result['load']:.1f}" for result in results),
                    )
                )
    table(
        f"One epoch of CMU-MOSI ({RECIPE}, {', '.join(SETTINGS)}), {threads} threads, best of {repeats}",
        ("features", "precision", "s per epoch", "s per step", "s validation", "peak MiB", "load before"),
        rows,
    )
    names = sorted({name for each in shares.values() for name in each}, key=lambda name: -_most(shares, name))
    table(
        "Where the time of a step goes, percent",
        ("part", *(f"{kind}, {NAMES[precision]}" for kind, precision in shares)),
        [(name, *(f"{100 * each.get(name, 0):.1f}" for each in shares.values())) for name in names],
    )


def _most(shares, name):
    return max(each.get(name, 0) for each in shares.values())


def _make(home, kind, real):
    from mer_data.build import build_store
    from mer_data.sources import open_source
    from mer_data.splits import standard_split
    from mer_data.statistics.class_statistics import class_statistics
    from mer_data.statistics.vocabulary import counterfactual_vocabulary
    from mer_data.store.reader import FeatureStore
    from mer_data.tasks import get_task
    from mer_data.text.encoder import load_text_encoder
    from mer_data.workspace import Workspace

    os.environ["MER_DATA_HOME"] = str(home)
    workspace, task = Workspace("mosi"), get_task("binary")
    path, split_path = workspace.store_path("unaligned"), workspace.split_path("standard")
    build_store(open_source("mosi", real), path, alignment="unaligned")
    if kind == "frames":
        _put_frames(FeatureStore.open(path), path)
    store = FeatureStore.open(path)
    split = standard_split(store.utterances, dataset="mosi", utterance_digest=store.utterance_digest)
    split.save(split_path)
    encoder = load_text_encoder("minilm", store.tokenizer)
    statistics = class_statistics(store, split, task, encoder)
    statistics.save(workspace.statistics_path(path, split_path, task.name, "minilm"))
    counterfactual_vocabulary(store, split, task).save(workspace.vocabulary_path(path, split_path, task.name))
    report()


def _put_frames(store, path):
    """The store again, with random frames in the place of its features."""
    from mer_data.store.writer import StoreBlock, writing_store
    from mer_data.utterances import WORD_DTYPE, Ragged

    random, frame, pieces = np.random.default_rng(0), store.utterances, store.tokenizer
    seconds = (frame["end_s"] - frame["start_s"]).to_numpy()
    encoded = [pieces.encode(text) for text in frame["text"]]
    words = [np.array([(word, 0.0, 1.0) for word in text.split()], WORD_DTYPE) for text in frame["text"]]
    streams = {}
    for modality, (width, rate) in FRAMES.items():
        counts = np.maximum(1, np.round(seconds * rate)).astype(np.int64)
        values = random.standard_normal((counts.sum(), width), dtype=np.float32)
        streams[modality] = Ragged(values, np.concatenate([[0], np.cumsum(counts)]))
    block = StoreBlock(
        frame,
        Ragged.from_rows(words, np.empty(0, WORD_DTYPE)),
        Ragged.from_rows([ids for ids, _ in encoded], np.empty(0, np.int32)),
        Ragged.from_rows([owner for _, owner in encoded], np.empty(0, np.int32)),
        streams,
    )
    with h5py.File(path) as file:
        attributes = {name: store.attribute(name) for name in file.attrs if name not in WRITTEN}
    store.close()
    with writing_store(path, {name: width for name, (width, _) in FRAMES.items()}, pieces) as writer:
        writer.append(block)
        writer.finish(attributes, frame[["id", "label", "text"]], [])


def _epoch(home, precision, threads, steps):
    import torch

    from cider.profiling import measure
    from cider.recipe.schema import find_recipe, load_recipe

    load = os.getloadavg()[0]
    torch.set_num_threads(threads)
    os.environ["MER_DATA_HOME"] = str(home)
    recipe = load_recipe(find_recipe(RECIPE), (*SETTINGS, f"training.mixed_precision='{precision}'"))
    profile = measure(recipe, steps=steps)
    assert profile.steps == steps
    assert profile.steps_per_epoch == STEPS
    report(
        epoch=profile.seconds.epoch,
        step=profile.seconds.step,
        validation=profile.seconds.validation,
        memory_mib=round(profile.memory.host_peak / 2**20),
        shares=profile.shares,
        load=load,
    )


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(machine())
        run(REAL)
    elif sys.argv[1:] == ["small"]:
        print(machine())
        run(REAL, threads=1, repeats=1, kinds=("utterance",), precisions=("no",), steps=SMALL_STEPS)
    elif sys.argv[1] == "make":
        _make(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        _epoch(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
