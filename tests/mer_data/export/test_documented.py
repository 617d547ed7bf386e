"""What docs/export.md shows for open formats, run on the sample corpus."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from mer_data.commands import main
from mer_data.workspace import Workspace

DOCS = (Path(__file__).resolve().parents[3] / "docs" / "export.md").read_text(encoding="utf-8")


def blocks(heading, language):
    """The code blocks of a section, with the sample in place of CMU-MOSI and its standard split."""
    section = DOCS.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(rf"```{language}\n(.*?)```", section, flags=re.S)
    return [re.sub(r"--split \S+", "--split standard", block.replace("mosi", "sample")) for block in found]


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph", "ignore:The inplace keyword")
@pytest.mark.parametrize(
    ("heading", "package"),
    [
        ("Parquet", None),
        ("Croissant", "mlcroissant"),
        ("Hugging Face datasets", "datasets"),
        ("The card alone", None),
    ],
)
def test_what_the_page_shows_works(sample_stores, tmp_path, monkeypatch, heading, package):
    if package is not None:
        pytest.importorskip(package, reason=f"{package} (extra dev) is not installed")
    monkeypatch.chdir(tmp_path)
    path = Workspace("sample").store_path("unaligned")
    path.parent.mkdir(parents=True)
    shutil.copy(sample_stores["unaligned"], path)
    commands = [["mer-data", "standard-split", "--dataset", "sample"]]
    commands += [shlex.split(line) for block in blocks(heading, "bash") for line in block.splitlines()]
    ours = [words for words in commands if words[0] == "mer-data"]
    assert len(ours) == 2
    for words in ours:
        result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, result.output
    values = {}
    for code in blocks(heading, "python"):
        exec(code, values)
    if package == "mlcroissant":
        assert {row["utterances/fold"] for row in values["train"]} == {b"train"}
    if package == "datasets":
        assert values["splits"]["train"][0]["audio"].shape[1] == 6
