import json

import pytest
from training_helpers import make_trainer

from cider.runs.verify import verify_run
from mer_data.errors import RunError


def test_a_whole_run_has_no_problem(home, own_run):
    check = verify_run(own_run)
    assert check.problems == ()
    assert check.notes == ()
    assert check.state == "a training that finished after epoch 4"
    assert {"result.json", "checkpoints/best.safetensors", "predictions/complete.test.parquet"} <= set(
        check.checked
    )


@pytest.mark.parametrize(
    "name",
    [
        "checkpoints/best.safetensors",
        "digests.json",
        "metrics.jsonl",
        "model.json",
        "predictions/nothing.valid.parquet",
        "provenance.json",
        "recipe.yaml",
        "result.json",
        "tokenizer.json",
    ],
)
@pytest.mark.parametrize("damage", ["zeros", "gone"])
def test_every_damaged_file_is_named(home, own_run, name, damage):
    path = own_run / name
    if damage == "gone":
        path.unlink()
        if name in ("provenance.json", "recipe.yaml"):
            with pytest.raises(RunError, match=f"no whole training run: {name} is missing"):
                verify_run(own_run)
            return
        if name == "result.json":
            assert verify_run(own_run).state.startswith("a training that was stopped before")
            return
    else:
        size = path.stat().st_size
        path.write_bytes(path.read_bytes()[: size // 2] + bytes(size - size // 2))
    check = verify_run(own_run)
    if name == "digests.json" and damage == "gone":
        assert any("before runs had digests" in note for note in check.notes)
    elif name.startswith("predictions") and damage == "gone":
        assert check.problems == ()  # not predicted yet
    else:
        assert any(name in problem for problem in check.problems), check


def test_inputs_that_are_not_here_are_no_damage(own_run, monkeypatch, tmp_path):
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nowhere"))
    check = verify_run(own_run)
    assert check.problems == ()
    (note,) = check.notes
    assert note.startswith("an input is not here: the store that the run was trained on is gone")


def test_a_run_of_code_that_is_not_named_is_checked_without_running_it(own_run, tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    (tmp_path / "evil.py").write_text(f"open({str(trace)!r}, 'w')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = own_run / "recipe.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("name: cider", "name: evil:Model"), encoding="utf-8"
    )
    check = verify_run(own_run)
    assert any("the inputs were not looked for: wrong recipe" in note for note in check.notes)
    assert not trace.exists()


def test_checkpoints_of_an_unfinished_run_are_checked(home, make_recipe, tmp_path):
    def stop(record):
        raise ValueError("enough")

    trainer, _, run = make_trainer(make_recipe("training.max_epochs=3"), tmp_path / "run")
    with pytest.raises(ValueError, match="enough"):
        trainer.fit(on_epoch=stop)
    check = verify_run(run.path)
    assert check.problems == ()
    assert "checkpoint of epoch 1" in check.checked
    (run.path / "checkpoints" / "epoch-0001" / "state.json").write_text("{}", encoding="utf-8")
    (problem,) = verify_run(run.path).problems
    assert "damaged checkpoint" in problem


def test_the_plain_values_are_json(own_run):
    told = json.loads(json.dumps(verify_run(own_run).to_json()))
    assert told["run"] == str(own_run)
    assert told["problems"] == []
