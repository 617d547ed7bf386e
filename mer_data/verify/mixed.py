"""Mixed sentences: an utterance that has words of its neighbour."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pandas as pd

from mer_data.splits.shift import words_of
from mer_data.verify.findings import Findings
from mer_data.verify.reading import StoreContent

MIN_SHARED_WORDS = 3


def check_mixed_sentences(content: StoreContent, findings: Findings) -> None:
    """With word times, no word is in two utterances; without, no sentence begins as the one before ends."""
    if not content.has("utterances/video_id", "words/token", "words/times", "words/offsets"):
        return
    times = content.arrays["words/times"]
    words = pd.DataFrame(
        {
            "utterance": content.owners("words"),
            "token": [token.lower() for token in content.strings("words/token")],
            "start_s": times[:, 0],
            "end_s": times[:, 1],
        }
    )
    words["video"] = np.array(content.strings("utterances/video_id"), dtype=object)[words["utterance"]]
    timed = words.dropna()
    _check_timed(timed, content, findings)
    _check_untimed(set(timed["utterance"]), content, findings)


def _check_timed(words: pd.DataFrame, content: StoreContent, findings: Findings) -> None:
    """The same word at the same time belongs to one utterance, unless a whole segment was published twice."""
    place = ["video", "token", "start_s", "end_s"]
    once_each = words.drop_duplicates([*place, "utterance"])
    shared = once_each[once_each.duplicated(place, keep=False)]
    twins = _twins(words[words["utterance"].isin(set(shared["utterance"]))], place, content)
    mixed = shared[~shared["utterance"].isin(twins)]
    if len(mixed):
        beside = shared.merge(mixed[place].drop_duplicates(), on=place)["utterance"]
        examples = ", ".join(repr(token) for token in mixed["token"].drop_duplicates().head(3))
        findings.error(
            "mixed-words",
            f"the same word at the same time in several utterances: {examples}",
            content.names(beside.to_numpy()),
        )
    if twins:
        findings.warning(
            "same-segment-twice",
            "utterances with the same words at the same times: one segment, published twice",
            content.names(sorted(twins)),
        )


def _twins(words: pd.DataFrame, place: list[str], content: StoreContent) -> set[int]:
    """Utterances that share their interval and all their words with another: a segment published twice."""
    if not content.has("utterances/start_s", "utterances/end_s"):
        return set()
    starts, ends = (content.arrays[f"utterances/{name}"].tolist() for name in ("start_s", "end_s"))
    wholes: defaultdict[int, list[tuple[object, ...]]] = defaultdict(list)
    for row, *word in words[["utterance", *place]].itertuples(index=False, name=None):
        wholes[row].append(tuple(word))
    keys = {row: (starts[row], ends[row], *whole) for row, whole in wholes.items()}
    how_often = Counter(keys.values())
    return {row for row, key in keys.items() if how_often[key] > 1}


def _check_untimed(timed: set[int], content: StoreContent, findings: Findings) -> None:
    """Without word times only the texts can tell: one begins with the last words of the one before it."""
    if not content.has("utterances/text", "utterances/segment"):
        return
    frame = pd.DataFrame(
        {"video": content.strings("utterances/video_id"), "segment": content.arrays["utterances/segment"]}
    )
    texts = content.strings("utterances/text")
    suspects: list[int] = []
    untimed = frame[~frame.index.isin(timed)].sort_values("segment", kind="stable")
    for _, group in untimed.groupby("video"):
        for before, after in pairwise(group.index.tolist()):
            if _num_shared(words_of(texts[before]), words_of(texts[after])) >= MIN_SHARED_WORDS:
                suspects += [before, after]
    if suspects:
        findings.warning(
            "possible-mixed-sentence",
            f"neighbours of which one begins with the last words ({MIN_SHARED_WORDS} or more) of the other",
            content.names(suspects),
        )


def _num_shared(before: list[str], after: list[str]) -> int:
    """Length of the longest end of ``before`` that is a beginning of ``after``."""
    longest = min(len(before), len(after))
    return next((k for k in range(longest, 0, -1) if before[-k:] == after[:k]), 0)
