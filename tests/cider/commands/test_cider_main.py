import subprocess
import sys

import pytest
from click.testing import CliRunner

from cider.commands import main

HEAVY = {"torch", "transformers", "accelerate", "sklearn", "h5py", "pandas", "pydantic"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["evaluate", "--help"],
        ["reproduce", "--help"],
        ["shift", "--help"],
        ["figure", "embedding", "--help"],
        ["--version"],
    ],
)
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; from cider.commands import main; main(sys.argv[1:], standalone_mode=False);"
        f" print('heavy:', *(set(sys.modules) & {HEAVY}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].strip() == "heavy:"
    assert "cider" in done.stdout


@pytest.mark.parametrize("command", ["train", "evaluate", "reproduce", "shift", "figure"])
def test_every_command_is_listed_and_has_examples(command):
    assert command in CliRunner().invoke(main, ["--help"]).output
    assert f"cider {command} " in CliRunner().invoke(main, [command, "--help"]).output


def test_an_unknown_command_is_a_usage_error():
    result = CliRunner().invoke(main, ["fly"])
    assert result.exit_code == 2
    assert "No such command 'fly'" in result.output
