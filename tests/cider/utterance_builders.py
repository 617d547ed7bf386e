"""Utterances of random word pieces and frames, in batches padded as one likes, and a small text encoder."""

import torch
from torch import nn

from cider.model.architecture import FeatureShapes
from mer_data.torch_data.batches import Batch, SpecialTokens

SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4)
UNALIGNED = FeatureShapes(
    text_width=6,
    audio_width=2,
    vision_width=3,
    text_length=9,
    audio_length=14,
    vision_length=11,
    aligned=False,
)
#: Word pieces, audio frames and vision frames; the last utterance has no frames at all.
UNALIGNED_LENGTHS = [(7, 12, 5), (2, 3, 1), (5, 0, 9), (8, 6, 0), (3, 0, 0)]


class TinyEncoder(nn.Module):
    """Stands in for BERT; its output at padding is far from zero."""

    def __init__(self, width=6):
        super().__init__()
        self.embedding = nn.Embedding(20, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, input_ids, text_mask):
        return self.norm(self.embedding(input_ids))


def make_utterances(lengths, seed=1):
    random = torch.Generator().manual_seed(seed)
    rows = []
    for pieces, audio, vision in lengths:
        words = torch.randint(5, 20, (pieces - 2,), generator=random).tolist()
        rows.append(
            (
                torch.tensor([SPECIAL.cls, *words, SPECIAL.sep]),
                torch.randn(audio, 2, generator=random),
                torch.randn(vision, 3, generator=random),
            )
        )
    return rows


def collate(rows, *, extra=(0, 0, 0), junk=0.0):
    """A batch padded to its longest row and ``extra`` steps more; frames hold ``junk`` at padding."""
    columns = []
    for column, more in zip(zip(*rows, strict=True), extra, strict=True):
        longest = max(len(x) for x in column) + more
        mask = torch.arange(longest) < torch.tensor([len(x) for x in column]).unsqueeze(1)
        fill = SPECIAL.pad if column[0].dtype == torch.int64 else junk
        padded = torch.full((len(column), longest, *column[0].shape[1:]), fill, dtype=column[0].dtype)
        for row, x in zip(padded, column, strict=True):
            row[: len(x)] = x
        columns += [padded, mask]
    return Batch(*columns, label=torch.zeros(len(rows)), index=torch.arange(len(rows)))


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)
