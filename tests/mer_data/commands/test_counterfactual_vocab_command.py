import json

import pandas as pd
import pytest
from exact_stores import write_store

from mer_data.splits import SplitManifest
from mer_data.statistics.vocabulary import load_kept_tokens, vocabulary_origin
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS
from mer_data.workspace import Workspace

VERB = "counterfactual-vocab"


def path_of(name="unaligned.standard.binary", suffix="csv"):
    return Workspace("sample").root / "statistics" / f"{name}.vocabulary.{suffix}"


def test_lists_the_tokens_for_people_and_programs(invoke, put_split):
    output = invoke(VERB).splitlines()
    table = pd.read_csv(path_of(), keep_default_na=False)
    kept = table[table["kept"]]
    store = FeatureStore.open(Workspace("sample").store_path("unaligned"))
    origin = vocabulary_origin(store, SplitManifest.load(put_split))
    found = load_kept_tokens(path_of(suffix="json"), origin, TASKS["binary"])
    assert found.tolist() == kept["token_id"].tolist()
    assert len(found) > 10
    assert output[0] == f"{len(kept)} of {len(table)} tokens kept in {path_of()}."
    assert output[1].split()[:15] == kept["token"].tolist()[:15]
    assert output[2] == "Next: cider train RECIPE"


def test_json(invoke, put_split):
    result = json.loads(invoke(VERB, "--json"))
    table = pd.read_csv(path_of(), keep_default_na=False)
    assert result["csv"] == str(path_of())
    assert result["json"] == str(path_of(suffix="json"))
    assert result["kept"] == table[table["kept"]]["token"].tolist()


def test_options_reach_the_vocabulary(invoke, put_split):
    invoke(VERB, "--size", 3, "--min-variation", 0.5, "--all-classes")
    content = json.loads(path_of(suffix="json").read_text())
    assert content["parameters"] == {
        "min_variation": 0.5,
        "size": 3,
        "classes_used": ["negative", "neutral", "positive"],
    }
    assert len(content["tokens"]) == 3
    assert all(token["cv"] >= 0.5 for token in content["tokens"])


def test_the_task_can_be_given(invoke, put_split):
    invoke(VERB, "--task", "seven")
    assert "count_-3" in pd.read_csv(path_of("unaligned.standard.seven")).columns


def test_an_existing_vocabulary_needs_force(invoke, refuse, put_split):
    invoke(VERB)
    assert "vocabulary.csv exists already. Pass --force" in refuse(VERB, "--size", 3)
    invoke(VERB, "--size", 3, "--force")
    assert pd.read_csv(path_of())["kept"].sum() == 3
    assert len(json.loads(path_of(suffix="json").read_text())["tokens"]) == 3


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--size", 0, "size is too small: found 0"),
        ("--size", -3, "size is too small"),
        ("--min-variation", -1, "negative min_variation"),
        ("--min-variation", "nan", "negative min_variation"),
    ],
)
def test_impossible_parameters(refuse, put_split, option, value, message):
    assert message in refuse(VERB, option, value)


def test_bad_options(misuse):
    assert "Invalid value for '--size'" in misuse(VERB, "--size", "many")
    assert "'three' is not one of" in misuse(VERB, "--task", "three")


def test_several_stores_need_a_choice(invoke, refuse, put_split, put_store):
    put_store("aligned")
    assert "found aligned, unaligned. Choose one with --alignment NAME." in refuse(VERB)
    invoke(VERB, "--alignment", "aligned")
    invoke(VERB, "--alignment", "unaligned")
    tables = [path_of(f"{name}.standard.binary").read_bytes() for name in ("aligned", "unaligned")]
    assert tables[0] == tables[1]


def test_a_split_of_another_store_is_one_line(refuse, put_split):
    other = write_store(put_split.parent / "other.h5", ["a b", "c"])
    assert "was made from another store than" in refuse(VERB, "--alignment", other.path)


def test_without_store_or_split_the_command_is_named(refuse, put_store):
    assert "`mer-data build --dataset mosi`" in refuse(VERB)
    put_store()
    assert "`mer-data repartition --dataset sample --task binary`" in refuse(VERB)
