"""Recipes of both baselines on the tiny workspace."""

import math
import re

import pytest
import torch
import yaml
from baseline_builders import SMALL, page_text
from training_helpers import log_of, make_trainer, train_batch, without_dropout

from cider.debiasing.causal_head import CausalHead
from cider.models.dlf.backbone import DLF
from cider.models.mplmm import MPLMM
from cider.recipe.schema import load_recipe

KINDS = pytest.mark.parametrize("kind", [DLF, MPLMM])


@pytest.fixture
def recipe_of(home, tmp_path):
    def make(kind, *overrides):
        recipe = {
            "name": "tiny_baseline",
            "data": {"dataset": "sample", "alignment": "unaligned", "split": "standard"},
            "model": {
                "name": kind.__name__.lower(),
                "text_encoder": "tiny",
                "settings": SMALL[kind].model_dump(),
            },
            "training": {"batch_size": 32, "max_epochs": 1, "encoder_learning_rate": 0.001},
        }
        path = tmp_path / "tiny_baseline.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return load_recipe(path, overrides)

    return make


@KINDS
def test_an_epoch_trains_and_validates(kind, recipe_of, tmp_path):
    trainer, _, _ = make_trainer(recipe_of(kind), tmp_path / "run")
    assert isinstance(trainer.model.head, CausalHead)
    trainer.fit()
    (epoch,) = log_of(tmp_path / "run")
    assert all(math.isfinite(value) for value in epoch["train"].values())
    assert ("auxiliary" in epoch["train"]) == (kind is DLF)


@KINDS
def test_steps_on_one_batch_lower_its_losses(kind, recipe_of, tmp_path):
    recipe = recipe_of(kind, "missing.pattern=none", "training.learning_rate=0.003")
    trainer, experiment, _ = make_trainer(recipe, tmp_path / "run")
    without_dropout(trainer.model)
    trainer.model.train()
    batch = train_batch(experiment, size=12)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        losses = [trainer.train_step(batch) for _ in range(12)]
    for name in {"classification", "auxiliary"} & set(losses[0]):
        assert losses[-1][name] < 0.9 * losses[0][name], name


def test_the_recipe_of_the_page_is_one(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", page_text("baselines.md"), re.DOTALL)
    path = tmp_path / "page.yaml"
    path.write_text(f"name: page\n{block}", encoding="utf-8")
    assert load_recipe(path, ()).model.settings.kernel == 5
