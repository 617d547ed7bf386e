import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cider.model.attention import (
    ATTENTIONS,
    MODALITIES,
    CompositeAttention,
    attend,
    block_logits,
    composite_attention,
    rows_by_keys,
)

MEMBERS = {"tri": "lav", "la": "la", "lv": "lv", "av": "av", "l": "l", "a": "a", "v": "v"}


def naive(q, k, v, key_mask):
    """Seven masked softmaxes, one by one, each over just the rows and keys of its modalities."""
    steps = key_mask.shape[1]
    results = {}
    for name, members in MEMBERS.items():
        index = torch.cat([torch.arange(steps) + steps * "lav".index(m) for m in members])
        logits = q[:, :, index] @ k[:, :, index].transpose(-1, -2) / math.sqrt(q.shape[-1])
        valid = key_mask.repeat(1, len(members))[:, None, None]
        results[name] = logits.masked_fill(~valid, -math.inf).softmax(dim=-1) @ v[:, :, index]
    return results


def prefix(lengths, width):
    return torch.arange(width) < torch.tensor(lengths).unsqueeze(1)


def random_qkv(lengths, *, heads=2, head_width=4, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    shape = (len(lengths), heads, 3 * max(lengths), head_width)
    return [torch.randn(shape, generator=random, dtype=dtype) for _ in range(3)]


def assert_equal_results(results, expected, tolerance):
    assert set(results) == set(expected) == set(ATTENTIONS)
    for name, value in expected.items():
        torch.testing.assert_close(results[name], value, rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("lengths", [[5, 3, 1], [1], [7, 7]])
def test_seven_attentions_equal_seven_masked_softmaxes(lengths, dtype, tolerance):
    q, k, v = random_qkv(lengths, dtype=dtype)
    mask = prefix(lengths, max(lengths))
    assert_equal_results(composite_attention(q, k, v, mask), naive(q, k, v, mask), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_logits_of_80_either_way_are_stable(dtype, tolerance):
    # Small integers and a head width of 4 make every logit exact, so that both ways see the same ones.
    random = torch.Generator().manual_seed(1)
    shape = (2, 1, 3 * 6, 4)
    q = torch.randint(-8, 9, shape, generator=random).to(dtype)
    k = torch.randint(-5, 6, shape, generator=random).to(dtype)
    q[:, :, 0], k[:, :, 1], k[:, :, 8] = 8.0, 5.0, -5.0
    v = torch.randn(shape, generator=random, dtype=dtype)
    mask = prefix([6, 4], 6)
    logits = rows_by_keys(block_logits(q, k))
    assert logits.max() == 80
    assert logits.min() == -80
    results = composite_attention(q, k, v, mask)
    assert_equal_results(results, naive(q, k, v, mask), tolerance)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    scale=st.floats(0, 40),
    shift=st.floats(-60, 60),
    seed=st.integers(0, 1000),
)
def test_equal_to_masked_softmaxes_for_any_mask_and_scale(lengths, scale, shift, seed):
    q, k, v = random_qkv(lengths, seed=seed)
    # One modality's keys far above or below the others: what a wrong merge of the blocks would get wrong.
    steps = max(lengths)
    q[..., 0] = 1
    q[..., 1:] *= scale
    k[:, :, steps : 2 * steps, 0] += shift
    mask = prefix(lengths, steps)
    assert_equal_results(composite_attention(q, k, v, mask), naive(q, k, v, mask), 1e-9)


def test_gradients_equal_those_of_masked_softmaxes():
    lengths = [5, 2]
    mask = prefix(lengths, 5)
    gradients = []
    for function in (composite_attention, naive):
        inputs = [x.requires_grad_() for x in random_qkv(lengths, seed=3)]
        results = function(*inputs, mask)
        # Another random weight for every entry, so that no two attentions can stand in for each other.
        random = torch.Generator().manual_seed(4)
        total = sum(
            (results[name] * torch.randn(results[name].shape, generator=random, dtype=torch.float64)).sum()
            for name in MEMBERS
        )
        gradients.append(torch.autograd.grad(total, inputs))
    for ours, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_what_padded_keys_hold_does_not_matter():
    q, k, v = random_qkv([6, 3])
    mask = prefix([6, 3], 6)
    before = composite_attention(q, k, v, mask)
    padded = ~mask.repeat(1, 3)[:, None, :, None]
    after = composite_attention(q, k.masked_fill(padded, 1e3), v.masked_fill(padded, -1e3), mask)
    for name in ATTENTIONS:
        assert torch.equal(before[name], after[name])


def test_an_utterance_without_valid_keys_is_finite_with_its_gradients():
    inputs = [x.requires_grad_() for x in random_qkv([4, 4])]
    results = composite_attention(*inputs, torch.tensor([[True] * 4, [False] * 4]))
    total = sum(result.sum() for result in results.values())
    for value in (total, *torch.autograd.grad(total, inputs)):
        assert value.isfinite().all()


def test_rows_by_keys_is_the_scaled_matrix():
    q, k, _ = random_qkv([5, 2])
    torch.testing.assert_close(rows_by_keys(block_logits(q, k)), q @ k.transpose(-1, -2) / 2)


# --- dropout ---


def test_dropout_acts_on_tri_only_and_keeps_its_mean():
    q, k, v = random_qkv([4])
    mask = prefix([4], 4)
    logits = block_logits(q, k)
    plain = attend(logits, v, mask)
    torch.manual_seed(0)
    draws = [attend(logits, v, mask, tri_dropout=0.3) for _ in range(3000)]
    assert not torch.allclose(draws[0]["tri"], plain["tri"])
    for name in set(ATTENTIONS) - {"tri"}:
        assert torch.equal(draws[0][name], plain[name])
    mean = torch.stack([drawn["tri"] for drawn in draws]).mean(dim=0)
    torch.testing.assert_close(mean, plain["tri"], rtol=0, atol=0.06)


def test_dropped_tri_weights_are_zero_or_scaled_up():
    q, k, _ = random_qkv([2], heads=1, head_width=6)
    identity = torch.eye(6, dtype=torch.float64).expand(1, 1, 6, 6)
    mask = prefix([2], 2)
    # With the identity as values, the result of tri is its matrix of weights.
    weights = attend(block_logits(q, k), identity, mask)["tri"]
    torch.manual_seed(0)
    dropped = attend(block_logits(q, k), identity, mask, tri_dropout=0.5)["tri"]
    kept = dropped != 0
    assert 0 < kept.sum() < 36
    torch.testing.assert_close(dropped[kept], 2 * weights[kept])


# --- the module ---


def test_module_equals_the_formulas_with_its_weights():
    torch.manual_seed(0)
    module = CompositeAttention(width=8, heads=2, dropout=0.0).double()
    x = torch.randn(2, 15, 8, dtype=torch.float64)
    mask = prefix([5, 3], 5)

    def heads(y):
        return y.reshape(2, 15, 2, 4).permute(0, 2, 1, 3)

    attended = naive(heads(module.query(x)), heads(module.key(x)), heads(module.value(x)), mask)
    of_modality = {m: [] for m in "lav"}
    for name, members in MEMBERS.items():
        result = attended[name].permute(0, 2, 1, 3).reshape(2, -1, 8)
        mapped = module.after_attention[name](result)
        for place, m in enumerate(members):
            of_modality[m].append(mapped[:, 5 * place : 5 * place + 5])
    merged = [module.merge[m](torch.cat(of_modality[m], dim=2)) for m in "lav"]
    expected = module.out(torch.cat(merged, dim=1))

    output, logits = module(x, mask, with_logits=True)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(
        logits, heads(module.query(x)) @ heads(module.key(x)).transpose(-1, -2) / math.sqrt(4)
    )
    assert tuple(MODALITIES) == ("l", "a", "v")


def test_module_drops_only_while_training():
    torch.manual_seed(0)
    module = CompositeAttention(width=4, heads=1, dropout=0.5)
    x, mask = torch.randn(1, 9, 4), prefix([3], 3)
    assert not torch.allclose(module(x, mask)[0], module(x, mask)[0])
    module.eval()
    assert torch.equal(module(x, mask)[0], module(x, mask)[0])
    assert module(x, mask)[1] is None


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="3 heads do not divide the width 8"):
        CompositeAttention(width=8, heads=3, dropout=0.0)
