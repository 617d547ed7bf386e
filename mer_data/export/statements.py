"""What may be done with an export, and what it cannot show: the sentences that its cards share."""

from __future__ import annotations

from mer_data.export.facts import Facts
from mer_data.reports.formatting import count_of, measure, number

GENERATED = "The corpus is generated: it has no speakers, and stands for nothing."
SPEAKERS = (
    "Speakers can be identified: ids name public videos, texts are what people said, and features were taken"
    " from their voices and faces. Pass on neither raw video and sound nor, where the terms do not allow it,"
    " features; do not try to find out who somebody is."
)
PURPOSE = (
    "Made for research on multimodal sentiment analysis: missing modalities, and words whose relation to the"
    " label shifts between training and test."
)
LABELS = (
    "A label is what annotators saw in a segment, averaged over them; it is not what the speaker felt. It"
    " says nothing about a person's health, character or intent, and is not made for decisions about people."
)
ADVERSARIAL = (
    "The split is a stress test: its test fold was chosen so that words go with other labels than in"
    " training. Scores on it say how much a model leans on such words, not how it does on new videos."
)


def speakers(facts: Facts) -> str:
    """What is to be kept in mind of the people in the corpus."""
    return GENERATED if facts.corpus.dataset == "sample" else SPEAKERS


def use(facts: Facts) -> list[str]:
    """What the data is for."""
    return [PURPOSE] if facts.corpus.dataset == "sample" else [PURPOSE, LABELS]


def limits(facts: Facts) -> list[str]:
    """What the split cannot show, and what leaks between its folds, as measured."""
    shift = facts.split.shift
    leaks = []
    videos, shared = (measure(shift, "videos", key) for key in ("num_test", "num_test_in_train_or_valid"))
    if videos is not None and shared is not None:
        leaks.append(
            f"{number(shared, 0)} of the {number(videos, 0)} videos of test are in train or valid too"
        )
    repeated, threshold, min_words = (
        measure(shift, "near_duplicates", key) for key in ("num_test", "min_jaccard", "min_words")
    )
    if repeated is not None:
        leaks.append(
            f"{count_of(int(repeated), 'utterance')} of test nearly repeat one in train or valid (Jaccard"
            f" index of their words at least {number(threshold, 1)}, at least {number(min_words, 0)} words)"
        )
    told = "; ".join(leaks) if leaks else "not measured"
    shifted = facts.split.kind == "ood" and facts.split.generator.get("severity") != 0
    return [*([ADVERSARIAL] if shifted else []), f"Leaks between the folds: {told}."]
