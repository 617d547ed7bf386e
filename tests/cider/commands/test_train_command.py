import json

import pytest

from cider.recipe import load_recipe
from cider.run_folder import RunFolder

#: Two epochs of the packaged recipe, with the split named, as the workspace has two.
SHORT = ("train", "sample", "--set", "training.max_epochs=2", "--set", "data.split=standard")


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


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
        "metrics.jsonl",
        "provenance.json",
        "recipe.yaml",
        "result.json",
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
    assert f"{own_run} exists already. Pass --force to replace it, or --out" in line
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
        (("sample", "--set", "model.layer=3"), "model.layer: Extra inputs are not permitted"),
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
    from cider.commands.train import RecipeName

    names = [item.value for item in RecipeName().shell_complete(None, None, "sa")]
    assert "sample" in names
    assert all(name.startswith("sa") for name in names)
