import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_attention import MEMBERS, seven_softmaxes

from cider.model.kernels import attention_tiles
from cider.model.kernels.composite_kernel import ATTENTIONS, SLOTS, composite_attention


def kernel(q, k, v, key_mask, **options):
    """The kernel in the layout of ``seven_softmaxes``: by name, (B, H, rows of the modalities, h)."""
    qkv = torch.stack([q, k, v], dim=2).permute(0, 3, 2, 1, 4)
    result = composite_attention(qkv, key_mask, **options)
    return {
        name: torch.cat(
            [result[row, :, :, :, SLOTS[row].index(name)].transpose(1, 2) for row in blocks], dim=2
        )
        for name, blocks in ATTENTIONS.items()
    }


def prefix(lengths, width):
    return torch.arange(width) < torch.tensor(lengths).unsqueeze(1)


def random_qkv(lengths, *, heads=2, head_width=4, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    shape = (len(lengths), heads, 3 * max(lengths), head_width)
    return [torch.randn(shape, generator=random, dtype=dtype) for _ in range(3)]


def rows_of(mask, name):
    """Valid rows (B, 1, rows, 1) of an attention; the mask is (B, T), of all blocks, or (B, 3, T)."""
    by_block = mask.unsqueeze(1).expand(-1, 3, -1) if mask.ndim == 2 else mask
    return by_block[:, list(ATTENTIONS[name])].flatten(1)[:, None, :, None]


def assert_equal_results(results, expected, mask, *, rtol, atol=None):
    """At the rows of valid steps; the kernel does not compute the others."""
    assert set(results) == set(expected) == set(ATTENTIONS)
    for name, value in expected.items():
        rows = rows_of(mask, name).expand_as(value)
        torch.testing.assert_close(
            results[name][rows], value[rows], rtol=rtol, atol=rtol if atol is None else atol, msg=name
        )


def weighted_total(results, mask, seed=4):
    """Another random weight for every entry, so that no two attentions can stand in for each other."""
    random = torch.Generator().manual_seed(seed)
    total = 0.0
    for name in MEMBERS:
        rows = rows_of(mask, name)
        weights = torch.randn(results[name].shape, generator=random, dtype=torch.float64) * rows
        total = total + (results[name] * weights.to(results[name].dtype)).sum()
    return total


def test_every_row_block_has_the_four_attentions_that_contain_it():
    assert SLOTS == (("tri", "la", "lv", "l"), ("tri", "la", "av", "a"), ("tri", "lv", "av", "v"))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("lengths", [[5, 3, 1], [1], [7, 7]])
def test_outputs_and_gradients_equal_seven_masked_softmaxes(lengths, dtype, tolerance):
    mask = prefix(lengths, max(lengths))
    found = []
    for function in (kernel, seven_softmaxes):
        inputs = [x.requires_grad_() for x in random_qkv(lengths, dtype=dtype)]
        results = function(*inputs, mask)
        found.append((results, torch.autograd.grad(weighted_total(results, mask), inputs)))
    (results, gradients), (expected, expected_gradients) = found
    assert_equal_results(results, expected, mask, rtol=tolerance)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_equal_finite_differences(dropout):
    inputs = [x.requires_grad_() for x in random_qkv([3, 2], head_width=2, seed=3)]
    mask = prefix([3, 2], 3)

    def function(*qkv):
        torch.manual_seed(0)
        return tuple(kernel(*qkv, mask, dropout=dropout).values())

    assert torch.autograd.gradcheck(function, inputs)


def integers(dtype):
    """Small integers and a head width of 4 make every logit exact, so that both ways see the same ones."""
    random = torch.Generator().manual_seed(1)
    shape = (2, 1, 3 * 6, 4)
    q = torch.randint(-8, 9, shape, generator=random).to(dtype)
    k = torch.randint(-5, 6, shape, generator=random).to(dtype)
    q[:, :, 0], k[:, :, 1], k[:, :, 8] = 8.0, 5.0, -5.0
    logits = q @ k.transpose(-1, -2) / 2
    assert logits.max() == 80
    assert logits.min() == -80
    return q, k, torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2**-8), (torch.float16, 2**-11)],
)
def test_logits_of_80_either_way_are_stable(dtype, tolerance):
    mask = prefix([6, 4], 6)
    half = [x.requires_grad_() for x in integers(dtype)]
    wide = [x.detach().double().requires_grad_() for x in half]
    results, expected = kernel(*half, mask), seven_softmaxes(*wide, mask)
    assert all(result.dtype == dtype for result in results.values())
    # What is allowed on top of float32's own error is one rounding of the result.
    in_double = {name: result.double() for name, result in results.items()}
    assert_equal_results(in_double, expected, mask, rtol=tolerance, atol=1e-5)
    gradients = torch.autograd.grad(weighted_total(results, mask), half)
    for ours, theirs in zip(
        gradients, torch.autograd.grad(weighted_total(expected, mask), wide), strict=True
    ):
        scale = theirs.abs().max().item()
        torch.testing.assert_close(ours.double(), theirs, rtol=4 * tolerance, atol=4 * tolerance * scale)


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
    assert_equal_results(kernel(q, k, v, mask), seven_softmaxes(q, k, v, mask), mask, rtol=1e-9)


