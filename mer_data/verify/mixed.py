"""Mixed sentences: an utterance that has words of its neighbour."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.splits.shift.words import words_of
from mer_data.verify.findings import Findings
from mer_data.verify.reading import StoreContent

MIN_SHARED_WORDS = 3
_PLACE = ["video", "token", "start_s", "end_s"]


@dataclass(frozen=True)
class MixedSentences:
    """Mixed sentences among N utterances; numbers are their rows.

    Attributes:
        mixed: rows that have a word of another utterance: the same word at the same time.
        examples: some of those words.
        twins: rows whose segment, with all its words, was published twice.
        suspects: rows without word times of which one begins with the last words of the one before.
        num_timed: utterances with word times; of the others only the texts can be compared.
    """

    mixed: tuple[int, ...]
    examples: tuple[str, ...]
    twins: tuple[int, ...]
    suspects: tuple[int, ...]
    num_timed: int


def find_mixed(
    utterances: pd.DataFrame, owners: NDArray[np.int64], tokens: list[str], times: NDArray[np.float64]
) -> MixedSentences:
    """Look for words in two utterances; where there are no times, for sentences that run into each other.

    Args:
        utterances: N rows with the columns ``video_id``, ``segment``, ``start_s``, ``end_s`` and ``text``.
        owners: row of the utterance of every word (M,).
        tokens: the words (M).
        times: start and end of every word in seconds (M, 2), NaN where unknown.
    """
    words = pd.DataFrame(
        {
            "utterance": owners,
            "token": [token.lower() for token in tokens],
            "start_s": times[:, 0],
            "end_s": times[:, 1],
            "video": utterances["video_id"].to_numpy(dtype=object)[owners],
        }
    ).dropna(subset=["start_s", "end_s"])
    once_each = words.drop_duplicates([*_PLACE, "utterance"])
    shared = once_each[once_each.duplicated(_PLACE, keep=False)]
    twins = _twins(words[words["utterance"].isin(set(shared["utterance"]))], utterances)
    odd = shared[~shared["utterance"].isin(twins)]
    owners_of_odd = shared.merge(odd[_PLACE].drop_duplicates(), on=_PLACE)["utterance"]
    timed = set(words["utterance"].tolist())
    return MixedSentences(
        mixed=tuple(sorted(set(owners_of_odd.tolist()))),
        examples=tuple(odd["token"].drop_duplicates().head(3)),
        twins=tuple(sorted(twins)),
        suspects=_running_on(utterances.reset_index(drop=True), timed),
        num_timed=len(timed),
    )


def check_mixed_sentences(content: StoreContent, findings: Findings) -> None:
    """With word times, no word is in two utterances; without, no sentence begins as the one before ends."""
    columns = {
        "video_id": "strings",
        "text": "strings",
        "segment": "arrays",
        "start_s": "arrays",
        "end_s": "arrays",
    }
    names = [f"utterances/{column}" for column in columns]
    if not content.has(*names, "words/token", "words/times", "words/offsets"):
        return
    utterances = pd.DataFrame(
        {
            column: content.strings(name) if kind == "strings" else content.arrays[name]
            for (column, kind), name in zip(columns.items(), names, strict=True)
        }
    )
    found = find_mixed(
        utterances, content.owners("words"), content.strings("words/token"), content.arrays["words/times"]
    )
    if found.mixed:
        words = ", ".join(map(repr, found.examples))
        findings.error(
            "mixed-words",
            f"the same word at the same time in several utterances: {words}",
            content.names(found.mixed),
        )
    if found.twins:
        findings.warning(
            "same-segment-twice",
            "utterances with the same words at the same times: one segment, published twice",
            content.names(found.twins),
        )
    if found.suspects:
        findings.warning(
            "possible-mixed-sentence",
            f"neighbours of which one begins with the last words ({MIN_SHARED_WORDS} or more) of the other",
            content.names(found.suspects),
        )


def _twins(words: pd.DataFrame, utterances: pd.DataFrame) -> set[int]:
    """Utterances that share their interval and all their words with another: a segment published twice."""
    starts, ends = utterances["start_s"].tolist(), utterances["end_s"].tolist()
    wholes: defaultdict[int, list[tuple[object, ...]]] = defaultdict(list)
    for row, *word in words[["utterance", *_PLACE]].itertuples(index=False, name=None):
        wholes[row].append(tuple(word))
    keys = {row: (starts[row], ends[row], *whole) for row, whole in wholes.items()}
    how_often = Counter(keys.values())
    return {row for row, key in keys.items() if how_often[key] > 1}


def _running_on(utterances: pd.DataFrame, timed: set[int]) -> tuple[int, ...]:
    """Rows without word times that begin with the last words of the one before, and the ones before."""
    texts = utterances["text"].tolist()
    suspects: list[int] = []
    untimed = utterances[~utterances.index.isin(timed)].sort_values("segment", kind="stable")
    for _, group in untimed.groupby("video_id"):
        for before, after in pairwise(group.index.tolist()):
            if _num_shared(words_of(texts[before]), words_of(texts[after])) >= MIN_SHARED_WORDS:
                suspects += [before, after]
    return tuple(dict.fromkeys(suspects))


def _num_shared(before: list[str], after: list[str]) -> int:
    """Length of the longest end of ``before`` that is a beginning of ``after``."""
    longest = min(len(before), len(after))
    return next((k for k in range(longest, 0, -1) if before[-k:] == after[:k]), 0)
