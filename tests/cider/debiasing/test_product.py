import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cider.debiasing.product import LearnedMixin, log_bias, product_of_experts, worst_group_weights

PRIOR = torch.tensor([0.5, 0.1, 0.4])


def distributions(seed, rows=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, 3, generator=generator, dtype=torch.float64).add(0.05).softmax(dim=-1)


@given(st.integers(0, 1000))
def test_the_product_equals_three_lines_of_numpy(seed):
    p, b, prior = distributions(seed).numpy(), distributions(seed + 1).numpy(), PRIOR.double().numpy()
    product = p * b / prior
    expected = np.log(product / product.sum(axis=1, keepdims=True))
    found = product_of_experts(torch.tensor(p).log(), log_bias(torch.tensor(b), PRIOR.double()))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_a_bias_model_that_answers_the_prior_changes_nothing():
    p = distributions(3).log()
    bias = log_bias(PRIOR.double().expand(6, 3), PRIOR.double())
    torch.testing.assert_close(product_of_experts(p, bias), p)


def test_an_excluded_class_stays_finite():
    bias = log_bias(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0.5, 0.0, 0.5]))
    assert bias.isfinite().all()
    assert product_of_experts(torch.full((1, 3), -math.log(3)), bias).isfinite().all()


def test_the_model_learns_more_where_the_words_mislead():
    """The gradient of the cross-entropy is smaller where the bias already gives the right class."""
    logits = torch.zeros(2, 3, requires_grad=True)
    words = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.05, 0.9]])
    found = product_of_experts(logits.log_softmax(-1), log_bias(words, torch.full((3,), 1 / 3)))
    found[:, 0].sum().neg().backward()
    agreed, misled = logits.grad.abs().sum(dim=1).tolist()
    assert misled > 5 * agreed


def test_the_mixin_starts_as_the_product():
    bias = torch.randn(4, 3)
    scaled, _ = LearnedMixin(8)(torch.randn(4, 8), bias)
    torch.testing.assert_close(scaled, bias, rtol=1e-4, atol=1e-4)


def test_the_entropy_is_that_of_the_scaled_bias():
    mixin = LearnedMixin(2)
    joint, bias = torch.randn(5, 2), torch.randn(5, 3)
    scaled, entropy = mixin(joint, bias)
    expected = torch.distributions.Categorical(logits=scaled).entropy()
    torch.testing.assert_close(entropy, expected)


def test_the_scale_is_learned_from_the_joint_representation():
    mixin = LearnedMixin(2)
    scaled, entropy = mixin(torch.randn(5, 2), torch.randn(5, 3))
    (scaled.sum() + entropy.sum()).backward()
    assert mixin.scale.weight.grad.abs().sum() > 0


def test_group_weights_follow_the_algorithm():
    weights, losses = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([1.0, 2.0, 7.0])
    moved = worst_group_weights(weights, losses, torch.tensor([True, True, False]), step_size=0.1)
    raw = [0.5 * math.exp(0.1), 0.3 * math.exp(0.2), 0.2]
    assert moved.tolist() == pytest.approx([one / sum(raw) for one in raw])
