from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cider.training.distributed import Processes, StoppedElsewhereError


class Simulated(Processes):
    """One of several processes in one: what each would send is in ``sent``."""

    def gather(self, value):
        self.accelerator.sent[self.rank] = value
        return torch.stack(
            [self.accelerator.sent.get(rank, torch.zeros_like(value)) for rank in range(self.world_size)]
        )

    def sum(self, values):
        self.accelerator.sent[self.rank] = torch.tensor(values)
        return sum(self.accelerator.sent.values()).tolist()


def simulated(count):
    sent = {}
    return [
        Simulated(SimpleNamespace(num_processes=count, process_index=rank, device="cpu", sent=sent))
        for rank in range(count)
    ]


@given(st.integers(1, 5), st.integers(0, 23))
def test_shares_are_the_items_each_once_and_come_back_in_order(count, total):
    items = torch.arange(total * 2).reshape(total, 2)
    processes = simulated(count)
    shares = [process.share(range(total)) for process in processes]
    assert sorted(row for share in shares for row in share) == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for process, share in zip(processes, shares, strict=True):
        found = process.gather_shards(items[share], total)
    assert torch.equal(found, items)


def test_a_stand_in_is_not_counted():
    first, second, third = simulated(3)
    assert first.shard_or_dummy([7, 8]) == ([7], 1)
    assert second.shard_or_dummy([7, 8]) == ([8], 1)
    assert third.shard_or_dummy([7, 8]) == ([7], 0)
    for process, rows in ((first, [7.0]), (second, [8.0]), (third, [7.0])):
        found = process.gather_shards(torch.tensor(rows), 2)
    assert found.tolist() == [7.0, 8.0]


def test_alone_everything_is_as_without_it():
    alone = Processes.launched()
    assert (alone.world_size, alone.rank, alone.is_main) == (1, 0, True)
    assert alone.share([1, 2, 3]) == [1, 2, 3]
    assert alone.sum([0.1, 2]) == [0.1, 2]
    assert alone.broadcast(0.1) == 0.1
    assert alone.on_main(lambda: "done") == "done"
    with pytest.raises(ValueError, match="mine"), alone.fail_together():
        raise ValueError("mine")


def fail(process):
    with process.fail_together():
        raise ValueError("mine")


def test_one_that_did_not_fail_stops_with_the_one_that_did():
    main, second = simulated(2)
    with pytest.raises(ValueError, match="mine"):
        fail(second)
    with pytest.raises(StoppedElsewhereError, match="another process"), main.fail_together():
        pass


def test_what_fails_on_all_is_told_by_the_main_process_alone():
    main, second = simulated(2)
    with pytest.raises(ValueError, match="mine"):
        fail(main)
    with pytest.raises(StoppedElsewhereError, match="another process"):
        fail(second)


def test_only_the_main_process_acts():
    main, second = simulated(2)
    assert second.on_main(lambda: pytest.fail("not here")) is None
    assert main.on_main(lambda: 5) == 5


def test_precision_of_accelerate_is_left_to_torch(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    assert Processes.launched().accelerator.mixed_precision == "no"
