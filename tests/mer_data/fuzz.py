"""Reads mutated files; run as a script, so that a crash of a library is a failed test and not the end of all.

Usage: python fuzz.py KIND FILE ROUNDS SEED, with KIND one of store, pickle, csd.
"""

import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

from mer_data.build import build_store
from mer_data.errors import MerDataError
from mer_data.sources import open_source
from mer_data.store import FeatureStore


def mutated(content, rng):
    """Some bytes changed, a piece cut out, doubled, zeroed, or the end missing."""
    content = bytearray(content)
    kind = rng.integers(5)
    start = int(rng.integers(len(content)))
    size = int(rng.integers(1, 200))
    if kind == 0:
        for place in rng.integers(len(content), size=rng.integers(1, 20)):
            content[place] = rng.integers(256)
    elif kind == 1:
        del content[start : start + size]
    elif kind == 2:
        content[start:start] = content[start : start + size]
    elif kind == 3:
        content[start : start + size] = bytes(len(content[start : start + size]))
    else:
        del content[start:]
    return bytes(content)


def read_all(path):
    """Everything that a store offers."""
    store = FeatureStore.open(path)
    _ = store.utterances, store.word_pieces, store.limits, store.alignment, store.utterance_digest
    for index in range(len(store)):
        store.read([index])
        store.words(index)
    store.close()


def try_once(kind, path, folder):
    if kind == "store":
        read_all(path)
    else:
        dataset, source = ("sample", path) if kind == "pickle" else ("sample", path.parent)
        opened = open_source(dataset, source)
        out = folder / "out.h5"
        build_store(opened, out, alignment=opened.alignment or "aligned", tokenizer="tiny")
        read_all(out)


def main(kind, file, rounds, seed):
    original, failures, sound = Path(file), 0, 0
    content = original.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / "in"
        inner.mkdir()
        if kind == "csd":
            for other in original.parent.iterdir():
                (inner / other.name).write_bytes(other.read_bytes())
        for number in range(rounds):
            path = inner / original.name
            path.unlink(missing_ok=True)  # a new file: earlier handles keep the old one
            path.write_bytes(mutated(content, np.random.default_rng([seed, number])))
            try:
                try_once(kind, path, Path(folder))
                sound += 1
            except MerDataError:
                continue
            except Exception:
                failures += 1
                print(f"--- {kind} {original.name}, round {number}")
                traceback.print_exc(limit=-6, file=sys.stdout)
    print(f"{rounds} rounds, {sound} read without an error, {failures} other errors")
    return failures


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
