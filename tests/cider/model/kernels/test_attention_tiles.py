import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cider.model.kernels import attention_tiles
from cider.model.kernels.attention_tiles import attended_steps, exp_, tiles


def prefix(lengths, width):
    return torch.arange(width) < torch.tensor(lengths).unsqueeze(1)


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=40), most=st.integers(1, 20_000))
def test_every_utterance_is_in_one_tile_that_fits_and_holds_it(lengths, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(attention_tiles._TILE, "cpu", most)
        found = tiles(prefix(lengths, max(lengths)), heads=2)
    assert sorted(torch.cat([tile.members for tile in found]).tolist()) == list(range(len(lengths)))
    for tile in found:
        assert tile.steps == max(lengths[member] for member in tile.members)
        assert len(tile.members) == 1 or len(tile.members) * 2 * 9 * tile.steps**2 <= most


def test_short_utterances_do_not_pay_for_long_ones(monkeypatch):
    monkeypatch.setitem(attention_tiles._TILE, "cpu", 9 * 20**2)
    found = tiles(prefix([3, 20, 3, 3], 20), heads=1)
    assert [(tile.members.tolist(), tile.steps) for tile in found] == [([1], 20), ([0, 2, 3], 3)]


def test_a_mask_with_holes_counts_up_to_its_last_step():
    assert tiles(torch.tensor([[False, True, False]]), heads=1)[0].steps == 2


def test_utterances_without_steps_attend_to_all():
    mask = torch.tensor([[True, False], [False, False]])
    assert attended_steps(mask).tolist() == [[[True, False]], [[True, True]]]


def test_an_empty_block_beside_another_attends_to_nothing():
    mask = torch.tensor([[[True, False], [False, False], [True, True]], [[False, False]] * 3])
    assert attended_steps(mask).tolist() == [mask[0].tolist(), [[True, True]] * 3]


def test_exp_is_exp_in_place():
    x = torch.linspace(-100, 0, 2001, dtype=torch.float64)
    expected = x.exp()
    assert exp_(x) is x
    torch.testing.assert_close(x, expected, rtol=1e-13, atol=0)
    single = torch.linspace(-80, 0, 2001)
    torch.testing.assert_close(exp_(single.clone()).double(), single.double().exp(), rtol=1e-5, atol=0)
