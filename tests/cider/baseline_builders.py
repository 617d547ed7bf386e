"""Small and full-size baselines, and the parameter formulas of the facts they were written from."""

import dataclasses
from pathlib import Path

import torch
from utterance_builders import SPECIAL, UNALIGNED, TinyEncoder

from cider.model.architecture import FeatureShapes
from cider.models.dlf.backbone import DLF, DLFSettings
from cider.models.mplmm import MPLMM, MPLMMSettings

ALIGNED = dataclasses.replace(UNALIGNED, audio_length=9, vision_length=9, aligned=True)
#: CMU-MOSI, unaligned, as in the paper's Table VI.
MOSI = FeatureShapes(
    text_width=768,
    audio_width=5,
    vision_width=20,
    text_length=50,
    audio_length=375,
    vision_length=500,
    aligned=False,
)
SMALL = {
    DLF: DLFSettings(width=6, heads=2, layers=1, memory_layers=2, kernel=3),
    MPLMM: MPLMMSettings(width=6, heads=2, layers=2, prompt_length=3),
}


def make_baseline(kind, shapes=UNALIGNED, num_classes=3, settings=None, seed=0):
    torch.manual_seed(seed)
    return kind(
        text_encoder=TinyEncoder(shapes.text_width),
        shapes=shapes,
        num_classes=num_classes,
        special=SPECIAL,
        settings=settings or SMALL[kind],
    ).eval()


def joint(model, batch):
    with torch.no_grad():
        return model.encode(batch).joint


def parameters_without_encoder(model):
    total, encoder = (sum(x.numel() for x in part.parameters()) for part in (model, model.text_encoder))
    return total - encoder


def mult(layers, width):
    """Parameters of a MulT encoder."""
    return layers * (12 * width**2 + 13 * width) + 2 * width


def linear(inputs, outputs):
    """Parameters of a linear layer with bias."""
    return (inputs + 1) * outputs


def residual(width):
    """Parameters of a residual head without its last layer."""
    return 2 * linear(width, width)


def page_text(name):
    """A page of the documentation."""
    return (Path(__file__).parents[2] / "docs" / name).read_text(encoding="utf-8")
