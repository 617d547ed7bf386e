"""Files of our own: stores, splits, statistics, vocabularies. A changed one gives no other result unsaid."""

from __future__ import annotations

from fuzz.kinds import Computed, Kind, digest, prepare_sample, run
from mer_data.splits.inputs import choose_inputs
from mer_data.store.reader import FeatureStore
from mer_data.workspace import Workspace


def sample_inputs():
    """Store and split of the workspace, checked to belong together."""
    return choose_inputs("sample", None, None, "binary")


class Stores(Kind):
    """Everything that a store offers."""

    name = "store"

    def prepare(self, folder):
        prepare_sample(folder)

    def files(self, folder):
        return [Workspace("sample").store_path("unaligned")]

    def compute(self, folder):
        (path,) = self.files(folder)
        store = FeatureStore.open(path)
        try:
            values = [
                store.utterances.to_json(),
                sorted(store.limits.items()),
                store.alignment,
                store.dataset,
            ]
            values += [store.attribute(name) for name in ("columns", "frame_rate_hz", "cleaning", "sources")]
            values.append(store.tokenizer.to_json())
            for index in range(len(store)):
                rows = store.read([index])
                values += [rows.token_ids.values, rows.token_words.values, store.words(index).tolist()]
                values += [stream.values for stream in rows.streams.values()]
        finally:
            store.close()
        return Computed(digest(*values))


class Splits(Kind):
    """A split manifest: who edits it has another split, and what belongs to the old one is then refused."""

    name = "split"

    def prepare(self, folder):
        prepare_sample(folder)
        run("counterfactual-vocab --dataset sample")

    def files(self, folder):
        return [Workspace("sample").split_path("standard")]

    def compute(self, folder):
        kept = kept_tokens()
        split = sample_inputs().split
        return Computed(digest(kept, sorted(split.splits.items()), split.kind, split.task, split.shift))


def kept_tokens():
    """What a training reads of the only vocabulary, for the only store and split."""
    from mer_data.statistics.vocabulary import load_kept_tokens, vocabulary_origin

    inputs = sample_inputs()
    (path,) = Workspace("sample").root.glob("statistics/*.json")
    return load_kept_tokens(path, vocabulary_origin(inputs.store, inputs.split), inputs.task)


class Vocabularies(Kind):
    """A counterfactual vocabulary, as a training reads it."""

    name = "vocabulary"

    def prepare(self, folder):
        prepare_sample(folder)
        run("counterfactual-vocab --dataset sample")

    def files(self, folder):
        return list(Workspace("sample").root.glob("statistics/*.json"))

    def compute(self, folder):
        return Computed(digest(kept_tokens()))


class Statistics(Kind):
    """Class statistics, as a training reads them."""

    name = "statistics"

    def prepare(self, folder):
        prepare_sample(folder)
        run("statistics --dataset sample --text-encoder tiny")

    def files(self, folder):
        return list(Workspace("sample").root.glob("statistics/*.h5"))

    def compute(self, folder):
        from mer_data.statistics.class_statistics import ClassStatistics

        (path,) = self.files(folder)
        loaded = ClassStatistics.load(path)
        loaded.check({}, sample_inputs().task, path)
        values = [loaded.task, loaded.counts, *loaded.means.values(), *loaded.used.values()]
        return Computed(digest(*values, sorted(loaded.origin.items())))
