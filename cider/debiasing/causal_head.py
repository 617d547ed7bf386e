"""Classifiers: the multimodal causal module (MCM) of MACI against label bias, and a plain one (eq. 20-24).

Letters: B batch, C classes (c predicted, i conditioned on), D = joint width, w = width of a class embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from mer_data.errors import StatisticsError

if TYPE_CHECKING:
    from mer_data.statistics.class_statistics import ClassStatistics

Intervention = Literal["training", "test"]
_STATISTICS = ("priors", "class_text", "class_audio", "class_vision")


class CausalHead(nn.Module):
    """Backdoor adjustment over the class i: P(Y|do(L)) = sum_i P(i) P(Y|h_m, i) (paper eq. 20-24).

    It needs nothing of a model but its joint representation, so that it can be put on other models too. Its
    class statistics are buffers, saved in the state dict; until ``set_statistics`` or a checkpoint has filled
    them, the head refuses to predict.

    Attributes:
        priors: (C,) share of each class in the training split.
        class_text: (C, d_l) mean text features of each class in the training split.
        class_audio: (C, d_a) the same for audio.
        class_vision: (C, d_v) the same for vision.
    """

    priors: Tensor
    class_text: Tensor
    class_audio: Tensor
    class_vision: Tensor

    def __init__(
        self, joint_width: int, num_classes: int, feature_widths: tuple[int, int, int], width: int = 32
    ) -> None:
        """Build three MLPs of three layers, shared by the classes, and one classifier per class.

        Args:
            joint_width: D, of h_m.
            num_classes: C.
            feature_widths: d_l, d_a, d_v of the class means; a modality of width 0 (a store of texts alone
                has two) takes no part.
            width: w, of each of the three parts of a class embedding.
        """
        super().__init__()
        self.joint_width = joint_width
        present = [features for features in feature_widths if features > 0]
        self.encoders = nn.ModuleList(_three_layers(features, width) for features in present)
        self.classifiers = nn.ModuleList(
            nn.Linear(joint_width + len(present) * width, num_classes) for _ in range(num_classes)
        )
        shapes = [(num_classes,), *((num_classes, features) for features in feature_widths)]
        for name, shape in zip(_STATISTICS, shapes, strict=True):
            self.register_buffer(name, torch.full(shape, torch.nan))
        self._has_statistics = False
        self.register_load_state_dict_post_hook(_note_loaded_statistics)

    def set_statistics(self, *, priors: Tensor, text: Tensor, audio: Tensor, vision: Tensor) -> None:
        """Take over class statistics, copied to the device and precision of the buffers.

        Args:
            priors: (C,) non-negative, summing to 1; a class without utterances may have 0.
            text: (C, d_l) class means.
            audio: (C, d_a) class means.
            vision: (C, d_v) class means.

        Raises:
            StatisticsError: if a shape is wrong, a value is not finite, or the priors are no distribution.
        """
        given = dict(zip(_STATISTICS, (priors, text, audio, vision), strict=True))
        for name, values in given.items():
            expected = tuple(getattr(self, name).shape)
            if tuple(values.shape) != expected:
                raise StatisticsError(
                    f"class statistics {name} have the wrong shape",
                    found=tuple(values.shape),
                    expected=expected,
                )
            if not bool(values.isfinite().all()):
                raise StatisticsError(
                    f"class statistics {name} are not finite",
                    found=f"{int((~values.isfinite()).sum())} NaN or infinite values",
                )
        total = priors.double().sum().item()
        if bool((priors < 0).any()) or abs(total - 1) > 1e-4:
            raise StatisticsError(
                "class priors are no distribution",
                found=f"minimum {priors.min().item():g}, sum {total:g}",
                expected="minimum 0 or more, sum 1",
            )
        for name, values in given.items():
            getattr(self, name).copy_(values)
        self._has_statistics = True

    def use(self, statistics: ClassStatistics) -> None:
        """``set_statistics`` with those of a file."""
        self.set_statistics(
            priors=torch.from_numpy(statistics.priors).float(),
            text=torch.from_numpy(statistics.means["text"]),
            audio=torch.from_numpy(statistics.means["audio"]),
            vision=torch.from_numpy(statistics.means["vision"]),
        )

    def equalise_classifiers(self) -> None:
        """Start all classifiers from the weights of the first.

        Classifiers that start apart can each settle on one class and mix to the priors without looking at
        h_m. From equal weights they learn as one classifier first, and part by priors and class means.
        """
        first, *others = self.classifiers
        for classifier in others:
            classifier.load_state_dict(first.state_dict())

    def forward(self, h_m: Tensor, *, intervention: Intervention) -> Tensor:
        """Log P(Y|do(L)).

        Args:
            h_m: (B, D) joint representation.
            intervention: ``training`` takes the priors and every class's own means; ``test`` takes equal
                priors and, for every class, the mean of the class means, because the test split's labels are
                not known (paper footnote 4).

        Returns:
            (B, C) log probabilities.

        Raises:
            StatisticsError: if the head has no class statistics yet.
            ValueError: if the intervention is neither of the two.
        """
        if not self._has_statistics:
            raise StatisticsError(
                "the causal head has no class statistics",
                do="Call set_statistics with the training split's, or load a checkpoint",
            )
        if intervention not in ("training", "test"):
            raise ValueError(f"intervention is {intervention!r}, not 'training' or 'test'")
        means = [m for m in (self.class_text, self.class_audio, self.class_vision) if m.shape[1] > 0]
        if intervention == "training":
            log_priors = self.priors.log()
        else:
            log_priors = torch.full_like(self.priors, 1 / len(self.priors)).log()
            means = [mean.mean(dim=0, keepdim=True).expand_as(mean) for mean in means]
        embeddings = torch.cat(
            [encode(mean) for encode, mean in zip(self.encoders, means, strict=True)], dim=-1
        )
        logits = self._classify(h_m, embeddings)
        # A prior of 0 is -inf here and drops out: the log probabilities it is added to are finite.
        return (logits.log_softmax(dim=-1) + log_priors.unsqueeze(-1)).logsumexp(dim=1)

    def _classify(self, h_m: Tensor, embeddings: Tensor) -> Tensor:
        """Logits (B, i, c) of classifier i on concat(h_m, embedding i), for all i in one product."""
        weight = torch.stack([classifier.get_parameter("weight") for classifier in self.classifiers])
        bias = torch.stack([classifier.get_parameter("bias") for classifier in self.classifiers])
        of_joint, of_class = weight.split([self.joint_width, embeddings.shape[-1]], dim=-1)
        constant = torch.einsum("ie,ice->ic", embeddings, of_class) + bias
        return torch.einsum("bd,icd->bic", h_m, of_joint) + constant


class PlainHead(nn.Module):
    """A linear classifier without label debiasing (paper Table V, without MCM)."""

    def __init__(self, joint_width: int, num_classes: int) -> None:
        """Build the layer."""
        super().__init__()
        self.classifier = nn.Linear(joint_width, num_classes)

    def forward(self, h_m: Tensor, *, intervention: Intervention) -> Tensor:
        """Log probabilities (B, C) of h_m (B, D); `CausalHead` needs the intervention, here it is unused."""
        return self.classifier(h_m).log_softmax(dim=-1)


def make_head(
    joint_width: int, num_classes: int, feature_widths: tuple[int, int, int] | None, width: int = 32
) -> CausalHead | PlainHead:
    """Build the causal head; without ``feature_widths`` (see `CausalHead`) the plain one."""
    if feature_widths is None:
        return PlainHead(joint_width, num_classes)
    return CausalHead(joint_width, num_classes, feature_widths, width)


def _three_layers(features: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, width),
    )


def _note_loaded_statistics(head: CausalHead, _incompatible_keys: object) -> None:
    """A checkpoint made before the statistics were set holds the NaN the buffers start with."""
    head._has_statistics = all(bool(getattr(head, name).isfinite().all()) for name in _STATISTICS)
