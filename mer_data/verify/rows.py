"""Checks on the content of a store: utterances, words, word pieces, frames."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from mer_data.alignment import TOLERANCE_S
from mer_data.tasks import LABEL_RANGE
from mer_data.utterances import FOLDS, MODALITIES, NO_FOLD, utterance_id
from mer_data.verify.findings import Findings
from mer_data.verify.reading import StoreContent
from mer_data.word_pieces import WordPieces

_ID = re.compile(r"(?P<video>.+)\$_\$(?P<segment>[1-9][0-9]*)")


def check_utterances(content: StoreContent, findings: Findings) -> None:
    """Ids, labels, folds and intervals."""
    if content.num_utterances == 0:
        findings.error("empty", "no utterances")
    if content.has("utterances/id"):
        _check_ids(content, findings)
    if content.has("utterances/label"):
        labels = content.arrays["utterances/label"]
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(~((labels >= LABEL_RANGE[0]) & (labels <= LABEL_RANGE[1])))
        if len(wrong):
            found = ", ".join(f"{labels[row]:g}" for row in wrong[:3])
            findings.error("label-range", f"labels outside [-3, 3]: {found}", content.names(wrong))
    if content.has("utterances/fold"):
        folds = content.strings("utterances/fold")
        wrong = np.flatnonzero([fold not in (*FOLDS, NO_FOLD) for fold in folds])
        if len(wrong):
            findings.error(
                "fold",
                f"unknown fold {folds[wrong[0]]!r}, expected {', '.join([*FOLDS, NO_FOLD])}",
                content.names(wrong),
            )
    if content.has("utterances/start_s", "utterances/end_s"):
        wrong = np.flatnonzero(~_are_intervals(_segments(content)))
        if len(wrong):
            findings.error("interval", "segments that do not run forward", content.names(wrong))


def _check_ids(content: StoreContent, findings: Findings) -> None:
    """Ids are unique, and say the video and the segment."""
    ids = content.strings("utterances/id")
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        findings.error("unique-ids", "ids that stand more than once", twice)
    wrong = [name for name in ids if not _ID.fullmatch(name)]
    if wrong:
        findings.error("id-form", "ids not of the form video$_$segment with a segment from 1", wrong)
    if content.has("utterances/video_id", "utterances/segment"):
        videos, segments = (
            content.strings("utterances/video_id"),
            content.arrays["utterances/segment"].tolist(),
        )
        said = [utterance_id(*pair) for pair in zip(videos, segments, strict=True)]
        wrong = [name for name, other in zip(ids, said, strict=True) if _ID.fullmatch(name) and name != other]
        if wrong:
            findings.error("id-agrees", "ids that do not agree with video_id and segment", wrong)


def check_words(content: StoreContent, findings: Findings) -> None:
    """Word intervals run forward, lie in or at their segment and come in order; words are the text's."""
    if content.has("words/offsets"):
        _note_empty("words", content, findings)
    if content.has("words/times"):
        _check_word_times(content, findings)
    if content.has("words/token", "words/offsets", "utterances/text"):
        words, texts = content.strings("words/token"), content.strings("utterances/text")
        borders = content.arrays["words/offsets"].tolist()
        spans = zip(borders[:-1], borders[1:], texts, strict=True)
        differ = [[w.lower() for w in words[a:b]] != text.lower().split() for a, b, text in spans]
        wrong = np.flatnonzero(differ)
        if len(wrong):
            findings.warning("text-words", "utterances whose text is not their words", content.names(wrong))


def _check_word_times(content: StoreContent, findings: Findings) -> None:
    times, owners = content.arrays["words/times"], content.owners("words")
    forward = _are_intervals(times)
    if not forward.all():
        findings.error("word-interval", "words that do not run forward", content.names(owners[~forward]))
    timed = forward & ~np.isnan(times[:, 0])
    before = timed[:-1] & timed[1:] & (owners[:-1] == owners[1:]) & (times[1:, 0] < times[:-1, 0])
    if before.any():
        findings.error(
            "word-order", "words that begin before the word before", content.names(owners[1:][before])
        )
    if content.has("utterances/start_s", "utterances/end_s"):
        segments = _segments(content)[owners]
        gaps = np.maximum(times[:, 0] - segments[:, 1], segments[:, 0] - times[:, 1])
        outside = timed & (np.nan_to_num(gaps, nan=0.0) > TOLERANCE_S)
        if outside.any():
            findings.warning(
                "word-outside", "words that do not touch their segment", content.names(owners[outside])
            )


def check_tokens(content: StoreContent, pieces: WordPieces | None, findings: Findings) -> None:
    """Word pieces are of the vocabulary, stand between [CLS] and [SEP], and point at words that are there."""
    if not content.has("tokens/offsets"):
        return
    owners, offsets = content.owners("tokens"), content.arrays["tokens/offsets"]
    if pieces is not None and content.has("tokens/ids"):
        ids = content.arrays["tokens/ids"]
        size = len(pieces.vocabulary)
        wrong = (ids < 0) | (ids >= size)
        if wrong.any():
            findings.error(
                "token-vocabulary",
                f"word pieces outside the vocabulary of {size}: {ids[wrong][0]}",
                content.names(owners[wrong]),
            )
        rows = np.flatnonzero(content.lengths("tokens") > 0)
        framed = np.zeros(content.num_utterances, dtype=bool)
        framed[rows] = (ids[offsets[rows]] == pieces.special_id("[CLS]")) & (
            ids[offsets[rows + 1] - 1] == pieces.special_id("[SEP]")
        )
        if not framed.all():
            findings.error(
                "token-frame", "rows not from [CLS] to [SEP]", content.names(np.flatnonzero(~framed))
            )
    if content.has("tokens/words", "words/offsets"):
        words = content.arrays["tokens/words"]
        wrong = (words < -1) | (words >= content.lengths("words")[owners])
        if wrong.any():
            findings.error(
                "token-words", "word pieces of words that are not there", content.names(owners[wrong])
            )


def check_frames(content: StoreContent, findings: Findings) -> None:
    """Audio and vision are finite; in an aligned store one frame stands beside every word piece."""
    for modality in MODALITIES:
        rows = content.not_finite.get(f"{modality}/values", np.empty(0, np.int64))
        if len(rows):
            findings.error(
                "finite",
                f"{modality}: {len(rows)} frames with -inf, inf or NaN",
                content.utterances_of(f"{modality}/values", rows),
            )
        if not content.has(f"{modality}/offsets"):
            continue
        _note_empty(modality, content, findings)
        if content.attributes.get("alignment") == "aligned" and content.has("tokens/offsets"):
            wrong = np.flatnonzero(content.lengths(modality) != content.lengths("tokens"))
            if len(wrong):
                findings.error(
                    "aligned-frames", f"{modality}: not one frame per word piece", content.names(wrong)
                )


def _note_empty(group: str, content: StoreContent, findings: Findings) -> None:
    empty = np.flatnonzero(content.lengths(group) == 0)
    if len(empty):
        findings.note("empty-rows", f"utterances without {group}", content.names(empty))


def _segments(content: StoreContent) -> NDArray[np.float64]:
    return np.stack([content.arrays["utterances/start_s"], content.arrays["utterances/end_s"]], axis=1)


def _are_intervals(times: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which rows (N, 2) are finite and run forward, or have no times at all (NaN twice)."""
    with np.errstate(invalid="ignore"):
        forward = np.isfinite(times).all(axis=1) & (times[:, 1] >= times[:, 0])
    return forward | np.isnan(times).all(axis=1)
