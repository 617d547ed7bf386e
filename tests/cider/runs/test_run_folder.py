import json
import shutil

import pytest
import torch
from training_helpers import files_of

from cider.recipe.schema import load_recipe
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder, open_run
from cider.training.trainer import Trainer
from mer_data.errors import DamagedRunError, RecipeError, RunError
from mer_data.workspace import Workspace


@pytest.fixture
def experiment(home, make_recipe):
    return Experiment.open(make_recipe())


# --- starting ---


def test_a_run_begins_with_its_recipe_and_provenance(experiment, tmp_path):
    run = RunFolder(tmp_path / "runs" / "new")
    run.start(experiment)
    assert sorted(files_of(run.path)) == ["provenance.json", "recipe.yaml"]
    assert load_recipe(run.recipe_path) == experiment.recipe
    provenance = json.loads(run.provenance_path.read_text(encoding="utf-8"))
    assert provenance["store_digest"] == experiment.store.content_digest
    assert provenance["split_digest"] == experiment.split.digest
    assert provenance["fold_sizes"] == {"train": 60, "valid": 12, "test": 24}
    assert provenance["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_an_empty_folder_can_be_used(experiment, tmp_path):
    RunFolder(tmp_path).start(experiment)
    assert (tmp_path / "recipe.yaml").is_file()


def test_a_run_is_replaced_only_when_asked(experiment, own_run):
    before = files_of(own_run)
    with pytest.raises(RunError, match=r"the folder is not empty .* Choose another --out"):
        RunFolder(own_run).start(experiment)
    assert files_of(own_run) == before
    RunFolder(own_run).start(experiment, replace=True)
    assert sorted(files_of(own_run)) == ["provenance.json", "recipe.yaml"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_no_run_is_never_replaced(experiment, tmp_path, replace):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work", encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text("name: soup", encoding="utf-8")
    before = files_of(tmp_path)
    with pytest.raises(RunError, match="the folder is not empty and is no run to be replaced"):
        RunFolder(tmp_path).start(experiment, replace=replace)
    assert files_of(tmp_path) == before


def test_the_log_comes_back(tmp_path):
    run = RunFolder(tmp_path)
    for epoch in (1, 2):
        run.log({"epoch": epoch, "train": {"complete": 0.5}})
    assert run.read_log() == [
        {"epoch": 1, "train": {"complete": 0.5}},
        {"epoch": 2, "train": {"complete": 0.5}},
    ]


def test_an_unfinished_line_of_the_log_is_not_read(tmp_path):
    run = RunFolder(tmp_path)
    assert run.read_log() == []
    run.log({"epoch": 1})
    with run.log_path.open("a", encoding="utf-8") as log:
        log.write('{"epoch": 2')
    assert run.read_log() == [{"epoch": 1}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"epoch" 2}', r"is damaged in line 2 \(Expecting ':' delimiter"),
        (b"[" * 100_000, r"is damaged in line 2"),
        (b"[2]", r"is damaged in line 2 \(no epoch\)"),
        (b'{"epoch": "\x80"}', r"is not UTF-8 \(invalid start byte at byte 24\)"),
    ],
)
def test_a_damaged_line_of_the_log_is_told(tmp_path, line, message):
    run = RunFolder(tmp_path)
    run.log({"epoch": 1})
    with run.log_path.open("ab") as log:
        log.write(line + b"\n")
    with pytest.raises(RunError, match=f"the log of the training {message}.*metrics.jsonl.*--force"):
        run.cut_log(2)


def test_the_log_is_cut_to_the_epochs_that_count(tmp_path):
    run = RunFolder(tmp_path)
    for epoch in (1, 2, 3):
        run.log({"epoch": epoch})
    assert run.cut_log(3) == 0
    assert run.cut_log(1) == 2
    assert run.read_log() == [{"epoch": 1}]
    with pytest.raises(RunError, match=r"the log is shorter .*: found 1 epochs, expected at least 2"):
        run.cut_log(2)


