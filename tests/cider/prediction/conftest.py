import pytest


@pytest.fixture
def untrained_run(home, make_recipe, tmp_path):
    """A run of any recipe with its first weights: ``untrained_run("task=seven", ...)``."""
    from cider.prediction.model_card import save_model_card
    from cider.runs.experiment import Experiment
    from cider.runs.folder import RunFolder
    from cider.training.trainer import Trainer

    def make(*overrides):
        experiment, run = Experiment.open(make_recipe(*overrides)), RunFolder(tmp_path / "untrained")
        run.start(experiment)
        trainer = Trainer(experiment, run)
        run.save_weights(trainer.model)
        save_model_card(run, experiment, trainer.model)
        return run.path

    return make


@pytest.fixture
def without_data(monkeypatch, tmp_path):
    """No workspace, and no way to load a text encoder by its name."""

    def forbidden(*_):
        pytest.fail("a run needs no text encoder of the machine")

    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nothing"))
    monkeypatch.setattr("cider.runs.experiment.load_text_encoder", forbidden)
