"""Every command of every page is run on the sample corpus; ``walking`` lists those that are only parsed."""

from __future__ import annotations

import shutil

import pytest
from pages import PAGES, PROGRAMS, shell_commands
from walking import ONLY_PARSED, OTHER_PROGRAMS, is_run, lay_out_files, run_all

FROM_NOTHING = ("mmsa-project.md", "own-loop.md", "own-model.md")
"""Pages that begin with a store of their own; statistics of another one would be an error there."""
OTHER_TESTS = ("tutorial.md", "real-data.md")
"""Pages with a test of their own: the next one, and tests/test_readme.py on the real files."""
OTHER_PAGES = [page for page in PAGES if page not in OTHER_TESTS and any(map(is_run, shell_commands(page)))]


def test_tutorial_leads_from_files_to_a_row_of_a_table(walked_folder):
    verbs = [words[1] for words in shell_commands("tutorial.md")]
    chain = ["download", "import", "build", "verify", "standard-split", "repartition", "report", "statistics"]
    chain += ["counterfactual-vocab", "train", "evaluate", "compare"]
    places = [verbs.index(verb) for verb in chain]
    assert places == sorted(places)
    for path in (
        "data/sample/reports/corpus.html",
        "runs/plain/sample-seed1112/reports/rmfm-mask0/summary.html",
        "runs/comparison/summary.md",
        "test.csv",
        "sample_ood.pkl",
    ):
        assert (walked_folder / path).is_file(), path
    row = (walked_folder / "runs/comparison/summary.md").read_text(encoding="utf-8")
    assert "sample (model.maci=none) | 2 |" in row


@pytest.mark.parametrize("page", OTHER_PAGES)
def test_commands_of_a_page_run(page, folder):
    lay_out_files()
    if page in FROM_NOTHING:
        shutil.rmtree(folder / "data")
        shutil.rmtree(folder / "runs")
    done = run_all(page, force=True)
    assert [words for words, _ in done] == list(filter(is_run, shell_commands(page)))


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_not_run_have_a_reason_and_are_understood(page):
    for words in shell_commands(page):
        if words[0] not in PROGRAMS:
            assert words[0] in OTHER_PROGRAMS, f"{page}: {' '.join(words)}"
        elif not is_run(words):
            assert any(set(reason.split()) <= set(words) for reason in ONLY_PARSED), " ".join(words)
            command = PROGRAMS[words[0]].commands[words[1]]
            command.make_context(words[1], words[2:], resilient_parsing=False)


def test_every_reason_is_needed():
    skipped = [words for page in PAGES for words in shell_commands(page) if not is_run(words)]
    for start in ONLY_PARSED:
        assert any(set(start.split()) <= set(words) for words in skipped), start
