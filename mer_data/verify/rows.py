"""Checks on the content of a store: utterances, words, word pieces, frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mer_data import utterance_rules as rules
from mer_data.alignment import TOLERANCE_S, same_words, shorten
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterance_rules import Broken
from mer_data.utterances import FRAME_MODALITIES
from mer_data.verify.findings import Findings
from mer_data.verify.reading import StoreContent
from mer_data.word_shift import VideoWords, find_shift, some_of


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
    """Word pieces are of the vocabulary, are between [CLS] and [SEP], and point at words that are there."""
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
    """Audio and vision are finite; an aligned store has one frame for every word piece."""
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


def check_words_of_texts(content: StoreContent, findings: Findings) -> None:
    """Count utterances whose words are not their text; words a constant number of places off are an error."""
    if not content.has("words/token", "words/offsets", "utterances/text"):
        return
    words, texts = content.strings("words/token"), content.strings("utterances/text")
    borders = content.arrays["words/offsets"].tolist()
    spans = list(zip(borders[:-1], borders[1:], texts, strict=True))
    wrong = np.flatnonzero([not same_words(words[a:b], text) for a, b, text in spans])
    if not len(wrong):
        return
    example = int(wrong[0])
    start, end, text = spans[example]
    findings.warning(
        "text-words",
        f"the words of {len(wrong)} of {len(texts)} utterances are not their text, such as"
        f" {shorten(' '.join(words[start:end]))!r} of {shorten(text)!r}",
        content.names(wrong),
    )
    found = find_shift(_videos(content))
    if found is not None:
        findings.error("word-shift", f"{found.text}; build the store again with --shift-words {found.shift}")


def _videos(content: StoreContent) -> list[VideoWords]:
    """Some hundred videos with the times of their words; none where words have no times."""
    columns = ("id", "video_id", "text", "start_s", "end_s")
    if not content.has("words/times", *(f"utterances/{name}" for name in columns)):
        return []
    times, owners = content.arrays["words/times"], content.owners("words")
    tokens = np.array(content.strings("words/token"), dtype=object)
    ids, videos, texts = (content.strings(f"utterances/{name}") for name in columns[:3])
    segments = _segments(content)
    rows_of: dict[str, list[int]] = {}
    for row, video in enumerate(videos):
        if np.isfinite(segments[row]).all():
            rows_of.setdefault(video, []).append(row)
    found = []
    for video in some_of(sorted(rows_of)):
        rows = rows_of[video]
        inside = np.flatnonzero(np.isin(owners, rows) & np.isfinite(times).all(axis=1))
        inside = inside[np.argsort(times[inside, 0], kind="stable")]
        found.append(
            VideoWords(
                [ids[row] for row in rows],
                [texts[row] for row in rows],
                segments[rows],
                tokens[inside].tolist(),
                times[inside],
                np.ones(len(inside), dtype=bool),
            )
        )
    return found


def check_any_frames(content: StoreContent, findings: Findings) -> None:
    """A modality without one frame, or in an aligned store of zeros alone, is an error."""
    aligned = content.attributes.get("alignment") == "aligned"
    for modality in FRAME_MODALITIES:
        name = f"{modality}/values"
        if content.num_utterances == 0 or not content.has(f"{modality}/offsets") or name in content.failed:
            continue
        if not content.lengths(modality).any():
            findings.error(
                "no-frames",
                f"{modality}: no utterance has a frame; build the store again, or with --without {modality}",
            )
        elif aligned and not content.any_value.get(name, True):
            findings.error(
                "no-frames",
                f"{modality}: all frames are zeros, as where words do not meet frames; build it again with"
                f" the words of the corpus, or with --without {modality}",
            )


def _note_empty(group: str, content: StoreContent, findings: Findings) -> None:
    empty = np.flatnonzero(content.lengths(group) == 0)
    if len(empty):
        findings.note("empty-rows", f"utterances without {group}", content.names(empty))


def _segments(content: StoreContent) -> NDArray[np.float64]:
    return np.stack([content.arrays["utterances/start_s"], content.arrays["utterances/end_s"]], axis=1)
