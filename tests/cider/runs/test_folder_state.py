"""What is in a run folder, what each command makes of it, and runs that would lie in each other."""

import json
import shutil

import pytest
from training_helpers import files_of

from cider.recipe.schema import load_recipe
from cider.runs.folder import RunFolder
from cider.runs.state import FolderState, refuse_nesting, require_run
from cider.training.many_runs import resume_run, train_run
from mer_data.errors import RecipeError, RunError


def quiet(line):
    """Nobody listens."""


@pytest.fixture
def begun(home, make_recipe, tmp_path):
    """What a training leaves that was killed before it wrote its provenance."""
    folder = tmp_path / "begun"
    folder.mkdir()
    make_recipe().save(folder / "recipe.yaml")
    (folder / ".provenance.json.host.99999999-0.partial").write_text('{"rec', encoding="utf-8")
    return folder


def test_states(home, own_run, begun, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert FolderState.read(tmp_path / "nothing").stage == "free"
    assert FolderState.read(tmp_path / "empty").stage == "free"
    assert FolderState.read(tmp_path / "file").stage == "something else"
    assert FolderState.read(tmp_path).stage == "something else"
    assert FolderState.read(begun).stage == "begun"
    assert FolderState.read(own_run) == FolderState(own_run, "finished", 4)
    (own_run / "result.json").unlink()
    assert FolderState.read(own_run).stage == "no epoch"
    (own_run / "checkpoints" / "epoch-0003").mkdir()
    assert FolderState.read(own_run) == FolderState(own_run, "unfinished", 3)
    assert FolderState.read(own_run).told == "a training that has not finished, stopped after epoch 3"


# --- the same command again ---


@pytest.fixture
def stopped(home, make_recipe, tmp_path, monkeypatch):
    """The recipe, and the folder of a training that Ctrl-C ended in its second epoch."""
    recipe, folder = make_recipe("training.max_epochs=2"), tmp_path / "run"

    def interrupt(step, total, text):
        if text.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(recipe, folder, quiet, progress=interrupt)
    return recipe, folder


def test_the_same_command_continues_what_was_stopped(stopped):
    recipe, folder = stopped
    lines = []
    assert train_run(recipe, folder, lines.append).how == "resumed"
    assert lines[0].startswith(f"{folder} continues after epoch 1")
    lines.clear()
    assert train_run(recipe, folder, lines.append).how == "kept"
    assert lines[0] == f"{folder} is finished already."


def test_another_recipe_says_what_is_there_and_how_to_go_on(stopped, make_recipe):
    _, folder = stopped
    before = files_of(folder)
    with pytest.raises(RunError) as info:
        train_run(make_recipe("training.max_epochs=2", "model.layers=2"), folder, quiet)
    told = str(info.value)
    assert (
        f"{folder} holds a training that has not finished, stopped after epoch 1, by another recipe" in told
    )
    assert "found model.layers=1, expected model.layers=2" in told
    assert told.index("--resume") < told.index("--force")
    assert files_of(folder) == before


def test_what_is_not_trained_yet_begins_again(home, make_recipe, tmp_path):
    recipe, folder, lines = make_recipe(), tmp_path / "run", []

    def interrupt(step, total, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(recipe, folder, quiet, progress=interrupt)
    assert FolderState.read(folder).stage == "no epoch"
    with pytest.raises(RunError, match=r"no epoch has been completed.*Train again with --force"):
        resume_run(folder, quiet)
    assert train_run(recipe, folder, lines.append).how == "trained"
    assert lines[0] == f"{folder} has no complete epoch: it begins again."


# --- killed before it began ---


def test_a_run_with_a_recipe_alone_is_named_and_replaced_when_asked(begun, make_recipe):
    for action in (lambda: train_run(make_recipe(), begun, quiet), lambda: resume_run(begun, quiet)):
        with pytest.raises(RunError, match=r"stopped before training began.*--force"):
            action()
    assert train_run(make_recipe(), begun, quiet, force=True).how == "trained"
    assert not list(begun.glob(".*"))


def test_a_replacement_that_was_killed_can_be_repeated(home, own_run, make_recipe, monkeypatch):
    """Whatever was removed last, the folder is a run that --force replaces."""
    removed = []
    whole = shutil.rmtree

    def stop(path, *more, **options):
        removed.append(path)
        if len(removed) == 2:
            raise KeyboardInterrupt
        whole(path, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr("cider.runs.folder.shutil.rmtree", stop)
        with pytest.raises(KeyboardInterrupt):
            train_run(make_recipe(), own_run, quiet, force=True)
    assert (own_run / "provenance.json").is_file()
    assert not (own_run / "result.json").exists()
    assert train_run(make_recipe(), own_run, quiet, force=True).how == "trained"


def test_a_run_with_a_damaged_result_is_replaced_when_asked(home, own_run, make_recipe):
    (own_run / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="not as training left it"):
        train_run(load_recipe(own_run / "recipe.yaml"), own_run, quiet)
    assert train_run(make_recipe(), own_run, quiet, force=True).how == "trained"


def test_a_link_to_a_run_folder_is_replaced_inside(home, own_run, make_recipe):
    link = own_run.parent / "link"
    link.symlink_to(own_run)
    assert train_run(make_recipe("seed=3"), link, quiet, force=True).how == "trained"
    assert link.is_symlink()
    assert load_recipe(own_run / "recipe.yaml").seed == 3


# --- places ---


def test_a_run_inside_a_run_is_refused(home, own_run, make_recipe):
    before = files_of(own_run)
    for force in (False, True):
        with pytest.raises(RunError, match=r"would be a run inside the run .*own_run\. Choose another --out"):
            train_run(make_recipe(), own_run / "seeds" / "tiny-seed1", quiet, force=force)
    assert files_of(own_run) == before


def test_a_run_in_place_of_a_folder_of_runs_is_refused(home, own_run, make_recipe, tmp_path):
    for force in (False, True):
        with pytest.raises(RunError, match=r"is a folder of runs, not of a run: found own_run"):
            train_run(make_recipe(), tmp_path, quiet, force=force)


def test_runs_beside_each_other_are_no_nesting(own_run):
    refuse_nesting(own_run)
    refuse_nesting(own_run.parent / "another")


@pytest.mark.parametrize("name", ["../../x", "..", "a/b", "/tmp/x", "a\\b", "", ".hidden", "x.", "a\x00b"])
def test_the_name_of_a_recipe_leads_to_no_other_place(make_recipe, name):
    with pytest.raises(RecipeError, match=r"name: expected the name of a folder"):
        make_recipe(f"name={json.dumps(name)}")


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(RunError, match="no training run in"):
        require_run(tmp_path / "nothing")
    assert RunFolder(tmp_path).recipe_path == tmp_path / "recipe.yaml"
