"""Predictions of a trained run: for the utterances of any fitting store, or for raw texts."""

from cider.inference.card import ModelCard, load_model_card, save_model_card
from cider.inference.predictions import Predictions
from cider.inference.predictor import SentimentPredictor
from cider.inference.tau import Tau

__all__ = [
    "ModelCard",
    "Predictions",
    "SentimentPredictor",
    "Tau",
    "load_model_card",
    "save_model_card",
]
