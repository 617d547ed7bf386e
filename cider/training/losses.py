"""The losses of the two optimisation steps (method section 4; paper eq. 17-19, 28 and 29).

Letters: B batch, C classes, H heads, T steps, d features. The teacher is the complete view; nothing flows
back into it.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from cider.model.attention import AttentionLogits
from cider.model.kernels.divergence_kernel import tri_divergence
from cider.model.reconstruction import Reconstruction
from mer_data.errors import MerDataError
from mer_data.torch_data.missing import MissingMask


def classification(log_probabilities: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of log probabilities (B, C) with class indices (B,), mean over B (paper eq. 28, 29)."""
    return functional.nll_loss(log_probabilities, classes)


def reconstruction(
    predicted: Reconstruction, targets: tuple[Tensor, Tensor, Tensor], removed: MissingMask
) -> Tensor:
    """SmoothL1 at the removed positions: mean over their values, per modality, summed (paper eq. 17).

    Args:
        predicted: from the incomplete view.
        targets: the complete view's text features (B, T_l, d_l), audio (B, T_a, d_a) and vision (B, T_v,
            d_v). They are detached. The steps of a prediction beyond a target's are not looked at.
        removed: what the incomplete view lost. A modality that lost nothing adds 0.

    Raises:
        MerDataError: if a target has more steps than its reconstruction.
    """
    text, audio, vision = targets
    return (
        _at_removed("text", predicted.text, text, removed.text)
        + _at_removed("audio", predicted.audio, audio, removed.audio)
        + _at_removed("vision", predicted.vision, vision, removed.vision)
    )


def attention_divergence(teacher: AttentionLogits, student: AttentionLogits, mask: Tensor) -> Tensor:
    """KL(softmax teacher || softmax student) between attention maps (paper eq. 18).

    Args:
        teacher: logits of the complete view, detached here.
        student: logits of the incomplete view.
        mask: (B, T) bool, True at valid steps of the three modalities, or (B, 3, T), one for each; of rows
            and of keys.

    Returns:
        The divergence over valid keys, summed over valid rows, averaged over batch and heads: the scale for
        which the weight beta is tuned.
    """
    size, _, heads, _ = student.query.shape
    return tri_divergence(teacher, student, mask) / (size * heads)


def joint_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """1 - cosine similarity of joint representations (B, D), mean over B, teacher detached (paper eq. 19)."""
    return (1 - functional.cosine_similarity(student, teacher.detach(), dim=-1)).mean()


def _at_removed(name: str, predicted: Tensor, target: Tensor, removed: Tensor) -> Tensor:
    """Mean SmoothL1 over the values of the removed steps (B, T); 0 without any."""
    steps = target.shape[1]
    if steps > predicted.shape[1]:
        raise MerDataError(
            f"{name} has more steps than the model reconstructs",
            found=steps,
            expected=f"at most {predicted.shape[1]}",
            do=f"Build the model with a greater {name}_length",
        )
    losses = functional.smooth_l1_loss(predicted[:, :steps], target.detach(), reduction="none")
    total = losses.masked_fill(~removed.unsqueeze(-1), 0.0).sum()
    return total / (removed.sum() * target.shape[-1]).clamp(min=1)
