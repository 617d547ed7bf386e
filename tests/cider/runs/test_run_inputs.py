"""A run finds its store, split and vocabulary by digest, whatever else is in the workspace."""

import json
import shutil

import pytest
from training_helpers import make_trainer

from cider.evaluation.evaluate import EvaluationOverrides, evaluate_run
from cider.recipe.schema import load_recipe
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder, open_run
from cider.runs.inputs import asks_for, input_digest, recipe_difference
from cider.training.many_runs import resume_run, train_seeds
from mer_data.errors import RunError
from mer_data.workspace import Workspace

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def only_split(own_home):
    """A workspace with the standard split alone, as at the beginning; gives the other's path and bytes."""
    other = Workspace("sample").split_path("ood_binary_seed0")
    content = other.read_bytes()
    other.unlink()
    return other, content


@pytest.fixture
def unnamed(make_recipe):
    """A recipe that names no split."""
    return lambda *more: make_recipe("data.split=null", *more)


def test_the_recipe_of_a_run_names_the_split_that_was_the_only_one(only_split, unnamed, tmp_path):
    _, experiment, run = make_trainer(unnamed(), tmp_path / "run")
    assert load_recipe(run.recipe_path).data.split == experiment.recipe.data.split == "standard"


def test_a_second_split_changes_nothing_for_a_run(only_split, unnamed, tmp_path):
    recipe, lines = unnamed(), []
    (run,) = train_seeds([recipe], tmp_path, lines.append)
    path, content = only_split
    path.write_bytes(content)
    evaluate_run(run.path, EvaluationOverrides(rates=(0.0,)))
    assert resume_run(run.path, lines.append).how == "kept"
    assert train_seeds([recipe], tmp_path, lines.append)[0].how == "kept"
    # A recipe that names what the run took is the same; one that names the other is not.
    assert asks_for(unnamed("data.split=standard"), load_recipe(run.path / "recipe.yaml"))
    with pytest.raises(
        RunError, match=r"by another recipe: found data.split=standard, expected data.split=ood"
    ):
        train_seeds([unnamed("data.split=ood_binary_seed0")], tmp_path, lines.append)


def test_a_run_from_before_splits_were_named_finds_its_own_too(own_home, own_run):
    """Such a run has ``split: null`` in its recipe, and the digest of the split in its provenance."""
    run = RunFolder(own_run)
    text = run.recipe_path.read_text(encoding="utf-8")
    run.recipe_path.write_text(text.replace("split: standard", "split: null"), encoding="utf-8")
    recorded = json.loads(run.provenance_path.read_text(encoding="utf-8"))
    for name in ("statistics", "statistics_digest", "vocabulary", "vocabulary_digest", "code"):
        del recorded[name]
    recorded["recipe_digest"] = _sha(run.recipe_path)
    run.provenance_path.write_text(json.dumps(recorded), encoding="utf-8")
    (own_run / "digests.json").unlink()
    _, experiment = open_run(own_run)
    assert (experiment.recipe.data.split, experiment.split.kind) == (None, "standard")
    assert len(experiment.kept_token_ids())


def _sha(path):
    from mer_data.files.writing import sha256_file

    return sha256_file(path)


@pytest.mark.parametrize("kind", ["store", "split", "vocabulary", "statistics"])
def test_inputs_that_were_renamed_or_moved_are_found(own_home, own_run, kind):
    folder = own_home / "sample"
    paths = {
        "store": folder / "store" / "unaligned.h5",
        "split": folder / "splits" / "standard.json",
        "vocabulary": folder / "statistics" / "unaligned.standard.binary.vocabulary.json",
        "statistics": folder / "statistics" / "unaligned.standard.binary.tiny.h5",
    }
    for path in folder.glob("statistics/aligned.*"):
        path.unlink()  # the vocabulary of the aligned store has the same content
    moved = paths[kind].with_name(
        paths[kind].name.replace("standard", "renamed").replace("unaligned", "older")
    )
    paths[kind].rename(moved)
    assert open_run(own_run)[1].input_paths()[kind] == moved


