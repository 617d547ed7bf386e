import json
import subprocess
import sys

import pytest
from training_helpers import files_of

from cider.recipe.schema import load_recipe
from cider.runs.folder import RunFolder
from cider.training.many_runs import RunOutcome
from cider.training.trainer import TrainingResult

#: Two epochs of the packaged recipe, with the split named, as the workspace has two.
SHORT = ("train", "sample", "--set", "training.max_epochs=2", "--set", "data.split=standard")


def warnings_of(folder):
    """What is told of a run that has not learned, as these short ones may not have."""
    result = TrainingResult(**json.loads((folder / "result.json").read_text(encoding="utf-8")))
    warning = RunOutcome(folder, load_recipe(folder / "recipe.yaml"), "trained", result).warning
    return [] if warning is None else [warning]


def test_a_packaged_recipe_is_trained(home, cider, tmp_path):
    folder = tmp_path / "run"
    result = cider(*SHORT, "--seed", 3, "--out", folder)
    assert result.exit_code == 0, result.output
    summary, following = result.stdout.splitlines()
    assert summary.startswith("Stopped after 2 epochs (max_epochs); kept epoch")
    assert f"validation loss {-json.loads((folder / 'result.json').read_text())['best_score']:.4f}" in summary
    assert following == f"Next: cider evaluate {folder}"
    recipe = load_recipe(folder / "recipe.yaml")
    assert (recipe.name, recipe.seed, recipe.training.max_epochs, recipe.data.split) == (
        "sample",
        3,
        2,
        "standard",
    )
    assert len(RunFolder(folder).read_log()) == 2
    expected = {
        "checkpoints/best.safetensors",
        "digests.json",
        "metrics.jsonl",
        "model.json",
        "provenance.json",
        "recipe.yaml",
        "result.json",
        "tokenizer.json",
    }
    assert set(files_of(folder)) == expected


@pytest.fixture
def tiny_recipe(make_recipe, tmp_path):
    path = tmp_path / "tiny.yaml"
    make_recipe().save(path)
    return path