@pytest.mark.parametrize("capacity", [1, 2 * 9 * 36, 2 * 9 * 36 * 2 + 5])
def test_the_size_of_tiles_changes_nothing(monkeypatch, capacity):
    lengths = [6, 1, 4, 6, 2]
    mask, found = prefix(lengths, 6), []
    for most in (2**20, capacity):
        monkeypatch.setitem(attention_tiles._TILE, "cpu", most)
        inputs = [x.requires_grad_() for x in random_qkv(lengths)]
        results = kernel(*inputs, mask)
        found.append((results, torch.autograd.grad(weighted_total(results, mask), inputs)))
    (results, gradients), (expected, expected_gradients) = found
    assert_equal_results(results, expected, mask, rtol=1e-13)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-12, atol=1e-13)


def test_masks_with_holes():
    mask = torch.tensor([[True, False, True, True, False], [False, True, False, False, False]])
    q, k, v = random_qkv([5, 5])
    assert_equal_results(kernel(q, k, v, mask), seven_softmaxes(q, k, v, mask), mask, rtol=1e-12)


#: Valid steps of each block: some shorter, one empty, only text, and what ends in another block.
BLOCK_LENGTHS = torch.tensor([[2, 6, 4], [5, 0, 1], [3, 0, 0], [1, 2, 6]])


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_blocks_with_masks_of_their_own_equal_masked_softmaxes(monkeypatch, dropout):
    mask = torch.arange(6) < BLOCK_LENGTHS.unsqueeze(-1)
    monkeypatch.setitem(attention_tiles._TILE, "cpu", 2 * 9 * 36 * 2)
    inputs = [x.requires_grad_() for x in random_qkv([6] * 4)]
    results = kernel(*inputs, mask, dropout=dropout)
    gradients = torch.autograd.grad(weighted_total(results, mask), inputs)
    for gradient in gradients:
        assert (gradient.masked_select(~rows_of(mask, "tri")) == 0).all()
    if dropout == 0:
        # The reference has NaN where an attention has no key at all; those rows are padding.
        rows = {name: rows_of(mask, name) for name in ATTENTIONS}
        whole = mask | ~mask.any(dim=2, keepdim=True)
        expected = {}
        for name in ATTENTIONS:
            empty = ~mask[:, list(ATTENTIONS[name])].any(dim=2).any(dim=1)
            of_name = seven_softmaxes(*inputs, torch.where(empty[:, None, None], whole, mask))[name]
            expected[name] = of_name.masked_fill(~rows[name], 0)
        shown = {name: value.masked_fill(~rows[name], 0) for name, value in results.items()}
        assert_equal_results(shown, expected, mask, rtol=1e-12)
        wanted = torch.autograd.grad(weighted_total(expected, mask), inputs)
        torch.testing.assert_close(gradients, wanted, rtol=1e-12, atol=1e-13)


def test_equal_masks_of_the_blocks_are_the_shared_mask():
    mask = prefix([5, 3, 1], 5)
    q, k, v = random_qkv([5, 3, 1])
    shared, each = kernel(q, k, v, mask), kernel(q, k, v, mask.unsqueeze(1).expand(-1, 3, -1))
    assert all(torch.equal(shared[name], each[name]) for name in ATTENTIONS)


