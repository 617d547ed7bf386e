"""Search space of tuning, and its sampler: the paper's space, and TPE that is seeded by trial."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from cider.recipe.schema import Recipe
from cider.recipe.settings import ModelSettings
from mer_data.errors import RecipeError

_DROPOUTS = ("attention", "embedding", "output")
_WEIGHTS = ("alpha_reconstruction", "beta_attention", "gamma_joint")


def search_space(recipe: Recipe, fixed: Collection[str] = ()) -> dict[str, BaseDistribution]:
    """The paper's space (method section 4) by key of the recipe.

    Args:
        recipe: its model.width limits the number of heads to divisors.
        fixed: keys that keep the recipe's value.

    Raises:
        RecipeError: no key is left, or the recipe is of another model than CIDer.
    """
    model = recipe.model
    if not isinstance(model, ModelSettings):
        raise RecipeError(
            "the paper's search space is of cider", found=f"model {model.name}", do="Compare runs by --set"
        )
    heads = [heads for heads in (1, 2, 4, 8) if model.width % heads == 0]
    space: dict[str, BaseDistribution] = {
        "model.layers": IntDistribution(1, 4),
        "model.heads": CategoricalDistribution(heads),
        **{f"model.{name}_dropout": FloatDistribution(0.0, 0.5, step=0.1) for name in _DROPOUTS},
        **{f"loss.{name}": FloatDistribution(0.0, 1.0, step=0.1) for name in _WEIGHTS},
    }
    left = {key: values for key, values in space.items() if key not in fixed}
    if not left:
        raise RecipeError(
            "every key of the search is set", do=f"Leave one of {', '.join(space)} out of --set"
        )
    return left


def exact_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial, where a step of 0.1 does not show its floating-point error."""
    return {key: round(value, 1) if isinstance(value, float) else value for key, value in values.items()}


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """``recipe`` with the values of a trial."""
    content = recipe.model_dump(mode="json")
    for key, value in exact_values(values).items():
        group, name = key.split(".")
        content[group][name] = value
    return Recipe.model_validate(content)


class TrialSeededTPE(TPESampler):
    """TPE whose random numbers depend on the seed and the trial's number alone.

    So a study that was interrupted and resumed proposes what one in one go would have, and workers that
    share a seed do not propose the same.
    """

    def __init__(self, seed: int) -> None:
        """Keep the seed of the study."""
        super().__init__(seed=seed)
        self._study_seed = seed

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Become a fresh sampler that is seeded for this trial."""
        (seed,) = np.random.SeedSequence([self._study_seed, trial.number]).generate_state(1)
        super().__init__(seed=int(seed))
