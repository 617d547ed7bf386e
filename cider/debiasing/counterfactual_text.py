"""Counterfactual text: only words whose frequency differs between classes stay (paper III-C, eq. 25-27)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mer_data.torch_data.batches import Batch, SpecialTokens


def counterfactual_ids(
    input_ids: Tensor, text_mask: Tensor, kept_token_ids: Tensor, special: SpecialTokens
) -> Tensor:
    """The counterfactual of a text as the model sees it, removed pieces included.

    Args:
        input_ids: (B, T_l) int64.
        text_mask: (B, T_l) bool, True at word pieces.
        kept_token_ids: (K,) ids of the counterfactual vocabulary, on the same device.
        special: ids with a role.

    Returns:
        (B, T_l): vocabulary tokens, [CLS], [SEP], [UNK] and padding as they were, [MASK] for the rest.
    """
    roles = torch.tensor([special.cls, special.sep, special.unk], device=input_ids.device)
    stays = torch.isin(input_ids, kept_token_ids) | torch.isin(input_ids, roles) | ~text_mask
    return input_ids.where(stays, special.mask)


def counterfactual_batch(batch: Batch, kept_token_ids: Tensor, special: SpecialTokens) -> Batch:
    """Return the batch with counterfactual texts, see `counterfactual_ids`; frames stay as they are."""
    ids = counterfactual_ids(batch.input_ids, batch.text_mask, kept_token_ids, special)
    return replace(batch, input_ids=ids)
