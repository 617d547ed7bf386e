import json
import shutil

import pytest
from reproduction_tables import write_tables

from cider.evaluation.evaluate import evaluate_run
from cider.paper.costs import load_cost, measure_cost
from cider.paper.plan import make_plan
from cider.paper.run import Watch, reproduce, survey
from cider.paper.same_training import take_weights, trains_as
from cider.paper.tables import load_table
from cider.recipe.schema import load_recipe
from cider.runs.folder import RunFolder
from cider.training.many_runs import train_run
from mer_data.errors import RunError
from mer_data.files.writing import sha256_file

WATCH = Watch(lambda line: None)


def predicted(parent):
    return {path: path.stat().st_mtime_ns for path in parent.rglob("*.parquet")}


def test_every_run_is_trained_once_per_seed(reproduced):
    parent, found, told = reproduced
    assert sorted(path.name for path in parent.iterdir()) == sorted(
        f"tiny_{task}{row}-seed{seed}"
        for task in ("binary", "seven")
        for row in ("", "-without_mcm")
        for seed in (1, 2)
    )
    assert told[0] == "Run 1 of 4: tiny_binary"
    # Complete data and the sweep of the binary task, the sweep of seven classes.
    assert {key: len(sweeps) for key, sweeps in found.scores.items() if "mcm" not in key[0]} == {
        ("tiny_binary", 1): 2, ("tiny_binary", 2): 2, ("tiny_seven", 1): 1, ("tiny_seven", 2): 1,
    }  # fmt: skip


def test_what_is_there_is_used_and_what_is_missing_is_made(home, plan, reproduced, tmp_path):
    parent = tmp_path / "runs"
    shutil.copytree(reproduced[0], parent)
    shutil.rmtree(parent / "tiny_binary-seed2")
    kept = predicted(parent)
    states = {run.folder.name: run.state for run in survey(plan, parent).runs}
    assert [name for name, state in states.items() if state != "finished"] == ["tiny_binary-seed2"]
    told = []
    found = reproduce(plan, parent, Watch(told.append))
    assert sum(line.endswith("is finished already.") for line in told) == 7
    assert {path: stamp for path, stamp in predicted(parent).items() if path in kept} == kept
    assert len(predicted(parent)) > len(kept)
    first = reproduced[1].scores
    for key, sweeps in found.scores.items():
        for sweep, scores in sweeps.items():
            assert scores.to_json() == first[key][sweep].to_json()


def test_what_trains_the_same_is_trained_once(home, make_recipe, reproduced, tmp_path):
    parent, _, told = reproduced
    taken = [line for line in told if "takes its weights" in line]
    assert taken == [
        f"{parent}/tiny_seven-without_mcm-seed{seed} trains as {parent}/tiny_seven-seed{seed} did"
        " and takes its weights."
        for seed in (1, 2)
    ]
    for seed in (1, 2):
        run = RunFolder(parent / f"tiny_seven-without_mcm-seed{seed}")
        recipe = load_recipe(run.recipe_path)
        assert recipe.model.maci == "language"
        train_run(recipe, tmp_path / str(seed), force=False)
        trained = RunFolder(tmp_path / str(seed))
        for name in ("checkpoint_path", "result_path", "recipe_path"):
            assert getattr(run, name).read_bytes() == getattr(trained, name).read_bytes()
        assert (run.path / "model.json").read_bytes() == (trained.path / "model.json").read_bytes()
        recorded = run.read_provenance()
        assert recorded.pop("weights_of") == {
            "run": f"tiny_seven-seed{seed}",
            "checkpoint": sha256_file(run.checkpoint_path),
        }
        assert recorded == trained.read_provenance()


def test_only_finished_runs_that_train_the_same_give_their_weights(reproduced, home, tmp_path):
    parent, free = reproduced[0], tmp_path / "free"
    recipe = load_recipe(parent / "tiny_seven-without_mcm-seed1/recipe.yaml")
    others = ("tiny_seven-seed2", "tiny_binary-seed1", "none")
    assert take_weights(recipe, free, [parent / name for name in others]) is None
    assert not free.exists()
    copy = tmp_path / "copy"
    shutil.copytree(parent / "tiny_seven-seed1", copy)
    (copy / "result.json").unlink()
    assert take_weights(recipe, free, [copy]) is None
    assert take_weights(recipe, free, [copy, parent / "tiny_seven-seed1"]) == parent / "tiny_seven-seed1"


def test_the_report_of_a_run_says_whose_weights_it_has(home, reproduced, tmp_path, quick_figures):
    copy = tmp_path / "copy"
    shutil.copytree(reproduced[0] / "tiny_seven-without_mcm-seed1", copy)
    page = evaluate_run(copy).report / "summary.html"
    assert "weights of tiny_seven-seed1, which trains the same" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("both", "label", True),
        ("none", "language", True),
        ("both", "none", False),
        ("label", "language", False),
    ],
)
def test_counterfactual_text_does_not_change_training(make_recipe, one, other, same):
    recipes = [trains_as(make_recipe(f"model.maci={maci}", f"name={maci}")) for maci in (one, other)]
    assert (recipes[0] == recipes[1]) == same
    assert trains_as(make_recipe("seed=2")) != trains_as(make_recipe("seed=3"))


