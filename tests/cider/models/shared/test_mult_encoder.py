import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from utterance_builders import assert_close

from cider.models.shared import mult_encoder
from cider.models.shared.mult_encoder import EncoderSettings, MultEncoder, future_mask
from cider.models.shared.steps import Steps

WIDTH = 6
SETTINGS = EncoderSettings(
    layers=2, heads=3, attention_dropout=0.0, embedding_dropout=0.0, relu_dropout=0.0, residual_dropout=0.0
)


def make_encoder(**changes):
    torch.manual_seed(0)
    encoder = MultEncoder(WIDTH, EncoderSettings(**{**vars(SETTINGS), **changes}), length=12)
    for parameter in encoder.parameters():  # biases of zero and scales of one hide mistakes
        parameter.data += 0.1 * torch.randn_like(parameter)
    return encoder.eval()


def random_steps(lengths, longest=None, seed=1):
    random = torch.Generator().manual_seed(seed)
    rows = [torch.randn(length, WIDTH, generator=random) for length in lengths]
    padded = [functional.pad(row, (0, 0, 0, (longest or max(lengths)) - len(row))) for row in rows]
    return Steps(torch.stack(padded), torch.tensor(lengths))


def plainly(encoder, x, source=None):
    """One utterance, step by step: (Tq, d) from x (Tq, d) and source (Tk, d), by the formulas."""
    heads, size = SETTINGS.heads, WIDTH // SETTINGS.heads

    def placed(steps):
        rows = []
        for t, step in enumerate(steps):
            angles = [t / 10000 ** (2 * (i // 2) / WIDTH) for i in range(WIDTH)]
            position = [math.sin(a) if i % 2 == 0 else math.cos(a) for i, a in enumerate(angles)]
            rows.append(math.sqrt(WIDTH) * step + torch.tensor(position))
        return torch.stack(rows)

    def attend(layer, x, keys):
        attention = layer.attention
        q, k, v = attention.query(x), attention.key(keys), attention.value(keys)
        ahead = abs(len(x) - len(keys))
        rows = []
        for i in range(len(x)):
            seen = min(len(keys), i + ahead + 1)
            parts = []
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                scores = torch.stack([q[i, part] @ k[j, part] / math.sqrt(size) for j in range(seen)])
                weights = scores.exp() / scores.exp().sum()
                parts.append(sum(w * v[j, part] for j, w in enumerate(weights)))
            rows.append(torch.cat(parts))
        return attention.out(torch.stack(rows))

    x = placed(x)
    source = None if source is None else placed(source)
    for layer in encoder.layers:
        keys = layer.attention_norm(x if source is None else source)
        x = x + attend(layer, layer.attention_norm(x), keys)
        x = x + layer.feed[3](layer.feed[0](layer.feed_norm(x)).relu())
    return encoder.final_norm(x)


@pytest.mark.parametrize("other", [None, (2, 7), (5, 1)], ids=["self", "to longer", "to shorter"])
def test_encodings_are_those_of_the_formulas(other):
    encoder, steps = make_encoder(), random_steps((5, 3))
    source = None if other is None else random_steps(other, seed=2)
    encoded = encoder(steps, source)
    for row, length in enumerate((5, 3)):
        own = None if other is None else source.values[row, : other[row]]
        assert_close(encoded.values[row, :length], plainly(encoder, steps.values[row, :length], own))
    assert (encoded.values[1, 3:] == 0).all()


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4),
    extra=st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_padding_and_company_change_nothing(lengths, extra):
    encoder = make_encoder()
    queries, keys = zip(*lengths, strict=True)
    x, source = random_steps(queries), random_steps(keys, seed=2)
    wide = random_steps(queries, max(queries) + extra[0]), random_steps(keys, max(keys) + extra[1], seed=2)
    encoded = encoder(*wide).values
    for row, (length, others) in enumerate(lengths):
        alone = Steps(x.values[row : row + 1, :length], x.lengths[row : row + 1])
        answer = Steps(source.values[row : row + 1, :others], source.lengths[row : row + 1])
        assert_close(encoded[row : row + 1, :length], encoder(alone, answer).values)


def test_the_future_is_hidden():
    encoder, steps = make_encoder(), random_steps((5,))
    changed = steps.values.clone()
    changed[0, 3] *= -1
    before, after = encoder(steps).values, encoder(Steps(changed, steps.lengths)).values
    assert torch.equal(before[0, :3], after[0, :3])
    assert ((before - after)[0, 3:].abs().amax(dim=1) > 1e-4).all()


def test_the_mask_starts_from_the_difference_of_the_own_lengths():
    queries, keys = random_steps((2, 4), longest=4), random_steps((3, 1), longest=5)
    first = [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    second = [[1, 0, 0, 0, 0]] * 4
    assert future_mask(queries, keys).int().tolist() == [first, second]


def test_few_weights_at_a_time_change_nothing(monkeypatch):
    encoder, steps, source = make_encoder(), random_steps((5, 3, 4)), random_steps((2, 6, 1), seed=2)

    def outcome():
        encoder.zero_grad()
        values = encoder(steps, source).values
        values.square().sum().backward()
        return [values.detach(), *(parameter.grad for parameter in encoder.parameters())]

    whole = outcome()
    monkeypatch.setattr(mult_encoder, "_WEIGHTS_AT_ONCE", 1)
    for one, other in zip(outcome(), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_dropout_of_weights_made_again_is_the_same_dropout():
    """The derivative along a direction, against a difference quotient with the same random numbers."""
    encoder = make_encoder(attention_dropout=0.5).train().double()
    steps = random_steps((5, 3))
    steps = Steps(steps.values.double(), steps.lengths)
    weight = encoder.layers[0].attention.value.weight

    def loss():
        torch.manual_seed(3)
        return encoder(steps).values.square().mul(torch.arange(1.0, 7)).sum()

    loss().backward()
    direction = torch.randn_like(weight)
    with torch.no_grad():
        weight += 1e-6 * direction
        above = loss()
        weight -= 2e-6 * direction
        below = loss()
    assert ((above - below) / 2e-6).item() == pytest.approx((weight.grad * direction).sum().item(), rel=1e-5)


@pytest.mark.parametrize("layers", [1, 4])
def test_parameter_count_is_the_formula(layers):
    count = sum(parameter.numel() for parameter in make_encoder(layers=layers).parameters())
    assert count == layers * (12 * WIDTH**2 + 13 * WIDTH) + 2 * WIDTH


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="4 heads do not divide the width 6"):
        make_encoder(heads=4)
