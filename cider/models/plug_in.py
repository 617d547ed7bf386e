"""MACI around a model of one's own, outside of recipes: statistics, vocabulary, and both views of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from cider.debiasing.causal_head import CausalHead
from cider.debiasing.counterfactual_text import counterfactual_batch
from cider.models.backbone_model import BackboneModel
from cider.models.settings import Maci
from mer_data.errors import RecipeError, StatisticsError
from mer_data.statistics.class_statistics import ClassStatistics
from mer_data.torch_data.batches import Batch, SpecialTokens


@dataclass(frozen=True)
class MaciInputs:
    """Inputs of MACI from the training fold of one store and split, for one task.

    Attributes:
        num_classes: C.
        statistics: class priors and means; None: label debiasing is not possible.
        kept_token_ids: (K,) ids of the counterfactual vocabulary; None: language debiasing is not.
        special: word piece ids with a role.
    """

    num_classes: int
    statistics: ClassStatistics | None
    kept_token_ids: Tensor | None
    special: SpecialTokens


class MaciModel(BackboneModel):
    """A backbone with MACI; train it as any module, with ``nll_loss`` on its log probabilities."""

    def __init__(self, backbone: nn.Module, inputs: MaciInputs, maci: Maci) -> None:
        """Use `with_maci`."""
        statistics = inputs.statistics if maci in ("label", "both") else None
        means = None if statistics is None else statistics.means
        super().__init__(
            backbone,
            inputs.num_classes,
            class_widths=None
            if means is None
            else (means["text"].shape[1], means["audio"].shape[1], means["vision"].shape[1]),
        )
        if isinstance(self.head, CausalHead) and statistics is not None:
            self.head.use(statistics)
        self._kept = inputs.kept_token_ids if maci in ("language", "both") else None
        self._special = inputs.special

    def views(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Class probabilities (B, C) of the batch, and of its counterfactual text (paper eq. 25-27).

        `cider.scoring.subtraction.debiased` subtracts the second; tau is chosen on validation.

        Raises:
            StatisticsError: language debiasing is off.
        """
        if self._kept is None:
            raise StatisticsError(
                "the model has no counterfactual text", do="Make it with maci='language' or maci='both'"
            )
        other = counterfactual_batch(batch, self._kept.to(batch.input_ids.device), self._special)
        factual, counterfactual = (self(view).log_probabilities.exp() for view in (batch, other))
        return factual, counterfactual


def with_maci(backbone: nn.Module, inputs: MaciInputs, *, maci: Maci = "both") -> MaciModel:
    """Any model with MACI on its joint representation.

    Args:
        backbone: a `cider.models.backbone.Backbone`; the only thing that is added is the head.
        inputs: of the store, split and task it is trained on.
        maci: which halves: "label" (the causal head), "language" (counterfactual text), "both" or "none".

    Raises:
        MerDataError: the module is no backbone, or the inputs lack what ``maci`` needs.
    """
    if maci not in ("none", "label", "language", "both"):
        raise RecipeError("unknown maci", found=repr(maci), expected="none, label, language or both")
    if maci in ("label", "both") and inputs.statistics is None:
        raise StatisticsError(
            "label debiasing needs class statistics", do="Make them with `mer-data statistics`"
        )
    if maci in ("language", "both") and inputs.kept_token_ids is None:
        raise StatisticsError(
            "language debiasing needs a counterfactual vocabulary",
            do="Make it with `mer-data counterfactual-vocab`",
        )
    return MaciModel(backbone, inputs, maci)
