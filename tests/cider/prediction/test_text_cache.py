import numpy as np
import pytest
import torch
from torch import nn

from cider.prediction.text_cache import TextFeatureCache, ThreadedInference


class Encoder(nn.Module):
    """Features that tell the text, and a list of what was encoded."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, input_ids, text_mask):
        self.seen += [tuple(row[mask].tolist()) for row, mask in zip(input_ids, text_mask, strict=True)]
        return torch.stack([input_ids.float(), input_ids.float() * 10], dim=-1)


def arrays(*texts):
    return [np.array(text, dtype=np.int64) for text in texts]


@pytest.fixture
def texts():
    return TextFeatureCache(Encoder(), pad_id=9)


def encode(texts, *rows):
    texts.encode(arrays(*rows), ThreadedInference("cpu"), "cpu")


def test_equal_texts_are_encoded_once(texts):
    encode(texts, [1, 2, 3], [4, 5], [1, 2, 3], [4, 5], [4])
    assert sorted(texts._encoder.seen) == [(1, 2, 3), (4,), (4, 5)]
    assert (texts.asked, texts.encoded) == (5, 3)


def test_lookup_gives_rows_and_zeros_at_padding(texts):
    encode(texts, [1, 2, 3], [4])
    ids = torch.tensor([[4, 9, 9, 9], [1, 2, 3, 9]])
    mask = torch.tensor([[True, False, False, False], [True, True, True, False]])
    found = texts.lookup(ids, mask)
    assert found.shape == (2, 4, 2)
    assert found[..., 0].tolist() == [[4, 0, 0, 0], [1, 2, 3, 0]]
    assert found[..., 1].tolist() == [[40, 0, 0, 0], [10, 20, 30, 0]]


def test_texts_of_the_condition_before_are_known(texts):
    encode(texts, [1, 2], [3])
    texts.next_condition()
    encode(texts, [1, 2], [4])
    assert texts._encoder.seen[-1] == (4,)
    assert texts.encoded == 3
    texts.next_condition()
    texts.next_condition()
    encode(texts, [3])
    assert texts.encoded == 4  # two conditions ago is forgotten


def test_memory_is_bounded_and_texts_at_hand_are_always_there():
    bounded = TextFeatureCache(Encoder(), pad_id=9, max_bytes=8)  # one step of two float32
    encode(bounded, [1], [2], [3, 4])
    for row in ([1], [2], [3, 4]):
        ids = torch.tensor([row])
        assert bounded.lookup(ids, torch.ones_like(ids, dtype=torch.bool))[0, :, 0].tolist() == row
    bounded.next_condition()
    encode(bounded, [1], [2], [3, 4])
    assert bounded.encoded == 3 + 2
    assert bounded._num_bytes <= 8


def test_texts_of_earlier_pieces_of_a_condition_are_known(texts):
    encode(texts, [1, 2])
    encode(texts, [1, 2], [3])
    assert texts.encoded == 2


# --- threads ---


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_without_gradients_and_threads_are_given_back(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        parallel = ThreadedInference("cpu")
        states = parallel(
            lambda item: (item, torch.is_inference_mode_enabled(), torch.get_num_threads()), range(9)
        )
        assert torch.get_num_threads() == threads
        assert states == [(item, True, 1) for item in range(9)]
        with pytest.raises(ZeroDivisionError):
            parallel(lambda item: 1 // item, [1, 0])
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_bf16_computes_in_bfloat16():
    layer = nn.Linear(4, 4)
    (found,) = ThreadedInference("cpu", bf16=True)(layer, [torch.ones(1, 4)])
    assert found.dtype == torch.bfloat16
    (found,) = ThreadedInference("cpu")(layer, [torch.ones(1, 4)])
    assert found.dtype == torch.float32
