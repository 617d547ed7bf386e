"""Word counts per class and the counterfactual vocabulary (paper eq. 26, 27; method section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import StatisticsError
from mer_data.files.csv_files import to_csv
from mer_data.files.writing import read_json, sha256_file, sha256_text, write_json, write_text
from mer_data.splits import SplitManifest
from mer_data.statistics.class_statistics import training_rows
from mer_data.statistics.integrity import StatisticsFile, json_digest
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task
from mer_data.text.tokenizer import SPECIAL_NAMES

FORMAT = "mer-data/counterfactual-vocabulary"
VERSION = 2
COMMAND = "mer-data counterfactual-vocab"
MIN_VARIATION = 0.1
VOCABULARY_SIZE = 100


@dataclass(frozen=True)
class CounterfactualVocabulary:
    """Tokens whose class counts differ, most frequent first.

    Attributes:
        task: name of the task.
        table: one row per token of the training split: ``token_id``, ``token``, ``count_<class>``,
            ``total``, ``cv``, ``rank`` (1-based among the tokens with enough variation), ``kept``.
        parameters: how it was made.
        origin: digests of the corpus, the tokenizer's vocabulary and the split.
    """

    task: str
    table: pd.DataFrame
    parameters: dict[str, Any]
    origin: dict[str, str]

    @property
    def kept_token_ids(self) -> NDArray[np.int64]:
        """Ids of the kept tokens, most frequent first."""
        kept = self.table[self.table["kept"]].sort_values("rank")
        return kept["token_id"].to_numpy(np.int64)

    @property
    def kept_tokens(self) -> list[dict[str, Any]]:
        """Id, text, count and variation of the kept tokens, most frequent first, as in the JSON."""
        kept = self.table[self.table["kept"]].sort_values("rank")
        rows = kept[["token_id", "token", "total", "cv"]].to_numpy().tolist()
        return [
            {"token_id": token_id, "token": token, "total": total, "cv": round(cv, 6)}
            for token_id, token, total, cv in rows
        ]

    def to_csv(self) -> str:
        """The whole table for people."""
        return to_csv(self.table, float_format="%.6f")

    def save(self, csv_path: str | Path) -> None:
        """Write the CSV for people and, next to it, the JSON for programs, which has the digests of both."""
        csv_path = Path(csv_path)
        table = self.to_csv()
        content = {
            "format": FORMAT,
            "version": VERSION,
            "task": self.task,
            "parameters": self.parameters,
            "origin": self.origin,
            "tokens": self.kept_tokens,
            "csv_digest": sha256_text(table),
        }
        write_text(csv_path, table)
        write_json(csv_path.with_suffix(".json"), content | {"content_digest": json_digest(content)})


def load_vocabulary(json_path: Path, *, command: str = COMMAND) -> dict[str, Any]:
    """The content of the JSON, after a check that it has not changed.

    Raises:
        StatisticsError: missing, damaged, changed since it was made, or of another format or version.
    """
    known = _file(json_path, command)
    known.check_present()
    with known.damage_named():
        content = read_json(json_path)
        known.check_version((content["format"], content["version"]), (FORMAT, VERSION))
        known.check_digest("content", json_digest(content), content["content_digest"])
    return dict(content)


def load_kept_tokens(
    json_path: str | Path, expected: dict[str, str], task: Task, *, command: str = COMMAND
) -> NDArray[np.int64]:
    """Ids of the kept tokens from the JSON, checked against this store and split.

    The CSV next to it must be the one that was written with it; where there is none, nothing is lost.

    Raises:
        StatisticsError: as ``load_vocabulary``, or made from something else.
    """
    json_path = Path(json_path)
    content = load_vocabulary(json_path, command=command)
    known = _file(json_path, command)
    with known.damage_named():
        known.check_task(content["task"], task.name)
        known.check_origin(dict(content["origin"]), expected)
        table = json_path.with_suffix(".csv")
        if table.is_file():
            _file(table, command).check_digest("content", sha256_file(table), content["csv_digest"])
        return np.array([int(token["token_id"]) for token in content["tokens"]], dtype=np.int64)


def _file(path: Path, command: str) -> StatisticsFile:
    return StatisticsFile(path, "counterfactual vocabulary", command)


def vocabulary_origin(store: FeatureStore, split: SplitManifest) -> dict[str, str]:
    """Digests that tie a vocabulary to what it was computed from; the alignment plays no part."""
    return {
        "utterances": store.utterance_digest,
        "tokenizer_vocabulary": str(store.attribute("vocabulary_digest")),
        "split": split.digest,
    }


def counterfactual_vocabulary(
    store: FeatureStore,
    split: SplitManifest,
    task: Task,
    *,
    min_variation: float = MIN_VARIATION,
    size: int = VOCABULARY_SIZE,
    all_classes: bool = False,
) -> CounterfactualVocabulary:
    """Count word pieces per class on the training split and keep the frequent ones that vary.

    CV_w = population standard deviation over mean of the class counts N_w. Kept are the ``size`` most
    frequent tokens with CV_w >= ``min_variation``. For ``binary`` the counts of the negative and positive
    class alone are used (``all_classes``: neutral too); a token seen in neutral text only has no CV.

    Args:
        store: word pieces, as served to a model.
        split: which utterances are in training.
        task: how labels become classes.
        min_variation: smallest CV of a kept token.
        size: at most so many tokens are kept.
        all_classes: for ``binary``, use the neutral counts too.

    Raises:
        StatisticsError: an impossible parameter, or the training fold is empty.
    """
    if not min_variation >= 0:
        raise StatisticsError("negative min_variation", found=min_variation, expected="0 or more")
    if size < 1:
        raise StatisticsError("size is too small", found=size, expected="1 or more")
    counts = token_counts(store, split, task)
    used = list(range(task.num_classes))
    if task.name == "binary" and not all_classes:
        used = [task.classes.index("negative"), task.classes.index("positive")]
    total = counts[:, used].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        variation = counts[:, used].std(axis=1) / counts[:, used].mean(axis=1)
    seen = np.flatnonzero(counts.sum(axis=1) > 0)
    order = seen[np.lexsort((seen, -total[seen]))]
    eligible = np.nan_to_num(variation[order], nan=-1.0) >= min_variation
    rank = np.where(eligible, np.cumsum(eligible), 0)
    table = pd.DataFrame({"token_id": order, "token": [store.tokenizer.vocabulary[i] for i in order]})
    for index, name in enumerate(task.classes):
        table[f"count_{name}"] = counts[order, index]
    table["total"] = total[order]
    table["cv"] = variation[order]
    table["rank"] = pd.array([int(r) if r else pd.NA for r in rank], dtype="Int64")
    table["kept"] = eligible & (rank <= size)
    parameters = {
        "min_variation": min_variation,
        "size": size,
        "classes_used": [task.classes[i] for i in used],
    }
    return CounterfactualVocabulary(task.name, table, parameters, vocabulary_origin(store, split))


def token_counts(store: FeatureStore, split: SplitManifest, task: Task) -> NDArray[np.int64]:
    """Occurrences (vocabulary, C) of every word piece in training text per class; special tokens are 0."""
    rows = training_rows(store, split)
    classes = task.class_of(store.utterances["label"].to_numpy()[rows])
    limited = served_pieces(store, rows)
    owners = np.repeat(classes, [len(row) for row in limited])
    size = len(store.tokenizer.vocabulary)
    ids = np.concatenate([*limited, np.zeros(0, dtype=np.int32)]).astype(np.int64)
    counts = np.bincount(ids * task.num_classes + owners, minlength=size * task.num_classes)
    counts = counts.reshape(size, task.num_classes)
    counts[[store.tokenizer.special_id(name) for name in SPECIAL_NAMES]] = 0
    return counts.astype(np.int64)


def served_pieces(store: FeatureStore, rows: NDArray[np.int64]) -> list[NDArray[np.int32]]:
    """Return the word pieces of each of ``rows`` that a model is served, without the [SEP] of a cut text."""
    tokens, limit = store.read_tokens(rows), store.limits["text"]
    # The closing [SEP] takes the last place of a cut text, so one piece fewer of it is served.
    return [row if len(row) <= limit else row[: limit - 1] for row in (tokens[i] for i in range(len(tokens)))]
