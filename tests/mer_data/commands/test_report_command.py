import json
import subprocess
import sys

import pytest
from builders import build_sample_stores

from mer_data.sources.sample import SampleSize, write_sample
from mer_data.splits import SplitManifest
from mer_data.splits.defaults import default_of
from mer_data.workspace import Workspace

QUICK = ("--seeds", 0, "--severities", "0,1")


@pytest.fixture(scope="session")
def large_store(tmp_path_factory):
    """240 utterances: enough for a search with default parameters."""
    folder = tmp_path_factory.mktemp("large")
    write_sample(folder / "raw", 0, SampleSize(num_videos=20, segments_per_video=12))
    return build_sample_stores(folder / "raw", folder)["unaligned"]


@pytest.fixture
def put_large(large_store):
    path = Workspace("sample").store_path("unaligned")
    path.parent.mkdir(parents=True)
    path.symlink_to(large_store)


def page():
    return Workspace("sample").report_path.read_text(encoding="utf-8")


def test_all_splits_of_the_workspace_and_their_curve(invoke, put_large):
    invoke("standard-split")
    invoke("repartition", "--task", "binary", "--seed", 2)
    output = invoke("report", "--seeds", "0").splitlines()
    assert output[0].startswith("2 splits, 7 figures in ")
    assert output[0].endswith(" kB).")
    assert len(output) == 1  # there is a shifted split: nothing is left to suggest
    html = page()
    assert "<!doctype html>" in html
    assert SplitManifest.load(Workspace("sample").split_path("ood_binary_seed2")).digest in html
    assert f"{default_of('sample', 'binary').severity['utterance']:g} (default)" in html


def test_json_and_figures(invoke, put_large, tmp_path):
    figures = tmp_path / "figures"
    out = tmp_path / "page.html"
    result = json.loads(invoke("report", *QUICK, "--figures", figures, "--out", out, "--json"))
    assert result["report"] == str(out)
    assert result["num_bytes"] == out.stat().st_size < 500_000
    assert sorted(result["figures"]) == sorted(map(str, figures.iterdir()))
    assert {figure.suffix for figure in figures.iterdir()} == {".pdf", ".png"}
    assert list(result["splits"]) == ["standard folds"]
    curve = result["severity"]["binary"]
    assert [row["severity"] for row in curve] == [0.0, 1.0]
    assert curve[0]["divergence"]["mean"] < curve[1]["divergence"]["mean"]
    assert curve[0]["divergence"]["std"] is None
    assert not Workspace("sample").report_path.exists()


def test_without_a_split_the_standard_folds_are_shown_and_the_next_step_named(invoke, put_store):
    put_store()
    output = invoke("report", "--no-curve").splitlines()
    assert output[0].startswith("1 split, 5 figures in ")
    assert output[-1] == "Next: mer-data repartition --dataset sample"
    assert "<h2>Severity</h2>" not in page()


def test_a_corpus_too_small_for_a_curve_has_a_page_and_a_reason(invoke, put_store):
    put_store()
    output = invoke("report", *QUICK, "--task", "seven")
    reason = "the label tolerance cannot be met"
    assert f"No severity curve of task seven: {reason}" in output
    assert f"Task seven: no curve. {reason}" in page()


def test_a_text_encoder_adds_its_probe(invoke, put_large):
    result = json.loads(invoke("report", *QUICK, "--text-encoder", "tiny", "--json"))
    assert 0 < result["severity"]["binary"][0]["tiny"]["mean"] < 1
    assert "Accuracy of the encoder probe (tiny), percent." in page()


def test_torch_is_loaded_for_an_encoder_alone(put_split, workspace_home):
    code = (
        "import sys\n"
        "from mer_data.commands import main\n"
        "main(['report', '--no-curve'], standalone_mode=False)\n"
        "print('torch' in sys.modules)"
    )
    environment = {"MER_DATA_HOME": str(workspace_home), "OMP_NUM_THREADS": "1", "PATH": ""}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "False"


def test_chosen_splits_alone(invoke, put_split):
    invoke("repartition", "--min-count", 3, "--label-tolerance", 0.1)
    result = json.loads(invoke("report", "--no-curve", "--split", "standard", "--json"))
    assert list(result["splits"]) == ["standard"]
    result = json.loads(invoke("report", "--no-curve", "--json", "--force"))
    assert list(result["splits"]) == ["standard", "ood_binary_seed0"]


def test_existing_files_need_force(invoke, refuse, put_split, tmp_path):
    path = Workspace("sample").report_path
    path.parent.mkdir()
    path.write_text("mine")
    assert "corpus.html exists already. Pass --force" in refuse("report", "--no-curve")
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "labels.pdf").write_text("mine")
    out = ("--out", tmp_path / "other.html")
    assert "holds figures already" in refuse("report", "--no-curve", *out, "--figures", figures)
    assert not (tmp_path / "other.html").exists()
    assert (figures / "labels.pdf").read_text() == "mine"
    output = invoke("report", "--no-curve", "--force", "--figures", figures)
    assert f"10 files in {figures}." in output
    assert page().startswith("<!doctype html>")
    assert (figures / "labels.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--severities", "0,2"), "impossible severity: found 2.0, expected 0 (random) to 1 (strongest)."),
        (("--severities", "1,1"), "a value of --severities was named twice: found 1."),
        (("--seeds", "0,-3"), "negative seed: found -3"),
        (("--split", "nosuch"), "no split 'nosuch'"),
        (("--text-encoder", "nosuch"), "cannot load text encoder 'nosuch'"),
        (("--alignment", "aligned"), "no store 'aligned'"),
    ],
)
def test_impossible_wishes(refuse, put_split, arguments, message):
    assert message in refuse("report", *arguments)


def test_malformed_lists_and_tasks(misuse, put_split):
    for arguments in (
        ("--severities", "0;1"),
        ("--severities", ""),
        ("--seeds", "0,1.5"),
        ("--seeds", "all"),
    ):
        assert "is not a list of numbers with commas between them." in misuse("report", *arguments)
    assert "'three' is not one of 'binary', 'seven'" in misuse("report", "--task", "three")


def test_a_split_of_another_store_is_refused(refuse, put_split):
    from exact_stores import write_store

    path = Workspace("sample").store_path("unaligned")
    path.unlink()
    write_store(path, ["a b", "c d"])
    message = refuse("report", "--no-curve")
    assert "standard.json: the split manifest was made from another store than" in message


def test_without_a_store_the_command_that_makes_one_is_named(refuse):
    assert "`mer-data build --dataset mosi`" in refuse("report")
