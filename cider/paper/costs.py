"""What training costs, measured once per run and saved beside the runs (paper Table VI)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cider.profiling import profile_recipe
from cider.recipe.schema import Recipe
from mer_data.errors import RunError
from mer_data.files.writing import write_json

STEPS = 10
"""Steps that are timed, as ``cider profile`` does."""


@dataclass(frozen=True)
class Cost:
    """What training by one recipe takes on the machine where it was measured.

    Attributes:
        parameters: of the model without its text encoder.
        maci: of the causal head among them.
        gpu_memory: most GPU memory in GiB; None without a GPU.
        epoch_time: seconds of an epoch, extrapolated from the timed steps.
        batch_size: utterances per batch.
        device: processor or GPU.
        threads: of torch.
        main_memory: most main memory of the process in GiB; None where it was not measured.
    """

    parameters: int
    maci: int
    gpu_memory: float | None
    epoch_time: float
    batch_size: int
    device: str
    threads: int
    main_memory: float | None = None


def cost_path(recipe: Recipe, parent: Path) -> Path:
    """Where the cost of a recipe is saved, in the folder of the runs."""
    return parent / "costs" / f"{recipe.name}.json"


def load_cost(recipe: Recipe, parent: Path) -> Cost | None:
    """The saved cost of exactly this recipe; None where there is none.

    Raises:
        RunError: the file is damaged.
    """
    path = cost_path(recipe, parent)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cost = Cost(**content["cost"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError("damaged cost of training", where=path, do="Delete it and measure again") from error
    return cost if content.get("recipe") == recipe.model_dump(mode="json") else None


def measure_cost(recipe: Recipe, parent: Path, steps: int = STEPS) -> Cost:
    """Measure the cost of a recipe in a process of its own and save it.

    Raises:
        MerDataError: as training does.
    """
    profile = profile_recipe(recipe, steps)
    memory = profile.memory
    cost = Cost(
        parameters=profile.parameters.without_encoder,
        maci=profile.parameters.maci,
        gpu_memory=_gib(memory.device_peak),
        epoch_time=profile.seconds.epoch,
        batch_size=profile.batch_size,
        device=profile.device,
        threads=profile.threads,
        main_memory=_gib(memory.host_peak),
    )
    write_json(cost_path(recipe, parent), {"recipe": recipe.model_dump(mode="json"), "cost": asdict(cost)})
    return cost


def _gib(num_bytes: int | None) -> float | None:
    return None if num_bytes is None else num_bytes / 2**30
