import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cider.debiasing.counterfactual_text import counterfactual_ids
from mer_data.torch_data.batches import SpecialTokens

SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4)


def test_vocabulary_special_unknown_and_padding_stay_and_the_rest_is_masked():
    ids = torch.tensor([[2, 10, 11, 1, 12, 3, 0], [2, 11, 4, 3, 0, 0, 0]])
    result = counterfactual_ids(ids, ids != 0, torch.tensor([10, 12]), SPECIAL)
    assert result.tolist() == [[2, 10, 4, 1, 12, 3, 0], [2, 4, 4, 3, 0, 0, 0]]
    assert ids[0, 2] == 11  # the given ids are untouched


def test_an_empty_vocabulary_masks_every_word():
    ids = torch.tensor([[2, 10, 1, 3, 0]])
    result = counterfactual_ids(ids, ids != 0, torch.tensor([], dtype=torch.int64), SPECIAL)
    assert result.tolist() == [[2, 4, 1, 3, 0]]


@settings(max_examples=50, deadline=None)
@given(
    words=st.lists(st.integers(0, 12), min_size=1, max_size=8),
    kept=st.sets(st.integers(5, 12)),
    padding=st.integers(0, 3),
)
def test_each_piece_is_decided_on_its_own(words, kept, padding):
    ids = torch.tensor([words + [0] * padding])
    mask = torch.tensor([[True] * len(words) + [False] * padding])
    kept_ids = torch.tensor(sorted(kept), dtype=torch.int64)
    expected = [word if word in kept | {1, 2, 3} else 4 for word in words] + [0] * padding
    result = counterfactual_ids(ids, mask, kept_ids, SPECIAL)
    assert result.tolist() == [expected]
    assert torch.equal(counterfactual_ids(result, mask, kept_ids, SPECIAL), result)
