import json
import shutil
from pathlib import Path

import pytest

from mer_data.splits import RepartitionSettings, repartition
from mer_data.splits.manifest import SplitManifest
from mer_data.store.choose import choose_store
from mer_data.tasks import get_task
from mer_data.workspace import Workspace

pytestmark = pytest.mark.usefixtures("quick_figures")

BRIEF = ("--rates", "0,1", "--resamples", "100")


@pytest.fixture(scope="module")
def series_home(tiny_home, make_recipe, tmp_path_factory):
    """The tiny workspace with a series of two severities, and in ``runs`` what `cider shift` made of it."""
    from click.testing import CliRunner

    from cider.commands import main

    folder = tmp_path_factory.mktemp("series")
    shutil.copytree(tiny_home, folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MER_DATA_HOME", "data")
        patch.setattr(
            "matplotlib.figure.Figure.savefig", lambda figure, path, **_: Path(path).write_bytes(b"1")
        )
        workspace = Workspace("sample")
        store = choose_store(workspace, "unaligned")
        settings = RepartitionSettings(seed=3, label_tolerance=0.1, steps_per_utterance=2)
        manifests = repartition(
            store.utterances,
            dataset="sample",
            utterance_digest=store.utterance_digest,
            task=get_task("binary"),
            settings=settings,
            severities=[0.0, 1.0],
        )
        for level, manifest in zip((0, 1), manifests, strict=True):
            manifest.save(workspace.split_path(f"level{level}"))
        make_recipe().save(Path("tiny.yaml"))
        result = CliRunner().invoke(main, ["shift", "tiny.yaml", *BRIEF])
        assert result.exit_code == 0, result.output
    return folder, result


@pytest.fixture
def there(series_home, tmp_path, monkeypatch):
    """A copy of it as the current folder."""
    shutil.copytree(series_home[0], tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("MER_DATA_HOME", "data")
    return tmp_path / "copy"


def test_one_command_leads_from_a_series_to_a_page(series_home):
    folder, result = series_home
    assert "Class statistics are not there" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Strict test scores in percent")
    assert lines[2:4] == ["Acc2", lines[3]]
    assert [line.split()[0] for line in lines[4:8]] == ["0", "1", "Area", "Change"]
    page = Path("runs/shift/tiny-rmfm-mask0")
    assert lines[-1] == f"Report: {page / 'summary.html'}"
    content = json.loads((folder / page / "shift.json").read_text(encoding="utf-8"))
    assert [one["severity"] for one in content["severities"]] == [0.0, 1.0]
    bits = [one["word_label_divergence_bits"]["this_split"] for one in content["severities"]]
    assert bits == [
        SplitManifest.load(folder / f"data/sample/splits/level{level}.json").shift[
            "word_label_divergence_bits"
        ]["this_split"]
        for level in (0, 1)
    ]
    assert content["groups"][0]["runs"][1][0]["run"] == "runs/shift/level1/tiny-seed1111"


def test_what_is_trained_is_kept_and_what_is_new_is_added(there, cider):
    before = Path("runs/shift/level0/tiny-seed1111/result.json").stat().st_mtime_ns
    result = cider("shift", "tiny.yaml", "--seeds", "1111,1112", "--json", *BRIEF)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["groups"][0]["seeds"] == [1111, 1112]
    assert "runs/shift/level0/tiny-seed1111 is finished already." in result.stderr
    assert Path("runs/shift/level0/tiny-seed1111/result.json").stat().st_mtime_ns == before


def test_saved_runs_are_reported_without_a_store(there, cider):
    Path("data/sample/store/unaligned.h5").unlink()
    runs = sorted(Path("runs/shift").glob("level*/tiny-seed1111"))
    result = cider("shift", *runs, "--report-only", "--out", "page", *BRIEF)
    assert result.exit_code == 0, result.output
    pages = [Path(folder) / "tiny-rmfm-mask0" / "shift.json" for folder in ("page", "runs/shift")]
    one, other = (path.read_text(encoding="utf-8") for path in pages)
    assert one == other


def test_what_is_no_curve_is_one_line(there, cider, fails):
    runs = [f"runs/shift/level{level}/tiny-seed1111" for level in (0, 1)]
    assert "needs two severities or more" in fails(cider("shift", runs[0], *BRIEF))
    assert "needs two severities" in fails(cider("shift", "tiny.yaml", "--severities", "0", *BRIEF))
    assert "no split of severity 0.5: found 0, 1" in fails(
        cider("shift", "tiny.yaml", "--severities", "0,0.5")
    )
    line = fails(cider("shift", *runs, "--report-only", "--rates", "0,0.3,1"))
    assert "no predictions of valid for rmfm at missing rate 0.3" in line
    assert "are one run" in fails(cider("shift", *runs, runs[1], *BRIEF))
    assert "tiny.yaml stands beside runs" in fails(cider("shift", *runs, "tiny.yaml"))
    assert "--seeds does not go with runs" in fails(cider("shift", *runs, "--seeds", "1"))
    assert "same folders" in fails(cider("shift", "tiny.yaml", "tiny.yaml"))
    assert "no training run in data" in fails(cider("shift", "data", *BRIEF))
    assert "no recipe 'nothing'" in fails(cider("shift", "nothing"))
    line = fails(cider("shift", "tiny.yaml", "--set", "task=seven"))
    assert "mer-data repartition --dataset sample --task seven --series 0,0.25,0.5,0.75,1" in line
    line = fails(cider("shift", "tiny.yaml", "--set", "model.layers=2", *BRIEF))
    assert "runs/shift/level0/tiny-seed1111 holds a training that finished after epoch 1, by another" in line


def test_a_run_whose_split_has_no_severity_is_refused(there, cider, fails, trained_run):
    shutil.copytree(trained_run, "standard")
    line = fails(cider("shift", "standard", "runs/shift/level0/tiny-seed1111", *BRIEF))
    assert "standard is no run of a series: the split has no severity" in line


def test_a_split_that_was_made_again_is_refused(there, cider, fails):
    shutil.copy("data/sample/splits/level1.json", "data/sample/splits/level0.json")
    runs = [f"runs/shift/level{level}/tiny-seed1111" for level in (0, 1)]
    assert "the run was trained on another split in" in fails(cider("shift", *runs, "--report-only", *BRIEF))
    Path("data/sample/splits/level0.json").unlink()
    assert "the split that the run was trained on is gone in" in fails(
        cider("shift", *runs, "--report-only", *BRIEF)
    )


def test_recipes_that_are_measured_differently_are_told_before_training(there, cider, fails, make_recipe):
    make_recipe("name=other", "evaluation.pattern=rmm").save(Path("other.yaml"))
    line = fails(cider("shift", "tiny.yaml", "other.yaml"))
    assert "the recipes are evaluated in different sweeps" in line
    assert not Path("runs/shift/level0/other-seed1111").exists()


def test_a_launcher_is_refused(there, cider, fails, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "not trained under a launcher" in fails(cider("shift", "tiny.yaml", *BRIEF))
