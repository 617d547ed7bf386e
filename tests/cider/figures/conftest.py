import pytest

from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training.many_runs import train_run


@pytest.fixture
def fresh_run(home, make_recipe, tmp_path):
    """A run whose weights are those of the start: ``fresh_run("plain", "model.maci=none")``."""

    def make(name, *overrides):
        experiment, run = Experiment.open(make_recipe(*overrides)), RunFolder(tmp_path / name)
        run.start(experiment)
        model = experiment.build_model()
        if experiment.recipe.model.debiases_label:
            raise ValueError("the causal head needs statistics: switch it off")
        run.save_weights(model)
        return run.path

    return make


@pytest.fixture
def plain_run(fresh_run):
    return fresh_run("plain", "model.maci=none")


@pytest.fixture
def untrained_seven(fresh_run):
    return fresh_run("seven", "task=seven", "model.maci=none")


@pytest.fixture
def own_trained_label_run(home, make_recipe, tmp_path):
    """A run with the causal module alone, trained for an epoch."""
    recipe = make_recipe("model.maci=label", "training.max_epochs=1")
    return train_run(recipe, tmp_path / "label", force=False).path
