from types import SimpleNamespace

import pytest
import torch

from cider.training.distributed import Processes
from cider.training.state import RandomSources, load_optimiser, optimiser_numbers, optimiser_tensors


def model_and_optimiser(seed=0):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2), torch.nn.Linear(2, 2))
    groups = [
        {"params": list(model[1].parameters()), "lr": 0.1, "weight_decay": 0.01},
        {"params": [*model[0].parameters(), *model[2].parameters()], "betas": (0.5, 0.9)},
    ]
    return model, torch.optim.Adam(groups, lr=0.01)


def steps(model, optimiser, number, seed):
    """Train all but the last layer."""
    inputs = torch.randn(number, 5, 3, generator=torch.Generator().manual_seed(seed))
    for batch in inputs:
        optimiser.zero_grad()
        model[1](model[0](batch)).square().sum().backward()
        optimiser.step()


def test_an_optimiser_goes_on_where_it_was():
    model, optimiser = model_and_optimiser()
    steps(model, optimiser, 3, seed=1)
    tensors, numbers = optimiser_tensors(optimiser, model), optimiser_numbers(optimiser)
    assert "exp_avg/0.weight" in tensors
    assert not [name for name in tensors if "/2." in name]  # it had no gradient
    tensors = {name: value.clone() for name, value in tensors.items()}

    other, again = model_and_optimiser(seed=5)
    for group in again.param_groups:
        group["lr"] = 9.0
    other.load_state_dict(model.state_dict())
    load_optimiser(again, other, tensors, [{**group, "betas": list(group["betas"])} for group in numbers])
    assert [(group["lr"], group["betas"]) for group in again.param_groups] == [
        (0.1, (0.9, 0.999)),
        (0.01, (0.5, 0.9)),
    ]
    for one, its in ((model, optimiser), (other, again)):
        steps(one, its, 2, seed=2)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_the_optimiser_of_another_model_is_refused():
    model, optimiser = model_and_optimiser()
    steps(model, optimiser, 1, seed=1)
    with pytest.raises(ValueError, match="no parameter 'unknown'"):
        load_optimiser(optimiser, model, {"exp_avg/unknown": torch.zeros(1)}, optimiser_numbers(optimiser))


def draws(sources):
    return [
        torch.rand(2, generator=sources.order).tolist(),
        torch.rand(2, generator=sources.missing).tolist(),
        torch.rand(2).tolist(),
    ]


def test_random_sources_go_on_where_they_were():
    with torch.random.fork_rng():
        sources = RandomSources(3, Processes.launched())
        sources.seed_global()
        draws(sources)
        saved = {name: state.clone() for name, state in sources.tensors().items()}
        expected = draws(sources)
        again = RandomSources(99, Processes.launched())
        again.load(saved)
        assert draws(again) == expected


def test_processes_share_the_order_and_nothing_else():
    with torch.random.fork_rng():
        found = []
        for rank in range(2):
            accelerator = SimpleNamespace(num_processes=2, process_index=rank, device=torch.device("cpu"))
            sources = RandomSources(3, Processes(accelerator))
            sources.seed_global()
            found.append(draws(sources))
    (order, missing, dropout), (other_order, other_missing, other_dropout) = found
    assert order == other_order
    assert missing != other_missing
    assert dropout != other_dropout
