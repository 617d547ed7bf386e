import pytest
import torch

from cider.training.precision import choose_precision
from mer_data.errors import RecipeError


def pretend(monkeypatch, **capabilities):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_f": True, **capabilities}, raising=False
    )


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_fp16": True}, "no"),
        ({"sve_bf16": True}, "no"),
    ],
)
def test_a_processor_takes_bf16_if_it_multiplies_it(monkeypatch, capabilities, expected):
    pretend(monkeypatch, **capabilities)
    assert choose_precision("auto", "cpu") == expected


def test_a_torch_that_does_not_tell_trains_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_precision("auto", "cpu") == "no"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "no"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_gpu_takes_bf16_from_compute_capability_8(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda", 0)) == expected


def test_other_devices_train_in_float32():
    assert choose_precision("auto", "mps") == "no"


@pytest.mark.parametrize("setting", ["no", "bf16"])
def test_a_named_precision_is_taken_whatever_the_processor(monkeypatch, setting):
    pretend(monkeypatch)
    assert choose_precision(setting, "cpu") == setting
    assert choose_precision("fp16", "cuda") == "fp16"


def test_fp16_needs_a_gpu():
    with pytest.raises(RecipeError, match=r"fp16 needs a GPU: found device cpu.*mixed_precision to auto"):
        choose_precision("fp16", "cpu")
