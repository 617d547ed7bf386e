import pytest
import torch
from torch import nn

from mer_data.text.dropout import Dropout, draw_kept, replace_dropout


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.9])
def test_the_share_and_the_scale_are_those_of_the_probability(probability):
    torch.manual_seed(0)
    kept, scale = draw_kept((500, 801), probability)
    assert kept.shape == (500, 801)
    assert kept.dtype == torch.uint8
    assert set(kept.unique().tolist()) <= {0, 1}
    share = kept.double().mean().item()
    assert share == pytest.approx(
        1 - probability, abs=4 * (probability * (1 - probability) / kept.numel()) ** 0.5
    )
    assert scale == pytest.approx(1 / (1 - probability), rel=1e-4)


def test_values_drop_independently():
    torch.manual_seed(0)
    kept = draw_kept((4, 250_000), 0.3)[0].double()
    # Four masks come from one draw of 64 bits: neighbours and those at a distance of four.
    flat = kept.flatten() - 0.7
    for distance in (1, 2, 3, 4, 5):
        covariance = (flat[:-distance] * flat[distance:]).mean().item()
        assert abs(covariance) < 4 * 0.21 / len(flat) ** 0.5
    by_lane = kept.flatten().view(-1, 4).mean(dim=0)
    assert (by_lane - 0.7).abs().max() < 4 * (0.21 / 250_000) ** 0.5


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 1001])
def test_any_size(size):
    assert draw_kept((size,), 0.5)[0].shape == (size,)


def test_the_largest_probability_keeps_something_to_scale():
    kept, scale = draw_kept((1000,), 1 - 1e-9)
    assert kept.sum() < 10
    assert scale == 65536


def test_the_seed_decides():
    torch.manual_seed(3)
    first = draw_kept((100,), 0.5)[0]
    other = draw_kept((100,), 0.5)[0]
    torch.manual_seed(3)
    assert torch.equal(draw_kept((100,), 0.5)[0], first)
    assert not torch.equal(first, other)


def test_a_module_drops_while_training_forward_and_backward():
    module, x = Dropout(0.5), torch.randn(400, requires_grad=True)
    torch.manual_seed(0)
    output = module(x)
    kept = output != 0
    assert 150 < kept.sum() < 250
    torch.testing.assert_close(output[kept], 2 * x[kept])
    (gradient,) = torch.autograd.grad(output, x, torch.full((400,), 3.0))
    assert torch.equal(gradient, 6.0 * kept)
    assert module.eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_stays(dtype):
    assert Dropout(0.5)(torch.ones(8, dtype=dtype)).dtype == dtype


def test_every_dropout_inside_a_module_is_replaced():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3), nn.Sequential(nn.Dropout(0.2), Dropout(0.1)))
    model[2].eval()
    own = model[2][1]
    names = list(model.state_dict())
    replace_dropout(model)
    assert isinstance(model[1], Dropout)
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == [0.3, 0.2, 0.1]
    assert model[1].training
    assert not model[2][0].training
    assert model[2][1] is own
    assert list(model.state_dict()) == names
