"""Files of others: computational sequences, and pickles in MMSA's layout, plain and of joblib.

They carry no checksums, so other numbers cannot be told from changed ones: only how reading ends is judged.
"""

from __future__ import annotations

import pickle

import joblib
from builders import make_csd_folder, mmsa_folds

from fuzz.kinds import Computed, Kind, run
from fuzz.mutations import change_bytes, change_folds, change_opcodes
from mer_data.text.tokenizer import Tokenizer

TEXTS = ["good film", "bad plot indeed", "it was", "dull"]


class ComputationalSequences(Kind):
    """A folder of ``.csd`` files with folds and transcripts."""

    name = "csd"
    checked = False

    def prepare(self, folder):
        make_csd_folder(folder / "raw", transcripts={"va_1": "good film", "va_2": "bad plot indeed"})

    def files(self, folder):
        return list((folder / "raw").iterdir())

    def compute(self, folder):
        for alignment in ("unaligned", "aligned"):
            run(f"build --dataset sample --source raw --out {alignment}.h5 --alignment {alignment} --force")
        return Computed("")


class Pickles(Kind):
    """A pickle in MMSA's layout: its bytes, its opcodes or its values change."""

    name = "pickle"
    checked = False
    protocols = (2, 3, 4, 5)

    def prepare(self, folder):
        folds = mmsa_folds(Tokenizer.from_pretrained("tiny", TEXTS))
        (folder / "x.pkl").write_bytes(pickle.dumps(folds))

    def mutate(self, folder, rng):
        path = folder / "x.pkl"
        folds = pickle.loads(path.read_bytes())
        kind = rng.integers(3)
        if kind == 0:
            folds = change_folds(folds, rng)
        self.write(path, folds, rng)
        if kind:
            content = path.read_bytes()
            path.write_bytes(change_bytes(content, rng) if kind == 1 else change_opcodes(content, rng))
        return ("values", "bytes", "opcodes")[kind]

    def write(self, path, folds, rng):
        """Save the folds in one of the layouts that are read."""
        path.write_bytes(pickle.dumps(folds, protocol=int(rng.choice(self.protocols))))

    def compute(self, folder):
        run("build --dataset sample --source x.pkl --out x.h5 --tokenizer tiny --force")
        return Computed("")


class JoblibFiles(Pickles):
    """The same, as joblib writes it."""

    name = "joblib"
    compressions = (0, 3, ("gzip", 3), ("bz2", 3), ("xz", 0), ("lzma", 0))

    def write(self, path, folds, rng):
        compress = self.compressions[rng.integers(len(self.compressions))]
        joblib.dump(folds, path, compress=compress, protocol=int(rng.choice(self.protocols)))