def test_a_recipe_file_is_trained_into_the_default_folder_and_told_as_json(
    home, cider, tiny_recipe, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = cider("train", tiny_recipe, "--seed", 1112, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    saved = json.loads((tmp_path / "runs" / "tiny-seed1112" / "result.json").read_text(encoding="utf-8"))
    assert told == {"run": "runs/tiny-seed1112", **saved}
    assert (told["epochs"], told["best_epoch"], told["reason"]) == (1, 1, "max_epochs")


def test_an_existing_run_is_kept_without_force_and_replaced_with_it(home, cider, fails, tiny_recipe, own_run):
    before = files_of(own_run)
    line = fails(cider("train", tiny_recipe, "--out", own_run))
    assert f"{own_run} holds a training that finished after epoch 4, by another recipe: found" in line
    assert "found training.max_epochs=4, expected training.max_epochs=1. Go on with that by" in line
    assert f"`cider train --resume {own_run}`, " in line
    assert "pass --force to replace it" in line
    assert files_of(own_run) == before
    result = cider("train", tiny_recipe, "--out", own_run, "--force", "--seed", 8)
    assert result.exit_code == 0, result.output
    assert load_recipe(own_run / "recipe.yaml").seed == 8
    assert len(RunFolder(own_run).read_log()) == 1
    assert not (own_run / "reports").exists()


def test_force_does_not_replace_what_is_no_run(home, cider, fails, tiny_recipe, tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work", encoding="utf-8")
    line = fails(cider("train", tiny_recipe, "--out", folder, "--force"))
    assert "the folder is not empty and is no run to be replaced" in line
    assert files_of(folder) == {"chapter.tex": b"years of work"}


def test_what_fails_before_training_keeps_the_earlier_run(home, cider, fails, tiny_recipe, own_run):
    before = files_of(own_run)
    for wrong in ("data.split=nope", "task=seven", "model.heads=3"):
        fails(cider("train", tiny_recipe, "--out", own_run, "--force", "--set", wrong))
    assert files_of(own_run) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "no recipe 'nope': expected a YAML file or one of "),
        (("sample", "--set", "model.layer=3"), "model.layer: unknown key, did you mean layers?"),
        (("sample", "--set", "model.layers"), "not an override"),
        (
            ("sample", "--set", "missing.rate=per_position", "--set", "missing.pattern=rmm"),
            "rate per_position",
        ),
        (("sample", "--set", "selection.metric=acc7"), "task binary has no acc7"),
        (("sample", "--seed", "-1"), "seed: Input should be greater than or equal to 0"),
        (("sample",), "several splits of sample"),
        (("sample", "--set", "data.split=nope"), "no split 'nope'"),
        (("sample", "--set", "data.split=ood_binary_seed0", "--set", "task=seven"), "another task"),
        (
            ("sample", "--set", "data.split=standard", "--set", "missing.pattern=tmfm"),
            "needs an aligned store",
        ),
        (
            ("sample", "--set", "data.split=standard", "--set", "task=seven"),
            "`mer-data statistics --dataset sample --alignment unaligned",
        ),
        (("sample", "--set", "data.dataset=mosi"), "`mer-data build --dataset mosi"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_folder(home, cider, fails, tmp_path, arguments, message):
    folder = tmp_path / "run"
    assert message in fails(cider("train", *arguments, "--out", folder))
    assert not folder.exists()


def test_recipe_names_complete(home):
    from cider.cli_options import RecipeName

    names = [item.value for item in RecipeName().shell_complete(None, None, "sa")]
    assert "sample" in names
    assert all(name.startswith("sa") for name in names)


# --- resuming ---


@pytest.fixture
def stopped(home, make_recipe, tmp_path):
    """A run of three epochs that ended after its first."""
    from training_helpers import make_trainer

    def stop(record):
        raise ValueError("enough")

    trainer, _, run = make_trainer(make_recipe("training.max_epochs=3"), tmp_path / "stopped")
    with pytest.raises(ValueError, match="enough"):
        trainer.fit(on_epoch=stop)
    return run.path


def test_a_run_is_resumed(home, cider, stopped):
    with (stopped / "metrics.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"epo')
    result = cider("train", "--resume", stopped)
    assert result.exit_code == 0, result.output
    said = result.stderr.splitlines()
    assert said[0] == f"{stopped} continues after epoch 1; 1 line of later epochs was dropped from its log."
    assert result.stdout.splitlines()[0].startswith("Stopped after 3 epochs (max_epochs); kept epoch ")
    assert [epoch["epoch"] for epoch in RunFolder(stopped).read_log()] == [1, 2, 3]


def test_a_finished_run_says_so(home, cider, own_run):
    before = files_of(own_run)
    result = cider("train", "--resume", own_run, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [f"{own_run} is finished already.", *warnings_of(own_run)]
    saved = json.loads((own_run / "result.json").read_text(encoding="utf-8"))
    assert json.loads(result.stdout) == {"run": str(own_run), **saved}
    assert files_of(own_run) == before


def test_a_damaged_checkpoint_is_told_in_one_line(home, cider, fails, stopped):
    (stopped / "checkpoints" / "epoch-0001" / "weights.safetensors").write_bytes(b"gone")
    result = cider("train", "--resume", stopped)
    assert result.exit_code == 1
    warning, error = result.stderr.splitlines()
    assert warning.startswith("Skipped a checkpoint: damaged checkpoint")
    assert error.startswith("Error: no checkpoint is whole")


def test_a_changed_recipe_or_split_is_not_resumed(own_home, cider, fails, stopped, monkeypatch):
    monkeypatch.setenv("MER_DATA_HOME", str(own_home))
    path = stopped / "recipe.yaml"
    original = path.read_text(encoding="utf-8")
    path.write_text(original.replace("max_epochs: 3", "max_epochs: 4"), encoding="utf-8")
    assert "trained on another recipe" in fails(cider("train", "--resume", stopped))
    path.write_text(original, encoding="utf-8")
    splits = own_home / "sample" / "splits"
    (splits / "standard.json").write_bytes((splits / "ood_binary_seed0.json").read_bytes())
    assert "trained on another split" in fails(cider("train", "--resume", stopped))


def test_no_run_is_not_resumed(home, cider, fails, tmp_path):
    assert "no training run in" in fails(cider("train", "--resume", tmp_path))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--force",), "--force"),
        (("--seed", 3), "--seed"),
        (("--seeds", "3,4"), "--seeds"),
        (("--out", "elsewhere"), "--out"),
        (("--set", "model.layers=3"), "--set"),
        (("sample",), "RECIPE"),
    ],
)
def test_resuming_takes_no_other_choice_and_says_why(cider, fails, arguments, told):
    line = fails(cider("train", "--resume", "runs/some", *arguments))
    assert f"--resume does not go with {told}: a run continues with the recipe, seed and folder" in line


def test_something_must_be_named(cider, fails):
    assert "nothing to train: expected a RECIPE, or --resume RUN" in fails(cider("train"))


# --- several seeds ---


def test_one_run_per_seed_and_finished_ones_are_kept(home, cider, tiny_recipe, tmp_path):
    parent = tmp_path / "many"
    result = cider("train", tiny_recipe, "--seeds", "5,6", "--out", parent)
    assert result.exit_code == 0, result.output
    folders = [parent / "tiny-seed5", parent / "tiny-seed6"]
    assert [load_recipe(folder / "recipe.yaml").seed for folder in folders] == [5, 6]
    assert result.stdout.splitlines()[-1] == f"Next: cider evaluate {folders[0]} {folders[1]}"
    kept = files_of(folders[0])

    # The second is unfinished, the third not begun.
    (folders[1] / "result.json").unlink()
    again = cider("train", tiny_recipe, "--seeds", "5,6,7", "--out", parent, "--json")
    assert again.exit_code == 0, again.output
    assert again.stderr.splitlines() == [
        f"{folders[0]} is finished already.",
        *warnings_of(folders[0]),
        f"{folders[1]} has no complete epoch: it begins again.",
        *warnings_of(folders[1]),
        *warnings_of(parent / "tiny-seed7"),
    ]
    assert files_of(folders[0]) == kept
    told = json.loads(again.stdout)["runs"]
    assert [run["run"] for run in told] == [*map(str, folders), str(parent / "tiny-seed7")]
    assert told[0] == {"run": str(folders[0]), **json.loads(kept["result.json"])}


def test_an_unfinished_seed_is_resumed(home, cider, make_recipe, stopped, tmp_path):
    stopped.rename(tmp_path / "tiny-seed1111")
    make_recipe("training.max_epochs=3").save(tmp_path / "three.yaml")
    result = cider("train", tmp_path / "three.yaml", "--seeds", "1111", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "tiny-seed1111"
    assert result.stderr.splitlines() == [f"{folder} continues after epoch 1.", *warnings_of(folder)]
    assert len(RunFolder(folder).read_log()) == 3


def test_a_folder_with_something_else_stops_before_anything_is_trained(
    home, cider, fails, tiny_recipe, own_run, tmp_path
):
    own_run.rename(tmp_path / "tiny-seed6")  # of another recipe
    line = fails(cider("train", tiny_recipe, "--seeds", "5,6", "--out", tmp_path))
    assert (
        f"{tmp_path / 'tiny-seed6'} holds a training that finished after epoch 4, by another recipe" in line
    )
    assert not (tmp_path / "tiny-seed5").exists()
    (tmp_path / "tiny-seed5").mkdir()
    (tmp_path / "tiny-seed5" / "thesis.tex").write_text("years of work", encoding="utf-8")
    assert "no training run in" in fails(cider("train", tiny_recipe, "--seeds", "5", "--out", tmp_path))


def test_force_trains_every_seed_again(home, cider, tiny_recipe, own_run, tmp_path):
    own_run.rename(tmp_path / "tiny-seed6")
    result = cider("train", tiny_recipe, "--seeds", "6", "--out", tmp_path, "--force")
    assert result.exit_code == 0, result.output
    assert len(RunFolder(tmp_path / "tiny-seed6").read_log()) == 1


@pytest.mark.parametrize("seeds", ["", "1,", "a", "1,1", "1 2", "-1", "1.5"])
def test_bad_seeds_are_one_line(home, cider, fails, seeds):
    assert "not a list of seeds" in fails(cider("train", "sample", "--seeds", seeds))


@pytest.mark.parametrize("other", [("--seed", "3"), ("--set", "seed=3")])
def test_seeds_and_another_seed_contradict(cider, fails, other):
    assert "--seeds does not go with another seed" in fails(
        cider("train", "sample", "--seeds", "1,2", *other)
    )


@pytest.mark.parametrize(("share", "warned"), [(1.0, True), (0.9, False)])
def test_a_run_that_has_not_learned_is_told(home, cider, own_run, share, warned):
    path = own_run / "result.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    answers = {"negative": 1 - share, "neutral": 0.0, "positive": share}
    path.write_text(json.dumps({**saved, "answers": answers}), encoding="utf-8")
    (own_run / "digests.json").unlink()
    result = cider("train", "--resume", own_run)
    assert result.exit_code == 0, result.output
    epoch = saved["best_epoch"]
    told = f"Warning: {own_run} has not learned: epoch {epoch} answers positive to every utterance of"
    assert (told in result.stderr) == warned
    recipe = load_recipe(own_run / "recipe.yaml")
    recipe.save(own_run.parent / "recipe.yaml")
    folder = own_run.rename(own_run.parent / f"{recipe.name}-seed{recipe.seed}")
    result = cider("train", folder.parent / "recipe.yaml", "--seeds", recipe.seed, "--out", folder.parent)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("has not learned") == int(warned)


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ("model.maci=both", " Set model.classifier_start=equal, raise training.patience, or choose"),
        ("model.classifier_start=equal", " Raise training.patience, or choose"),
        ("model.maci=language", " Raise training.patience, or choose"),
    ],
)
def test_equal_classifiers_are_advised_where_they_start_apart(make_recipe, tmp_path, model, advice):
    result = TrainingResult(1, -1.0, 1, "max_epochs", {"negative": 1.0, "neutral": 0.0})
    warning = RunOutcome(tmp_path, make_recipe(model), "trained", result).warning
    assert f"answers negative to every utterance of validation.{advice}" in warning


def test_a_run_from_before_answers_were_kept_is_read(home, cider, own_run):
    path = own_run / "result.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    del saved["answers"]
    path.write_text(json.dumps(saved), encoding="utf-8")
    (own_run / "digests.json").unlink()
    result = cider("train", "--resume", own_run)
    assert result.exit_code == 0, result.output
    assert "has not learned" not in result.stderr


def test_a_wrong_recipe_is_told_before_torch_is_imported():
    code = (
        "import sys; from cider.commands import main\n"
        "try: main(['train', 'smaple'])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1", "False"]
    assert "no recipe 'smaple'" in told.stderr
