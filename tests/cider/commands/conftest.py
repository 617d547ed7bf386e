import pytest
from click.testing import CliRunner


@pytest.fixture
def cider():
    """Call the command line; the result has exit_code, stdout and stderr."""
    from cider.commands import main

    return lambda *arguments: CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def fails():
    """The one line of a failed command: exit code 1, nothing on stdout, no traceback."""

    def check(result):
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit)
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        return line

    return check


@pytest.fixture
def hardly_trained(home, make_recipe, tmp_path):
    """A run with the weights of the start: ``hardly_trained("plain", "model.maci=none")``."""
    from cider.runs.experiment import Experiment
    from cider.runs.folder import RunFolder
    from cider.training.trainer import Trainer

    def make(name, *overrides):
        experiment, run = Experiment.open(make_recipe(*overrides)), RunFolder(tmp_path / name)
        run.start(experiment)
        run.save_weights(Trainer(experiment, run).model)
        return run.path

    return make
