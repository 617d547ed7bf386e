import json

import pytest
from reproduction_tables import write_tables

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def table(tmp_path, monkeypatch):
    """File of a small per-rate table; the current folder is empty."""
    monkeypatch.chdir(tmp_path)
    return write_tables(tmp_path / "tables") / "table2.yaml"


def test_a_table_is_looked_at_reproduced_and_reported_again(home, cider, table, tmp_path):
    command = ("reproduce", table, "--dataset", "sample", "--seeds", 7)
    dry = cider(*command, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert dry.stdout.splitlines() == [
        "Training runs: 0 finished, 0 to resume, 1 missing.",
        "  missing    runs/tiny_binary-seed7",
        "Missing inputs: 0.",
    ]
    assert not (tmp_path / "runs").exists()

    first = cider(*command)
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("Table 2: A per_rate\n\nPublished: A. Author")
    for part in ("published only", "ours, strict", "strict - published", "ours, paper", "- Note of table2."):
        assert part in first.stdout
    assert first.stdout.splitlines()[-1] == "Report: reports/table2/summary.html"
    assert {path.name for path in (tmp_path / "reports/table2").iterdir()} == {
        "summary.html", "summary.md", "table.json", "acc2_by_rate.png", "acc2_by_rate.pdf",
    }  # fmt: skip

    told = json.loads(cider(*command, "--dry-run", "--json").stdout)
    assert [run["state"] for run in told["runs"]] == ["finished"]
    again = cider(*command, "--report-only", "--json")
    assert again.exit_code == 0, again.output
    content = json.loads(again.stdout)
    assert content == json.loads((tmp_path / "reports/table2/table.json").read_text(encoding="utf-8"))
    assert content["command"] == f"cider reproduce {table} --seeds 7 --out runs"
    assert cider(*content["command"].split()[1:]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table99",), "no table 'table99': expected one of table4, table5"),
        (("no/such/table.yaml",), "no table 'no/such/table.yaml'"),
        (("table4", "--dataset", "sample"), "for dataset sample: expected mosi or mosei"),
        (("table4", "--rows", "Cider"), "no row 'Cider' in table4: expected DMD"),
        (("table4", "--rows", "DMD"), "row 'DMD' is published only"),
        (("table4", "--seeds", "1,1"), "not a list of seeds"),
        (("table4", "--set", "data.split=standard"), "--set data.split is not possible here"),
        (("table4", "--dataset", "mosi"), "12 inputs are missing for table4: no store 'unaligned'"),
    ],
)
def test_mistakes_are_one_line(cider, fails, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nowhere"))
    assert message in fails(cider("reproduce", *arguments))
    assert list(tmp_path.iterdir()) == []


def test_published_numbers_are_shown_without_any_run(cider, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cider("reproduce", "table4", "--report-only")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("     CIDer")]
    assert ["CIDer", "published", "72.1", "71.4", "33.6"] in rows
    assert ["CIDer", "ours", *["not", "run"] * 3] in rows
    assert result.stdout.count("Not in our numbers: ") == 5 * 24  # models, and runs of each
