"""Mean features of single utterances; text through a frozen encoder. Imports torch: load on demand."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mer_data.progress import Progress
from mer_data.store.reader import FeatureStore
from mer_data.text.encoder import TextEncoder
from mer_data.torch_data.batches import make_loader

_BATCH = 64


def utterance_means(
    store: FeatureStore,
    rows: NDArray[np.int64],
    encoder: TextEncoder,
    *,
    progress: Progress | None = None,
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
    """Mean over the steps of every utterance, for "text", "audio" and "vision".

    Text counts every word piece, special tokens included, as the model reads them.

    Returns:
        (N, d) float64 means per modality (zeros where a row has no step), and (N,) whether it has any.
    """
    encoder.eval()
    sums: dict[str, list[NDArray[np.float64]]] = {"text": [], "audio": [], "vision": []}
    present: dict[str, list[NDArray[np.bool_]]] = {"text": [], "audio": [], "vision": []}
    done = 0
    for batch in make_loader(store, rows, batch_size=_BATCH):
        with torch.inference_mode():
            text = encoder(batch.input_ids, batch.text_mask)
        steps = {
            "text": (text, batch.text_mask),
            "audio": (batch.audio, batch.audio_mask),
            "vision": (batch.vision, batch.vision_mask),
        }
        for modality, (values, mask) in steps.items():
            total = (values.double() * mask[..., None]).sum(dim=1)
            sums[modality].append((total / mask.sum(dim=1, keepdim=True).clamp(min=1)).numpy())
            present[modality].append(mask.any(dim=1).numpy())
        done += len(batch)
        if progress is not None:
            progress(done, len(rows))
    return (
        {modality: np.concatenate(parts) for modality, parts in sums.items()},
        {modality: np.concatenate(parts) for modality, parts in present.items()},
    )
