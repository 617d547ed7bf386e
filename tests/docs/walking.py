"""Running the commands of a page on the sample corpus, as a reader would, but briefly.

The names of the real corpora become ``sample``, the pretrained encoder ``tiny``, published splits those of
the folder, and files that a reader has become exports of the sample. What cannot be run that way is in
``ONLY_PARSED`` and ``OTHER_PROGRAMS``, with the reason.
"""

from __future__ import annotations

import os
import shutil
from glob import glob
from pathlib import Path

import click
from click.testing import CliRunner, Result
from pages import PROGRAMS, blocks, shell_commands

from mer_data.store.reader import FeatureStore

ONLY_PARSED: dict[str, str] = {
    "mer-data download": "asks the servers of others; only --dry-run is run",
    "mer-data build --dask": "needs a Dask scheduler; tests/mer_data/test_parallel.py starts one",
    "cider tune": "minutes, and shared storage; tests/cider/commands/test_tune_command.py runs it",
    "cider reproduce": "hours of training; only --dry-run and --report-only are run",
}
OTHER_PROGRAMS: dict[str, str] = {
    "python": "scripts of a page: tests/docs/test_python_blocks.py; benchmarks take minutes",
    "python3": "a virtual environment",
    "python3.11": "a virtual environment",
    "pip": "installs packages",
    "mmsa-env/bin/pip": "installs packages",
    "mmsa-env/bin/python": "the environment of MMSA: tests/test_mmsa_client.py",
    "MMSA_PYTHON=$PWD/mmsa-env/bin/python": "the environment of MMSA: tests/test_mmsa_client.py",
    "dask": "a cluster",
    "torchrun": "several processes: tests/cider/training/test_distributed_training.py",
    "make": "a virtual environment, minutes",
}
_AS_WRITTEN = ("sources", "cite", "download", "reproduce")
"""Commands whose datasets are not replaced: they know the real corpora without their files."""
_REPLACED = {"mosei": "sample", "mosi": "sample", "minilm": "tiny", "bert-base-uncased": "tiny"}
_IMPORTED = {"cider_ood_unaligned": "imported_unaligned", "cider_ood_binary": "imported"}
"""An export of the sample is not recognised as a publication."""
_BRIEF: dict[str, tuple[str, ...]] = {
    "train": ("--set", "training.max_epochs=1"),
    "evaluate": ("--rates", "0,1", "--resamples", "100"),
    "compare": ("--rates", "0,1", "--resamples", "100"),
    "shift": ("--rates", "0,1", "--resamples", "100"),
    "profile": ("--steps", "1", "--set", "data.split=ood_binary_seed0"),
    "build": ("--workers", "1"),
    "report": ("--seeds", "0", "--severities", "0,1"),
}
_PICKLES = {
    "unaligned_50.pkl": "standard",
    "casp_sample.pkl": "standard",
    "OOD_MOSI/binary/MOSI_unaligned_50.pkl": "ood_binary_seed0",
    "data/sample/raw/cider_ood_binary_unaligned_50.pkl": "ood_binary_seed0",
}


def is_run(words: list[str]) -> bool:
    """Whether a command is run, or only parsed."""
    return not (
        words[0] not in PROGRAMS
        or ("download" in words and "--dry-run" not in words)
        or "--dask" in words
        or words[:2] == ["cider", "tune"]
        or (words[:2] == ["cider", "reproduce"] and not {"--dry-run", "--report-only"} & set(words))
    )


def run_all(page: str, *, force: bool = False) -> list[tuple[list[str], Result]]:
    """Run the commands of a page in the current folder, in order; every one has to succeed.

    Args:
        page: of ``docs``.
        force: replace what other pages made before.
    """
    done = []
    for written in filter(is_run, shell_commands(page)):
        words = on_the_sample(written)
        command = PROGRAMS[words[0]].commands[words[1]]
        more = [*_BRIEF.get(words[1], ()), *(["--force"] if force and _has_force(command) else [])]
        more = [] if "--resume" in words else more  # a run continues as it was begun
        result = CliRunner().invoke(PROGRAMS[words[0]], [*words[1:], *more])
        assert result.exit_code == 0, f"{' '.join(written)}: {result.output}"
        done.append((written, result))
        if words[1] == "sample":
            _fill_home()
    return done


def on_the_sample(words: list[str]) -> list[str]:
    """The command with the names of what the folder has."""
    if words[1] in _AS_WRITTEN:
        return words
    changed = []
    for before, word in zip(["", *words], words, strict=False):
        for name, other in _REPLACED.items():
            word = word.replace(name, other)
        if before == "--from-manifest":
            word = f"published/{word}.json"
        word = _IMPORTED.get(word, word)
        matching = sorted(glob(word)) if "*" in word else []  # noqa: PTH207  as a shell does
        changed += matching or [os.path.expanduser(word)]  # noqa: PTH111  only where a word begins with ~
    return changed


def lay_out_files() -> None:
    """What pages take for granted: pickles of others, published splits, a corpus of one's own."""
    for name, split in _PICKLES.items():
        words = ["export", "--format", "mmsa", "--split", split, "--out", name]
        result = CliRunner().invoke(PROGRAMS["mer-data"], words)
        assert result.exit_code == 0, result.output
    write_own_model()
    write_label_table()
    shutil.copytree(Path.home() / "sample", "pom_files")
    shutil.copytree("data/sample/splits", "published")


def write_own_model() -> None:
    """The file that a reader of own-model.md writes."""
    Path("own_model.py").write_text(blocks("own-model.md", "python")[0], encoding="utf-8")


def write_label_table() -> None:
    """MMSA's table of labels, with the utterances of the sample."""
    frame = FeatureStore.open("data/sample/store/unaligned.h5").utterances
    table = frame.rename(columns={"segment": "clip_id", "fold": "mode"})
    table[["video_id", "clip_id", "text", "label", "mode"]].to_csv("label.csv", index=False)


def _fill_home() -> None:
    for name in ("Downloads", "sample"):
        shutil.copytree("data/sample/raw", Path.home() / name, dirs_exist_ok=True)


def _has_force(command: click.Command) -> bool:
    return any(parameter.name == "force" for parameter in command.params)