def test_what_padding_holds_does_not_matter():
    q, k, v = random_qkv([6, 3])
    mask = prefix([6, 3], 6)
    before = kernel(q, k, v, mask)
    padded = ~mask.repeat(1, 3)[:, None, :, None]
    after = kernel(q, k.masked_fill(padded, 1e3), v.masked_fill(padded, -1e3), mask)
    assert_equal_results(after, before, mask, rtol=0)


def test_padded_rows_are_finite_and_padding_gets_no_gradient():
    inputs = [x.requires_grad_() for x in random_qkv([6, 3])]
    mask = prefix([6, 3], 6)
    results = kernel(*inputs, mask)
    assert all(result.isfinite().all() for result in results.values())
    for gradient in torch.autograd.grad(weighted_total(results, mask), inputs):
        padded = ~mask.repeat(1, 3)[:, None, :, None].expand_as(gradient)
        assert (gradient[padded] == 0).all()
        assert (gradient[~padded] != 0).any()


def test_an_utterance_without_valid_keys_is_finite_with_its_gradients():
    inputs = [x.requires_grad_() for x in random_qkv([4, 4])]
    results = kernel(*inputs, torch.tensor([[True] * 4, [False] * 4]))
    total = sum(result.sum() for result in results.values())
    for value in (total, *torch.autograd.grad(total, inputs)):
        assert value.isfinite().all()


def test_what_is_remembered_grows_with_the_steps_not_with_their_square():
    remembered = []
    for steps in (40, 80):
        qkv = torch.randn(16, 3 * steps, 3, 8, 4, requires_grad=True)
        result = composite_attention(qkv, torch.ones(16, steps).bool())
        saved = {tensor.untyped_storage().data_ptr(): tensor for tensor in result.grad_fn.saved_tensors}
        remembered.append(sum(tensor.untyped_storage().nbytes() for tensor in saved.values()))
    assert remembered[1] < 2.01 * remembered[0]


def test_autocast_leaves_the_kernel_alone():
    q, k, v = random_qkv([5, 3], dtype=torch.float32)
    mask = prefix([5, 3], 5)
    plain = kernel(q, k, v, mask)
    with torch.autocast("cpu", torch.bfloat16):
        inside = kernel(q, k, v, mask)
    for name in ATTENTIONS:
        assert torch.equal(plain[name], inside[name])


# --- dropout ---


def test_dropout_acts_on_tri_only_and_keeps_its_mean():
    q, k, v = (x.expand(4000, -1, -1, -1) for x in random_qkv([4]))
    mask = prefix([4] * 4000, 4)
    plain = kernel(q, k, v, mask)
    torch.manual_seed(0)
    dropped = kernel(q, k, v, mask, dropout=0.3)
    for name in set(ATTENTIONS) - {"tri"}:
        assert torch.equal(dropped[name], plain[name])
    assert (dropped["tri"] != plain["tri"]).any(dim=-1).double().mean() > 0.9
    torch.testing.assert_close(dropped["tri"].mean(dim=0), plain["tri"][0], rtol=0, atol=0.06)


def test_dropped_tri_weights_are_zero_or_scaled_up():
    q, k, _ = random_qkv([2], heads=1, head_width=6)
    identity = torch.eye(6, dtype=torch.float64).expand(1, 1, 6, 6)
    mask = prefix([2], 2)
    # With the identity as values, the result of tri is its matrix of weights.
    weights = kernel(q, k, identity, mask)["tri"]
    torch.manual_seed(0)
    dropped = kernel(q, k, identity, mask, dropout=0.5)["tri"]
    kept = dropped != 0
    assert 0 < kept.sum() < 36
    torch.testing.assert_close(dropped[kept], 2 * weights[kept])


def test_the_seed_decides_what_drops_forward_and_backward():
    q, k, v = random_qkv([4, 3])
    mask, found = prefix([4, 3], 4), []
    for seed in (0, 0, 1):
        inputs = [x.clone().requires_grad_() for x in (q, k, v)]
        torch.manual_seed(seed)
        results = kernel(*inputs, mask, dropout=0.3)
        torch.manual_seed(99)  # what is drawn in between does not matter
        found.append([results["tri"], *torch.autograd.grad(weighted_total(results, mask), inputs)])
    first, again, other = found
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))
