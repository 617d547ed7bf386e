import numpy as np
import pytest
import torch
from exact_stores import write_store

from mer_data.torch_data.batches import length_grouped, load_batches, make_loader
from mer_data.torch_data.samplers import SPREAD, LengthGroupedBatches

LENGTHS = np.random.default_rng(0).integers(3, 51, 500)


def sampler(seed=0, lengths=LENGTHS, batch_size=16):
    return LengthGroupedBatches(lengths, batch_size, torch.Generator().manual_seed(seed))


def padding(batches):
    """Share of padded steps when every batch is padded to its longest row."""
    padded = sum(len(batch) * LENGTHS[batch].max() for batch in batches)
    return 1 - LENGTHS.sum() / padded


@pytest.mark.parametrize("batch_size", [1, 16, 500, 999])
def test_every_epoch_has_every_position_once(batch_size):
    batches = sampler(batch_size=batch_size)
    for _ in range(2):
        epoch = list(batches)
        assert len(epoch) == len(batches)
        assert sorted(position for batch in epoch for position in batch) == list(range(500))
        assert sum(len(batch) != batch_size for batch in epoch) <= 1
        assert max(map(len, epoch)) <= batch_size


def test_epochs_differ_and_are_the_generators():
    batches, again = sampler(3), sampler(3)
    first, second = list(batches), list(batches)
    torch.manual_seed(77)
    assert [list(again), list(again)] == [first, second]
    assert sorted(map(sorted, first)) != sorted(map(sorted, second))  # other company, not just another order
    assert list(sampler(4)) != first


def test_batches_come_in_random_order_of_length():
    means = [LENGTHS[batch].mean() for batch in sampler()]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


def test_company_has_a_similar_length_and_little_padding():
    for batch in sampler():
        lengths = LENGTHS[batch].astype(float)
        assert lengths.max() / lengths.min() <= SPREAD**2 * 1.5
    rows = np.random.default_rng(0).permutation(500)
    assert padding(list(sampler())) < 0.5 * padding(np.split(rows[:496], 31))


def test_equal_and_zero_lengths_do_no_harm():
    batches = sampler(lengths=np.zeros(40, int))
    assert sorted(position for batch in batches for position in batch) == list(range(40))


def test_the_loader_groups_by_the_length_that_is_served(tmp_path):
    texts = ["a"] * 8 + ["a b c d e f g h i j"] * 8 + ["a b c d e f g h i j " * 6] * 8
    store = write_store(tmp_path / "s.h5", texts, limits={"text": 12})
    loader = make_loader(
        store, np.arange(24), batch_size=8, shuffle_generator=torch.Generator().manual_seed(0)
    )
    for batch in loader:  # the two long kinds are served with 12 pieces each, and the short one with 3
        assert len(set(batch.text_mask.sum(dim=1).tolist())) == 1
    assert len(loader) == 3


def test_given_batches_are_loaded_in_their_order(tmp_path):
    store = write_store(tmp_path / "s.h5", [f"word {row}" for row in range(6)])
    batches = [[2, 0], [1]]
    found = [batch.index.tolist() for batch in load_batches(store, np.array([5, 3, 1]), batches)]
    assert found == [[1, 5], [3]]


def test_the_batches_of_a_loader_can_be_known_before(tmp_path):
    store = write_store(tmp_path / "s.h5", ["a b " * (1 + row) for row in range(9)])
    rows = np.arange(9)
    known = list(length_grouped(store, rows, 4, torch.Generator().manual_seed(1)))
    loader = make_loader(store, rows, batch_size=4, shuffle_generator=torch.Generator().manual_seed(1))
    assert [batch.index.tolist() for batch in loader] == known


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loading_leaves_the_global_random_numbers_alone(tmp_path, num_workers):
    store = write_store(tmp_path / "s.h5", ["a", "b"])
    before = torch.get_rng_state()
    assert len(list(load_batches(store, np.arange(2), [[0], [1]], num_workers=num_workers))) == 2
    assert torch.equal(torch.get_rng_state(), before)
