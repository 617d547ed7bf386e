"""Utterances to predict: those chosen from a store, and raw texts with frames as a store serves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TextIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cider.prediction.model_card import ModelCard
from mer_data.errors import MerDataError
from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.torch_data.batches import Item
from mer_data.utterances import FRAME_MODALITIES, cut
from mer_data.workspace import Workspace


def chosen_ids(
    store: FeatureStore, split_name: str | None, fold: str | None, ids_file: TextIO | None
) -> list[str] | None:
    """Return the ids in a file, or those of a fold of a split; None, for all, where neither is named.

    Raises:
        MerDataError: no list of ids, or the split does not fit the store.
    """
    if ids_file is not None:
        try:
            ids = [line.strip() for line in ids_file if line.strip()]
        except UnicodeDecodeError as error:
            raise MerDataError(
                "not a list of ids", where=ids_file.name, expected="UTF-8 text, one id per line"
            ) from error
        if not ids:
            raise MerDataError("no ids", where=ids_file.name, expected="one id per line")
        return ids
    if split_name is None or fold is None:
        return None
    split = SplitManifest.load(Workspace(store.dataset).choose_split(split_name))
    split.check_store(store.utterance_digest, store.utterances["id"], store.path)
    return list(split.splits[fold])


def checked_texts(texts: Iterable[str]) -> list[str]:
    """The texts as a list.

    Raises:
        MerDataError: it is no list, or holds something that is no text or cannot be written as UTF-8.
    """
    if isinstance(texts, str | bytes | bytearray):
        raise MerDataError("one text in place of a list", do="Pass [text]")
    if not isinstance(texts, Iterable):
        raise MerDataError("no list of texts", found=type(texts).__name__, do="Pass [text, ...]")
    checked = list(texts)
    for number, text in enumerate(checked):
        if not isinstance(text, str):
            advice = "Decode it: text.decode()" if isinstance(text, bytes) else "Leave it out, or pass a str"
            raise MerDataError(
                f"text {number} is no text",
                found=f"{type(text).__name__} {text!r:.40}",
                expected="str",
                do=advice,
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise MerDataError(f"text {number} is not valid Unicode ({error.reason})") from error
    return checked


def text_item(
    card: ModelCard, pieces: NDArray[np.int32], features: Mapping[str, ArrayLike | None], number: int
) -> Item:
    """One text with its frames, as a store serves it.

    Args:
        card: of the model.
        pieces: word pieces (T_l,), uncut.
        features: frames (T, d) of "audio" and "vision"; None where the modality is missing.
        number: of the text, for messages.

    Raises:
        MerDataError: frames of another shape, or that are no numbers.
    """
    frames = {
        modality: _frames(card, modality, features[modality], len(pieces), number)
        for modality in FRAME_MODALITIES
    }
    limits, aligned = card.limits, card.shapes.aligned
    return Item(
        cut(pieces, limits["text"], keep_last=True),
        cut(frames["audio"], limits["audio"], keep_last=aligned),
        cut(frames["vision"], limits["vision"], keep_last=aligned),
        label=float("nan"),
        index=number,
    )


def _frames(
    card: ModelCard, modality: str, given: ArrayLike | None, num_pieces: int, number: int
) -> NDArray[np.float32]:
    """The frames (T, d) of one text; zeros where the modality is missing, as missing patterns leave them."""
    width, aligned = card.width(modality), card.shapes.aligned
    if given is None:
        # Equal frames share their weight equally: one says as much as many.
        return np.zeros((num_pieces if aligned else 1, width), dtype=np.float32)
    try:
        frames = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise MerDataError(f"{modality} of text {number} is no array of numbers ({error})") from error
    if frames.ndim != 2 or frames.shape[1] != width or (aligned and len(frames) != num_pieces):
        steps = f"{num_pieces}, one frame per word piece" if aligned else "number of frames"
        raise MerDataError(
            f"{modality} of text {number} has the wrong shape",
            found=frames.shape,
            expected=f"({steps}, {width})",
        )
    return np.where(np.isfinite(frames), frames, np.float32(0))
