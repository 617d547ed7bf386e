"""Input that a trained model expects, checked against a store before anything is predicted."""

from __future__ import annotations

from dataclasses import dataclass

from mer_data.errors import StoreError
from mer_data.store.reader import FeatureStore
from mer_data.text.pretrained import TINY
from mer_data.utterances import FRAME_MODALITIES

_SAME_COLUMNS = "Build one from the same feature columns"


@dataclass(frozen=True)
class ExpectedInput:
    """Features as a model was trained on them.

    Attributes:
        alignment: "aligned" or "unaligned".
        widths: feature columns of "audio" and "vision".
        columns: their names, in order.
        frame_rate_hz: frames per second of "audio" and "vision", where known.
        tokenizer: name of the tokenizer.
        vocabulary_digest: digest of its vocabulary.
    """

    alignment: str
    widths: dict[str, int]
    columns: dict[str, tuple[str, ...]]
    frame_rate_hz: dict[str, float | None]
    tokenizer: str
    vocabulary_digest: str

    @classmethod
    def from_store(cls, store: FeatureStore) -> ExpectedInput:
        """Return what a model trained on ``store`` expects."""
        return cls(
            alignment=store.alignment,
            widths={modality: store.width(modality) for modality in FRAME_MODALITIES},
            columns={modality: tuple(names) for modality, names in store.attribute("columns").items()},
            frame_rate_hz=store.attribute("frame_rate_hz"),
            tokenizer=store.tokenizer.name,
            vocabulary_digest=store.tokenizer.vocabulary_digest,
        )

    def check(self, store: FeatureStore) -> list[str]:
        """Refuse a store that the model cannot read, and list columns that it did not learn from.

        Returns:
            One line per modality whose columns have other names than those of training.

        Raises:
            StoreError: alignment, feature widths or vocabulary differ.
        """
        if store.alignment != self.alignment:
            advice = f"Build one with --alignment {self.alignment}"
            raise _another("alignment", store, store.alignment, self.alignment, advice)
        for modality in FRAME_MODALITIES:
            width, expected = store.width(modality), self.widths[modality]
            if width != expected:
                raise _another(f"{modality} width", store, width, expected, _SAME_COLUMNS)
        pieces = store.tokenizer
        if pieces.vocabulary_digest != self.vocabulary_digest:
            raise _another(
                "tokenizer vocabulary",
                store,
                f"{pieces.name!r} ({pieces.vocabulary_digest[:19]})",
                f"{self.tokenizer!r} ({self.vocabulary_digest[:19]})",
                "Build one with --tokenizer "
                + ("RUN, the folder of the run" if self.tokenizer == TINY else self.tokenizer),
            )
        columns = store.attribute("columns")
        return [
            f"{modality} columns have other names than in training: {_difference(columns[modality], names)}"
            for modality, names in self.columns.items()
            if tuple(columns[modality]) != names
        ]

    def check_same(self, store: FeatureStore) -> None:
        """Refuse a store whose features are not those of training, for scores that are to be believed.

        Raises:
            StoreError: as ``check``, and where a column has another name or another place, or the frames of
                an unaligned store come at another known rate.
        """
        notes = self.check(store)
        if notes:
            raise StoreError(notes[0], where=store.path, do=_SAME_COLUMNS)
        if self.alignment == "aligned":  # one frame for each word piece, whatever the rate was
            return
        for modality, rate in store.attribute("frame_rate_hz").items():
            expected = self.frame_rate_hz[modality]
            if None not in (rate, expected) and rate != expected:
                raise _another(
                    f"{modality} frame rate",
                    store,
                    f"{rate:g} Hz",
                    f"{expected:g} Hz",
                    "Build one whose source manifest has this frame_rate_hz",
                )


def _another(what: str, store: FeatureStore, found: object, expected: object, advice: str) -> StoreError:
    return StoreError(
        f"the store has another {what} than the run was trained with",
        where=store.path,
        found=found,
        expected=expected,
        do=advice,
    )


def _difference(found: list[str], expected: tuple[str, ...]) -> str:
    pairs = [(a, b) for a, b in zip(found, expected, strict=False) if a != b]
    return f"{pairs[0][0]} in place of {pairs[0][1]}" + (
        f" and {len(pairs) - 1} more" if len(pairs) > 1 else ""
    )
