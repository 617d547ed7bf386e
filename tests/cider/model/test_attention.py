import math

import pytest
import torch
from plain_attention import plain_forward

from cider.model.attention import AttentionLogits, CompositeAttention


def prefix(lengths, width):
    return torch.arange(width) < torch.tensor(lengths).unsqueeze(1)


def make_module(dtype=torch.float64, **options):
    torch.manual_seed(0)
    return CompositeAttention(**{"width": 8, "heads": 2, "dropout": 0.0, **options}).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_outputs_and_all_gradients_equal_the_formulas(dtype, tolerance):
    module, mask = make_module(dtype), prefix([5, 3], 5)
    x = torch.randn(2, 15, 8, dtype=dtype, requires_grad=True)
    weights = torch.randn(2, 15, 8, dtype=dtype) * mask.repeat(1, 3).unsqueeze(-1)
    found = []
    for output in (module(x, mask)[0], plain_forward(module, x, mask)):
        found.append(
            (
                (weights != 0) * output,
                torch.autograd.grad((weights * output).sum(), [x, *module.parameters()]),
            )
        )
    (output, gradients), (expected, expected_gradients) = found
    torch.testing.assert_close(output, expected, rtol=tolerance, atol=tolerance)
    assert len(gradients) == 1 + 2 * (3 + 7 + 3 + 1)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def test_logits_are_scaled_products_and_come_when_asked_for():
    module, mask = make_module(), prefix([5, 3], 5)
    x = torch.randn(2, 15, 8, dtype=torch.float64)
    output, logits = module(x, mask, with_logits=True)
    q, k = (layer(x).reshape(2, 15, 2, 4).permute(0, 2, 1, 3) for layer in (module.query, module.key))
    torch.testing.assert_close(logits.matrix(), q @ k.transpose(-1, -2) / math.sqrt(4))
    without, nothing = module(x, mask)
    assert nothing is None
    assert torch.equal(without, output)


def test_detached_logits_are_constants_of_the_same_value():
    logits = AttentionLogits(*torch.randn(2, 1, 6, 2, 4, requires_grad=True).unbind())
    constant = logits.detach()
    assert logits.matrix().requires_grad
    assert not constant.matrix().requires_grad
    assert torch.equal(constant.matrix(), logits.matrix())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_module_in_half_precision_is_near_the_wide_one(dtype):
    module, mask = make_module(torch.float32), prefix([5, 3], 5)
    x = torch.randn(2, 15, 8)
    expected = module(x, mask)[0]
    output = module.to(dtype)(x.to(dtype), mask)[0]
    assert output.dtype == dtype
    torch.testing.assert_close(output.float(), expected, rtol=0, atol=0.03)


def test_autocast_trains_float32_weights():
    module, mask = make_module(torch.float32), prefix([5, 3], 5)
    x = torch.randn(2, 15, 8)
    expected = torch.autograd.grad(module(x, mask)[0].square().sum(), list(module.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        output = module(x, mask)[0]
    gradients = torch.autograd.grad(output.float().square().sum(), list(module.parameters()))
    scale = max(gradient.abs().max() for gradient in expected)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours / scale, theirs / scale, rtol=0, atol=0.02)


def test_module_drops_only_while_training():
    module = make_module(torch.float32, width=4, heads=1, dropout=0.5)
    x, mask = torch.randn(1, 9, 4), prefix([3], 3)
    assert not torch.allclose(module(x, mask)[0], module(x, mask)[0])
    module.eval()
    assert torch.equal(module(x, mask)[0], module(x, mask)[0])


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="3 heads do not divide the width 8"):
        CompositeAttention(width=8, heads=3, dropout=0.0)
