import pytest

from cider.runs.inputs import statistics_input, vocabulary_input
from mer_data.workspace import Workspace


@pytest.fixture
def paths(home):
    """Store and split of ``make_recipe``."""
    workspace = Workspace("sample")
    return workspace.store_path("unaligned"), workspace.split_path("standard")


def test_commands_name_store_split_task_and_encoder(paths, make_recipe):
    recipe = make_recipe("task=seven")
    data = "--dataset sample --alignment unaligned --split standard --task seven"
    assert statistics_input(recipe, *paths).command == f"mer-data statistics {data} --text-encoder tiny"
    assert vocabulary_input(recipe, *paths).command == f"mer-data counterfactual-vocab {data}"


@pytest.mark.parametrize(
    ("maci", "statistics", "vocabulary"),
    [
        ("none", False, False),
        ("label", True, False),
        ("language", False, True),
        ("both", True, True),
    ],
)
def test_what_the_model_does_not_read_is_not_missing(paths, make_recipe, maci, statistics, vocabulary):
    for task, absent in (("binary", False), ("seven", True)):  # nothing is computed for the second
        recipe = make_recipe(f"model.maci={maci}", f"task={task}")
        found = statistics_input(recipe, *paths), vocabulary_input(recipe, *paths)
        assert [one.needed for one in found] == [statistics, vocabulary]
        assert [one.is_missing for one in found] == [statistics and absent, vocabulary and absent]


def test_a_vocabulary_is_there_when_the_file_that_programs_read_is(own_home, make_recipe):
    workspace = Workspace("sample")
    store, split = workspace.store_path("unaligned"), workspace.split_path("standard")
    vocabulary = vocabulary_input(make_recipe(), store, split)
    assert (vocabulary.save_path.suffix, vocabulary.read_path.suffix) == (".csv", ".json")
    vocabulary.save_path.unlink()
    assert not vocabulary.is_missing
    vocabulary.read_path.unlink()
    assert vocabulary.is_missing
