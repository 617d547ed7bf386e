"""The precision a model trains in, chosen per device by a rule (figures: docs/speed.md)."""

from __future__ import annotations

from typing import Literal

import torch

from mer_data.errors import RecipeError

Precision = Literal["no", "bf16", "fp16"]
PrecisionSetting = Literal["auto", "no", "bf16", "fp16"]
#: Instructions that multiply bfloat16; without them a processor converts, and loses time.
_BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
_BF16_CAPABILITY = 8


def choose_precision(setting: PrecisionSetting, device: torch.device | str) -> Precision:
    """The mixed precision of a device; weights, gradients and the optimiser stay in float32 in any case.

    ``auto`` is bf16 where the hardware multiplies it: processors with AVX512_BF16 or AMX, and GPUs of compute
    capability 8 or more. Everything else trains in float32, as does a processor that an older release of
    torch tells nothing about. fp16 is never chosen: its narrow range asks for loss scaling. A named precision
    is taken as it is.

    Args:
        setting: of the recipe (``training.mixed_precision``).
        device: where the model will be.

    Returns:
        What `accelerate.Accelerator` takes as ``mixed_precision``; "no" is float32.

    Raises:
        RecipeError: fp16 is asked for on a processor: its gradients cannot be scaled there.
    """
    place = torch.device(device)
    if setting == "fp16" and place.type == "cpu":
        raise RecipeError(
            "fp16 needs a GPU", found=f"device {place}", do="Set training.mixed_precision to auto or bf16"
        )
    if setting != "auto":
        return setting
    return "bf16" if _multiplies_bf16(place) else "no"


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= _BF16_CAPABILITY
    if device.type == "cpu":
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        return any(bool(capabilities.get(name)) for name in _BF16_INSTRUCTIONS)
    return False
