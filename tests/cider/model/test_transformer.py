import math

import pytest
import torch

from cider.model.architecture import Architecture
from cider.model.transformer import CompositeLayer, CompositeTransformer, sinusoids


def make_blocks(steps, *, batch=2, width=8, seed=0):
    torch.manual_seed(seed)
    return tuple(torch.randn(batch, steps, width) for _ in range(3))


def test_sinusoids_are_sines_and_cosines_of_the_position():
    table = sinusoids(40, 6)
    for position in (0, 1, 17, 39):
        for pair in range(3):
            angle = position / 10000 ** (2 * pair / 6)
            assert table[position, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)
    assert sinusoids(4, 5).shape == (4, 5)


def test_blocks_start_at_multiples_of_the_fixed_length():
    model = CompositeTransformer(Architecture(width=8, heads=2), lengths=(7, 7, 7))
    table = sinusoids(21, 8)
    for block in range(3):
        assert torch.equal(model.positions[block], table[7 * block : 7 * block + 7])
    assert "positions" not in model.state_dict()


@pytest.mark.parametrize("from_norm", [False, True])
def test_a_layer_adds_attention_and_feed_forward_to_the_chosen_residual(from_norm):
    torch.manual_seed(0)
    layer = CompositeLayer(Architecture(width=8, heads=2, residual_from_norm=from_norm)).eval()
    x, mask = torch.randn(2, 12, 8), torch.ones(2, 4).bool()
    normed = layer.attention_norm(x)
    first = layer.attention(normed, mask)[0] + (normed if from_norm else x)
    normed = layer.feed_norm(first)
    inner, _, _, outer = layer.feed
    expected = outer(inner(normed).relu()) + (normed if from_norm else first)
    torch.testing.assert_close(layer(x, mask)[0], expected)
    assert inner.out_features == 32


def test_the_stack_is_positions_layers_and_a_final_norm():
    model = CompositeTransformer(Architecture(width=8, heads=2, layers=3), lengths=(6, 6, 6)).eval()
    blocks, mask = make_blocks(4), torch.ones(2, 4).bool()
    table = sinusoids(18, 8)
    x = torch.cat([block + table[6 * m : 6 * m + 4] for m, block in enumerate(blocks)], dim=1)
    for layer in model.layers:
        x, last = layer(x, mask, with_logits=True)
    fused, logits = model(blocks, mask, with_logits=True)
    torch.testing.assert_close(torch.cat(fused, dim=1), model.final_norm(x))
    torch.testing.assert_close(logits.matrix(), last.matrix())
    assert model(blocks, mask)[1] is None


def test_padding_changes_nothing_and_comes_out_zero():
    model = CompositeTransformer(Architecture(width=8, heads=2), lengths=(6, 6, 6)).eval()
    blocks = make_blocks(3, batch=1)
    short, _ = model(blocks, torch.ones(1, 3).bool())
    mask = torch.tensor([[True] * 3 + [False] * 3])
    junk = make_blocks(3, batch=1, seed=9)
    padded = tuple(torch.cat([block, 10 * extra], dim=1) for block, extra in zip(blocks, junk, strict=True))
    long, _ = model(padded, mask)
    for before, after in zip(short, long, strict=True):
        torch.testing.assert_close(after[:, :3], before, rtol=0, atol=1e-5)
        assert (after[:, 3:] == 0).all()


def test_the_three_modalities_reach_each_other():
    model = CompositeTransformer(Architecture(width=8, heads=2, layers=1), lengths=(3, 3, 3)).eval()
    mask = torch.ones(1, 3).bool()
    before, _ = model(make_blocks(3, batch=1), mask)
    for changed in range(3):
        blocks = list(make_blocks(3, batch=1))
        blocks[changed] = -blocks[changed]
        after, _ = model(tuple(blocks), mask)
        assert all(not torch.allclose(a, b) for a, b in zip(before, after, strict=True))
