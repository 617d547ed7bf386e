"""A model of one's own over all commands: it runs when it is named, and only then."""

import sys
from pathlib import Path

import pytest

from cider.models import own_code

SOURCE = """
from pathlib import Path
from cider.models.early_fusion import EarlyFusion
Path({trace!r}).write_text("it ran")

class Mine(EarlyFusion):
    pass
"""


def forget():
    own_code._LOADED.clear()
    sys.modules.pop("mine_model", None)


@pytest.fixture
def code(tmp_path, monkeypatch):
    monkeypatch.setattr(own_code, "_LOADED", {})
    monkeypatch.chdir(tmp_path)
    path = Path("mine_model.py")
    path.write_text(SOURCE.format(trace=str(tmp_path / "trace")), encoding="utf-8")
    yield path
    forget()


@pytest.fixture
def run(home, cider, code, make_recipe):
    """A run of it, as somebody else's is met: nothing is loaded, and the file is in the current folder."""
    make_recipe().save(Path("tiny.yaml"))
    group = "model={name: 'mine_model:Mine', text_encoder: tiny, maci: both}"
    result = cider("train", "tiny.yaml", "--set", group, "--code", code, "--out", "run")
    assert result.exit_code == 0, result.output
    assert "Next: cider evaluate run --code mine_model.py" in result.stdout
    forget()
    Path("trace").unlink()
    return Path("run")


def commands(home, run):
    store = home / "sample" / "store" / "unaligned.h5"
    brief = ("--rates", "0,1", "--resamples", "100")
    return [
        ("evaluate", run, *brief),
        ("evaluate", run, "--report-only", *brief),
        ("compare", run, run, *brief),
        ("predict", run, "--store", store, "--tau", "0"),
        ("figure", "debiasing", run),
        ("train", "--resume", run),
        ("shift", run, *brief),
    ]


def test_a_run_of_somebody_elses_runs_nothing(home, run, cider, fails, quick_figures):
    for words in commands(home, run):
        line = fails(cider(*words))
        assert "'mine_model:Mine' is in no installed package" in line, words
        assert "--code mine_model.py" in line
    assert not Path("trace").exists()


def test_every_command_takes_the_file_that_is_named(home, run, code, cider, quick_figures):
    evaluate, report, _, predict, figure, train, _ = commands(home, run)
    for words in (evaluate, report, predict, figure, train):
        forget()
        result = cider(*words, "--code", code)
        assert result.exit_code == 0, (words, result.output)
        assert "differs from the code" not in result.stderr


def test_code_that_was_changed_is_told(home, run, code, cider, quick_figures):
    code.write_text(code.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    evaluate, _, _, predict, *_ = commands(home, run)
    for words in (evaluate, predict):
        forget()
        result = cider(*words, "--code", code)
        assert result.exit_code == 0, result.output
        assert (
            "Warning: mine_model.py differs from the code that run was trained with: found" in result.stderr
        )


def test_wrong_files_are_one_line(cider, fails, code):
    assert "cannot read the model's code" in fails(cider("evaluate", "run", "--code", "nothing.py"))
    code.write_text("1 / 0", encoding="utf-8")
    assert "ZeroDivisionError" in fails(cider("profile", "sample", "--code", code))
