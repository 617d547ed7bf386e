import pytest
import torch
from torch.nn import functional

from mer_data.text.packed_attention import Packing, packed_attention

HEADS, WIDTH = 2, 3


def prefix(lengths, width):
    return torch.arange(width) < torch.tensor(lengths).unsqueeze(1)


def packed(x, packing):
    """(B, T, H, h) as transformers has the one row of all pieces, (1, H, N, h)."""
    return x.flatten(0, 1)[packing.source].transpose(0, 1).unsqueeze(0)


def random_qkv(mask, seed=0):
    random = torch.Generator().manual_seed(seed)
    shape = (3, *mask.shape, HEADS, WIDTH)
    return torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize(
    "mask",
    [
        prefix([4, 1, 6, 3], 6),
        prefix([5], 5),
        prefix([(7 * n) % 11 for n in range(70)], 12),  # more than two groups, some texts without any piece
        torch.tensor([[True, False, True], [False, True, False]]),
    ],
    ids=["mixed", "one", "groups", "holes"],
)
def test_every_text_attends_to_itself_alone(mask):
    packing, qkv = Packing.from_mask(mask), random_qkv(mask)
    output, weights = packed_attention(
        None, *(packed(x, packing) for x in qkv), None, packing=packing, scaling=0.7
    )
    assert weights is None
    total, expected_total = output.new_zeros(()), output.new_zeros(())
    rows = torch.zeros(mask.numel(), HEADS, WIDTH, dtype=torch.float64).index_copy(
        0, packing.source, output[0]
    )
    rows = rows.unflatten(0, mask.shape)
    for text, steps in enumerate(mask):
        q, k, v = qkv[:, text, steps].transpose(1, 2)
        expected = ((0.7 * q @ k.transpose(1, 2)).softmax(dim=-1) @ v).transpose(0, 1)
        torch.testing.assert_close(rows[text, steps], expected)
        total = total + (rows[text, steps] ** 2).sum()
        expected_total = expected_total + (expected**2).sum()
    (gradient,) = torch.autograd.grad(total, qkv)
    (expected_gradient,) = torch.autograd.grad(expected_total, qkv)
    torch.testing.assert_close(gradient, expected_gradient)


def test_a_packing_holds_every_piece_once_with_its_position():
    mask = prefix([4, 1, 6, 3], 6)
    packing = Packing.from_mask(mask)
    assert sorted(packing.source.tolist()) == mask.flatten().nonzero()[:, 0].tolist()
    assert (packing.source % 6).tolist() == packing.steps.tolist()
    assert packing.source[:1].tolist() == [6]  # the shortest text is the first


def test_no_pieces_at_all():
    packing = Packing.from_mask(torch.zeros(3, 4, dtype=torch.bool))
    assert len(packing.source) == 0
    assert packing.groups == ()


def test_dropout_acts_on_the_weights():
    mask = prefix([6, 4], 6)
    packing, qkv = Packing.from_mask(mask), random_qkv(mask)
    inputs = [packed(x, packing) for x in qkv]
    torch.manual_seed(0)
    first, second = (packed_attention(None, *inputs, None, packing=packing, dropout=0.5)[0] for _ in range(2))
    assert not torch.equal(first, second)


def test_without_packing_it_is_the_usual_attention():
    q, k, v = torch.randn(3, 2, HEADS, 5, WIDTH)
    mask = prefix([5, 3], 5)[:, None, None]
    output, _ = packed_attention(None, q, k, v, mask)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(output, expected.transpose(1, 2))
