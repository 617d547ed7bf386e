"""Whether words are those of the texts, and whether frames are there and meet them."""

from __future__ import annotations

import numpy as np

from mer_data.alignment import same_words, shorten
from mer_data.utterances import FRAME_MODALITIES
from mer_data.verify.findings import Findings
from mer_data.verify.reading import StoreContent
from mer_data.word_shift import VideoWords, find_shift, some_of


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
    segments = np.stack([content.arrays["utterances/start_s"], content.arrays["utterances/end_s"]], axis=1)
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
