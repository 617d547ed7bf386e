"""What holds for every command: help, errors, and the way from nothing to a vocabulary."""

import functools
import inspect
import keyword
import os
import re

import click
import pytest
from click.testing import CliRunner

from mer_data.cli_options import OneLineErrors, repeated
from mer_data.commands import main
from mer_data.errors import SourceError
from mer_data.sources import sample
from mer_data.workspace import Workspace


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_help_has_an_example_that_its_command_understands(invoke, name):
    output = invoke(name, "--help")
    examples = re.findall(rf"^ +mer-data {name}\b(.*)$", output.split("Example", 1)[1], re.MULTILINE)
    assert examples
    for example in examples:
        command = main.commands[name]
        with command.make_context(name, example.split(), resilient_parsing=False):
            pass
    assert "Options:" in output


@pytest.mark.parametrize(
    "name",
    ["sample", "build", "standard-split", "repartition", "statistics", "counterfactual-vocab", "export"],
)
def test_every_command_that_writes_has_json_and_force(name):
    assert {"as_json", "force"} <= {option.name for option in main.commands[name].params}


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_option_says_what_it_is_for(name):
    options = [option for option in main.commands[name].params if isinstance(option, click.Option)]
    assert [o.name for o in options if not o.help and not isinstance(o.type, click.Choice)] == []


def test_the_groups_help_shows_the_way(invoke):
    output = invoke("-h")
    assert all(f"mer-data {name}" in output for name in ("sample", "build", "repartition", "statistics"))
    assert all(re.search(rf"^  {name} ", output, re.MULTILINE) for name in main.commands)


def test_version(invoke):
    import mer_data

    assert invoke("--version") == f"mer-data, version {mer_data.__version__}\n"


@pytest.mark.parametrize("arguments", [["nosuch"], ["--nosuch"], ["sample", "--nosuch"], ["sample", "extra"]])
def test_unknown_verbs_and_options_end_with_two(arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def failing(error):
    @click.group(cls=OneLineErrors)
    def group(): ...

    @group.command()
    def verb():
        raise error

    return CliRunner().invoke(group, ["verb"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SourceError("two\nlines", do="Mend it"), "Error: two lines. Mend it.\n"),
        (PermissionError(13, "Permission denied", "/a/b"), "Error: Permission denied (/a/b).\n"),
        (OSError(28, "No space left on device"), "Error: No space left on device.\n"),
        (OSError("cannot read"), "Error: cannot read.\n"),
    ],
)
def test_what_a_user_can_mend_is_one_line(error, line):
    result = failing(error)
    assert (result.exit_code, result.stderr) == (1, line)
    assert isinstance(result.exception, SystemExit)


def test_a_programming_error_keeps_its_traceback():
    result = failing(ZeroDivisionError("ours"))
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_closed_pipe_ends_quietly():
    result = failing(BrokenPipeError(32, "Broken pipe"))
    assert (result.exit_code, result.stderr) == (1, "")


def test_repeated_options_are_quoted_and_only_those_given():
    assert repeated(dataset="mosi", alignment=None, split="a b.json") == " --dataset mosi --split 'a b.json'"
    assert repeated() == ""


@pytest.mark.parametrize("split", ["standard-split", "repartition"])
def test_the_whole_way_works_without_arguments(invoke, monkeypatch, split, workspace_home):
    monkeypatch.setattr(sample, "SampleSize", functools.partial(sample.SampleSize, 20, 12))
    invoke("sample")
    invoke("build", "--dataset", "sample")
    invoke(split)
    invoke("statistics")
    invoke("counterfactual-vocab")
    found = sorted(
        str(path.relative_to(workspace_home)) for path in workspace_home.rglob("*.*") if path.is_file()
    )
    name = {"standard-split": "standard", "repartition": "ood_binary_seed0"}[split]
    assert [path for path in found if "/raw/" not in path] == [
        f"sample/splits/{name}.json",
        f"sample/statistics/unaligned.{name}.binary.tiny.h5",
        f"sample/statistics/unaligned.{name}.binary.vocabulary.csv",
        f"sample/statistics/unaligned.{name}.binary.vocabulary.json",
        "sample/store/unaligned.h5",
    ]


def test_every_next_line_can_be_followed(invoke, put_store, tmp_path):
    put_store()
    command, followed = ["standard-split", "--out", str(tmp_path / "mine.json")], []
    while command[0] != "cider":
        followed.append(command[0])
        (last,) = re.findall(r"^Next: (?:mer-data )?(.*)$", invoke(*command), re.MULTILINE)
        command = last.split()
    assert followed == ["standard-split", "statistics", "counterfactual-vocab"]


def test_a_read_only_workspace_is_one_line(refuse, put_split):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    Workspace("sample").root.chmod(0o500)
    try:
        assert "Permission denied" in refuse("counterfactual-vocab")
    finally:
        Workspace("sample").root.chmod(0o700)


def test_each_verb_has_a_file_of_its_own():
    for name, command in main.commands.items():
        source = inspect.getsourcefile(inspect.unwrap(command.callback))
        module = name.replace("-", "_") + "_" * keyword.iskeyword(name)
        assert source.endswith(f"commands/{module}.py")
