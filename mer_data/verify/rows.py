"""Checks on the content of a store: utterances, words, word pieces, frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mer_data import utterance_rules as rules
from mer_data.alignment import TOLERANCE_S
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterance_rules import Broken
from mer_data.utterances import FRAME_MODALITIES
from mer_data.verify.findings import Findings
from mer_data.verify.reading import StoreContent


def check_utterances(content: StoreContent, findings: Findings) -> None:
    """Ids, labels, folds and intervals."""
    if content.num_utterances == 0:
        findings.error("empty", "no utterances")
    if content.has("utterances/id"):
        ids = content.strings("utterances/id")
        twice = [name for name, count in Counter(ids).items() if count > 1]
        if twice:
            findings.error("unique-ids", "ids that stand more than once", twice)
        _add(rules.broken_ids(ids), content, findings)
        if content.has("utterances/video_id", "utterances/segment"):
            segments = content.arrays["utterances/segment"].tolist()
            videos = content.strings("utterances/video_id")
            _add(rules.broken_agreement(ids, videos, segments), content, findings)
    if content.has("utterances/label"):
        _add(rules.broken_labels(content.arrays["utterances/label"]), content, findings)
    if content.has("utterances/fold"):
        _add(rules.broken_folds(content.strings("utterances/fold")), content, findings)
    if content.has("utterances/start_s", "utterances/end_s"):
        _add(rules.broken_segments(_segments(content)), content, findings)


def _add(broken: Iterable[Broken], content: StoreContent, findings: Findings) -> None:
    for rule in broken:
        findings.error(rule.check, rule.message, content.names(rule.rows))


def check_words(content: StoreContent, findings: Findings) -> None:
    """Word intervals run forward, lie in or at their segment and come in order."""
    if content.has("words/offsets"):
        _note_empty("words", content, findings)
    if content.has("words/times"):
        _check_word_times(content, findings)


def _check_word_times(content: StoreContent, findings: Findings) -> None:
    times, owners = content.arrays["words/times"], content.owners("words")
    _add(rules.broken_words(times, owners), content, findings)
    if content.has("utterances/start_s", "utterances/end_s"):
        segments = _segments(content)[owners]
        gaps = np.maximum(times[:, 0] - segments[:, 1], segments[:, 0] - times[:, 1])
        timed = rules.run_forward(times)
        outside = timed & (np.nan_to_num(gaps, nan=0.0) > TOLERANCE_S)
        if outside.any():
            findings.warning(
                "word-outside", "words that do not touch their segment", content.names(owners[outside])
            )


def check_tokens(content: StoreContent, pieces: Tokenizer | None, findings: Findings) -> None:
    """Word pieces are of the vocabulary, stand between [CLS] and [SEP], and point at words that are there."""
    if not content.has("tokens/offsets"):
        return
    if pieces is not None and content.has("tokens/ids"):
        ids, offsets = content.arrays["tokens/ids"], content.arrays["tokens/offsets"]
        special = (pieces.special_id("[CLS]"), pieces.special_id("[SEP]"))
        _add(rules.broken_pieces(ids, offsets, len(pieces.vocabulary), *special), content, findings)
    if content.has("tokens/words", "words/offsets"):
        words, owners = content.arrays["tokens/words"], content.owners("tokens")
        _add(rules.broken_piece_words(words, owners, content.lengths("words")), content, findings)


def check_frames(content: StoreContent, findings: Findings) -> None:
    """Audio and vision are finite; in an aligned store one frame stands beside every word piece."""
    for modality in FRAME_MODALITIES:
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