def test_a_workspace_that_was_moved_is_found_by_its_variable(own_home, own_run, monkeypatch):
    elsewhere = own_home.rename(own_home.with_name("elsewhere"))
    (elsewhere / "sample").rename(elsewhere / "corpus")
    monkeypatch.setenv("MER_DATA_HOME", str(elsewhere))
    assert open_run(own_run)[1].store.path == elsewhere / "corpus" / "store" / "unaligned.h5"


def test_inputs_named_by_path_are_found_from_another_folder(own_home, make_recipe, tmp_path, monkeypatch):
    shutil.move(own_home / "sample" / "splits" / "standard.json", tmp_path / "mine.json")
    monkeypatch.chdir(tmp_path)
    _, _, run = make_trainer(make_recipe("data.split=mine.json", "model.maci=none"), tmp_path / "run")
    monkeypatch.chdir(own_home)
    assert open_run(run.path)[1].split_path == tmp_path / "mine.json"


@pytest.mark.parametrize(
    ("name", "told", "command"),
    [
        ("store/unaligned.h5", "store", "mer-data build --dataset sample --alignment unaligned"),
        ("splits/standard.json", "split", "mer-data standard-split --dataset sample"),
    ],
)
def test_inputs_that_are_gone_or_changed_are_told(own_home, own_run, name, told, command):
    path = own_home / "sample" / name
    others = {"store": "aligned.h5", "split": "ood_binary_seed0.json"}
    other = path.with_name(others[told])
    path.write_bytes(other.read_bytes())
    with pytest.raises(
        RunError, match=rf"was trained on another {told} in .*: found sha256.* in .*{path.name}"
    ) as info:
        open_run(own_run)
    assert f"`{command} --force`" in str(info.value)
    path.unlink()
    with pytest.raises(
        RunError, match=rf"the {told} that the run was trained on is gone in .*sha256"
    ) as info:
        open_run(own_run)
    assert f"`{command}`" in str(info.value)
    assert str(other) in str(info.value)
    other.write_bytes(b"nothing")
    with pytest.raises(RunError, match=rf"is gone .*found \(.*{other.name}"):
        open_run(own_run)


def test_a_vocabulary_that_was_made_again_differently_is_told(own_home, own_run):
    for path in (own_home / "sample" / "statistics").glob("*.standard.*.vocabulary.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        content["tokens"] = content["tokens"][:5]
        path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(
        RunError, match=r"trained on another counterfactual vocabulary .*counterfactual-vocab"
    ):
        evaluate_run(own_run, force=True)


def test_statistics_that_were_made_again_differently_are_told_before_resuming(own_home, own_run):
    (own_run / "result.json").unlink()
    folder = own_home / "sample" / "statistics"
    other = folder / "unaligned.ood_binary_seed0.binary.tiny.h5"
    shutil.copy(other, folder / "unaligned.standard.binary.tiny.h5")
    with pytest.raises(RunError, match=r"trained on another class statistics .*`mer-data statistics"):
        resume_run(own_run, lambda line: None)


def test_a_digest_is_of_the_content_not_of_the_layout(own_home):
    path = Workspace("sample").split_path("standard")
    before = input_digest("split", path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert input_digest("split", path) == before


def test_what_a_recipe_asks_for(make_recipe):
    named, unnamed = make_recipe(), make_recipe("data.split=null")
    assert asks_for(unnamed, named)
    assert asks_for(named, unnamed)
    assert not asks_for(make_recipe("seed=2"), named)
    assert not asks_for(make_recipe("data.split=null", "model.layers=2"), named)
    assert recipe_difference(make_recipe("data.split=null", "model.layers=2"), named) == {
        "found": "model.layers=1",
        "expected": "model.layers=2",
    }


def test_a_new_experiment_takes_what_the_recipe_names(own_home, make_recipe):
    experiment = Experiment.open(make_recipe())
    assert experiment.inputs is None
    assert experiment.input_paths()["vocabulary"].name == "unaligned.standard.binary.vocabulary.json"
    assert Experiment.open(make_recipe("model.maci=none")).input_paths()["statistics"] is None