# --- weights ---


def test_weights_come_back_with_the_class_statistics(experiment, tmp_path):
    run = RunFolder(tmp_path)
    model = Trainer(experiment, run).model
    run.save_weights(model)
    fresh = experiment.build_model()
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.fill_(7.0)
    run.load_weights(fresh)
    for name, value in model.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value), name
    assert fresh.head.priors.sum() == pytest.approx(1)


def test_a_run_without_checkpoint_is_not_trained(experiment, tmp_path):
    with pytest.raises(RunError, match=r"the run has no checkpoint in .*Train it with `cider train`"):
        RunFolder(tmp_path).load_weights(experiment.build_model())


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-100], lambda data: data[:3], lambda data: b"x" * len(data)]
)
def test_a_damaged_checkpoint_is_refused(experiment, own_run, damage):
    path = RunFolder(own_run).checkpoint_path
    path.write_bytes(damage(path.read_bytes()))
    expected = r"the file is not as training left it in .*best\.safetensors: found sha256:.*expected sha256:"
    with pytest.raises(DamagedRunError, match=expected):
        RunFolder(own_run).load_weights(experiment.build_model())
    (own_run / "digests.json").unlink()  # a run from before there were digests
    with pytest.raises(DamagedRunError, match=r"damaged checkpoint \(.*\) in .*best.safetensors") as info:
        RunFolder(own_run).load_weights(experiment.build_model())
    assert "\n" not in str(info.value)


def test_the_checkpoint_of_another_model_is_refused(home, own_run, make_recipe):
    for override in ("model.width=16", "model.layers=2", "model.maci=none"):
        model = Experiment.open(make_recipe(override)).build_model()
        with pytest.raises(RunError, match=r"the checkpoint is of another model than recipe.yaml says"):
            RunFolder(own_run).load_weights(model)


# --- opening ---


def test_a_run_opens_with_its_own_recipe_and_data(home, trained_run):
    run, experiment = open_run(trained_run)
    assert run.path == trained_run
    assert experiment.recipe == load_recipe(run.recipe_path)
    assert experiment.split.kind == "standard"


@pytest.mark.parametrize("missing", ["recipe.yaml", "provenance.json"])
def test_a_run_without_one_of_its_first_files_does_not_open(home, own_run, missing):
    (own_run / missing).unlink()
    with pytest.raises(RunError, match=rf"no whole training run: {missing} is missing in .*Restore it"):
        open_run(own_run)


def test_a_folder_that_is_no_run_does_not_open(home, tmp_path):
    with pytest.raises(RunError, match=r"no training run in .*Make one with `cider train RECIPE`"):
        open_run(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_provenance_is_refused(home, own_run, content):
    (own_run / "provenance.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"damaged provenance in .*provenance.json"):
        open_run(own_run)


def test_an_edited_recipe_is_refused(home, own_run):
    path = own_run / "recipe.yaml"
    original = path.read_text(encoding="utf-8")
    path.write_text(original.replace("seed: ", "seed: 1"), encoding="utf-8")
    with pytest.raises(RunError, match=r"trained on another recipe in .*Do not edit a run's recipe"):
        open_run(own_run)
    path.write_text(original.replace("  width: 8", "  breadth: 8"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"model\.breadth: unknown key, known here: name"):
        open_run(own_run)


def test_another_store_is_refused(own_home, own_run):
    open_run(own_run)
    workspace = Workspace("sample")
    shutil.copy(workspace.store_path("aligned"), workspace.store_path("unaligned"))
    with pytest.raises(
        RunError, match=r"the run was trained on another store in .*found sha256.*expected sha256"
    ):
        open_run(own_run)


def test_another_split_is_refused(own_home, own_run):
    workspace = Workspace("sample")
    shutil.copy(workspace.split_path("ood_binary_seed0"), workspace.split_path("standard"))
    with pytest.raises(RunError, match=r"the run was trained on another split .*point MER_DATA_HOME"):
        open_run(own_run)