def test_a_report_needs_neither_model_nor_data(plan, reproduced, tmp_path, monkeypatch):
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nowhere"))
    parent = tmp_path / "runs"
    shutil.copytree(reproduced[0], parent)
    shutil.rmtree(parent / "tiny_seven-seed2")
    (parent / "tiny_seven-seed1" / "result.json").unlink()
    (parent / "tiny_seven-seed1" / "checkpoints" / "epoch-0001").mkdir()
    shutil.rmtree(parent / "tiny_binary-seed2" / "predictions")
    before = predicted(parent)
    found = reproduce(plan, parent, WATCH, report_only=True)
    assert predicted(parent) == before
    assert set(found.scores) == {("tiny_binary", 1)} | {
        (f"tiny_{task}-without_mcm", seed) for task in ("binary", "seven") for seed in (1, 2)
    }
    told = "\n".join(found.absent)
    assert f"{parent / 'tiny_seven-seed2'}: not trained" in told
    assert f"{parent / 'tiny_seven-seed1'}: training has not ended" in told
    assert told.count("no predictions of valid") == 2


def test_all_missing_inputs_are_told_before_anything_is_trained(own_home, plan, tmp_path):
    (own_home / "sample/statistics/unaligned.standard.binary.tiny.h5").unlink()
    (own_home / "sample/statistics/unaligned.standard.binary.vocabulary.json").unlink()
    seen = survey(plan, tmp_path / "runs")
    assert [line.partition(" in ")[0] for line in seen.missing] == [
        "no class statistics",
        "no counterfactual vocabulary",
    ]
    data = "--dataset sample --alignment unaligned --split standard --task binary"
    assert f"`mer-data statistics {data} --text-encoder tiny`" in seen.missing[0]
    assert f"`mer-data counterfactual-vocab {data}`" in seen.missing[1]
    with pytest.raises(RunError, match=r"2 inputs are missing for table1: no class .* no counter") as info:
        reproduce(plan, tmp_path / "runs", WATCH)
    assert "\n" not in str(info.value)
    assert not (tmp_path / "runs").exists()


def test_of_a_store_that_is_missing_what_follows_is_told_too(own_home, plan, tmp_path):
    shutil.rmtree(own_home / "sample")
    missing = survey(plan, tmp_path / "runs").missing
    commands = [line.split("`")[1].split(" --")[0] for line in missing]
    verbs = ["build", "standard-split", "statistics", "counterfactual-vocab", "counterfactual-vocab"]
    assert commands == [f"mer-data {verb}" for verb in verbs]
    assert [line.count("--task seven") for line in missing] == [0, 0, 0, 0, 1]


def test_a_text_encoder_that_is_missing_is_an_input(home, tables, tmp_path):
    plan = make_plan(
        load_table("table2", tables), overrides=["model.text_encoder=/no/such/encoder"], seeds=[1]
    )
    assert "text encoder '/no/such/encoder'" in survey(plan, tmp_path).missing[0]


def test_other_runs_in_the_way_are_told_before_anything_is_trained(home, plan, reproduced, tmp_path):
    other = write_tables(tmp_path / "tables", overrides=("training.max_epochs=2",))
    changed = make_plan(load_table("table1", other), seeds=(1, 2))
    for action in (survey, lambda plan, parent: reproduce(plan, parent, WATCH)):
        with pytest.raises(
            RunError,
            match=r"another recipe is in the way in .*tiny_binary-seed1: found training.max_epochs=1,"
            r" expected training.max_epochs=2\. Move it away, or pass --out",
        ):
            action(changed, reproduced[0])
    (tmp_path / "runs/tiny_binary-seed1").mkdir(parents=True)
    (tmp_path / "runs/tiny_binary-seed1/notes.txt").write_text("mine")
    with pytest.raises(RunError, match="no run, but something else is in the way"):
        survey(plan, tmp_path / "runs")


def test_launchers_are_refused(home, plan, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match="reproducing is not started by a launcher"):
        reproduce(plan, tmp_path, WATCH)


def test_cost_is_measured_once_for_a_recipe(home, make_recipe, tmp_path):
    recipe = make_recipe()
    assert load_cost(recipe, tmp_path) is None
    cost = measure_cost(recipe, tmp_path, steps=1)
    assert 0 < cost.maci < cost.parameters
    assert cost.epoch_time > 0
    assert cost.main_memory is None or 0.05 < cost.main_memory < 64
    assert load_cost(recipe, tmp_path) == cost
    assert load_cost(make_recipe("model.layers=2"), tmp_path) is None
    path = tmp_path / "costs/tiny.json"
    path.write_text(json.dumps({"cost": {}}), encoding="utf-8")
    with pytest.raises(RunError, match=r"damaged cost of training in .*tiny\.json"):
        load_cost(recipe, tmp_path)
