import math

import pytest
import torch

from cider.model.masking import masked_softmax, zero_padding
from cider.model.word_alignment import WordAlignment


@pytest.fixture
def module():
    torch.manual_seed(0)
    return WordAlignment(4).double()


def make_inputs():
    torch.manual_seed(1)
    text, frames = torch.randn(2, 5, 4).double(), torch.randn(2, 6, 4).double()
    # [CLS] and [SEP] at both ends, the second utterance with one padded step.
    words = torch.tensor([[0, 1, 1, 1, 0], [0, 1, 1, 0, 0]]).bool()
    valid = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]]).bool()
    return text, frames, words, valid


def test_word_rows_attend_to_the_valid_frames(module):
    text, frames, words, valid = make_inputs()
    output = module(text, frames, words, valid)
    for b, t in words.nonzero().tolist():
        own = frames[b, valid[b]]
        logits = module.query(text[b, t]) @ module.key(own).T / math.sqrt(4)
        expected = module.out(logits.softmax(dim=0) @ module.value(own))
        torch.testing.assert_close(output[b, t], expected)


def test_special_and_padded_rows_are_the_projection_of_zero(module):
    text, frames, words, valid = make_inputs()
    output = module(text, frames, words, valid)
    rows = output[~words]
    assert len(rows) == 5
    assert torch.equal(rows, module.out.bias.expand_as(rows))
    assert not torch.isclose(output[words], module.out.bias).all(dim=-1).any()


def test_an_utterance_without_frames_gets_the_projection_of_zero(module):
    text, frames, words, valid = make_inputs()
    valid[1] = False
    frames.requires_grad_()
    output = module(text, frames, words, valid)
    assert torch.equal(output[1], module.out.bias.expand(5, 4))
    (gradient,) = torch.autograd.grad(output.sum(), frames)
    assert gradient.isfinite().all()
    assert (gradient[1] == 0).all()
    assert (gradient[0] != 0).any()


def test_a_batch_without_any_frames(module):
    text, _, words, _ = make_inputs()
    output = module(text, torch.zeros(2, 0, 4).double(), words, torch.zeros(2, 0).bool())
    assert torch.equal(output, module.out.bias.expand(2, 5, 4))


def test_what_padded_frames_hold_does_not_matter(module):
    text, frames, words, valid = make_inputs()
    before = module(text, frames, words, valid)
    after = module(text, frames.masked_fill(~valid.unsqueeze(-1), 50.0), words, valid)
    assert torch.equal(before, after)


def test_masked_softmax_rows_sum_to_one_or_are_zero():
    scores = torch.tensor([[80.0, -80.0, 0.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    mask = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 0]]).bool()
    weights = masked_softmax(scores, mask)
    low, high = 1 / (1 + math.e), math.e / (1 + math.e)
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, low, high], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(weights, expected)


def test_zero_padding_clears_even_nan():
    x = torch.tensor([[[1.0, 2.0], [math.nan, math.inf]]])
    assert zero_padding(x, torch.tensor([[True, False]])).tolist() == [[[1.0, 2.0], [0.0, 0.0]]]
