import json

import pytest

from mer_data.statistics.bias_model import BiasModel
from mer_data.workspace import Workspace


def path_of():
    return Workspace("sample").root / "statistics" / "unaligned.standard.binary.bias.json"


@pytest.fixture
def vocabulary(invoke, put_split):
    invoke("counterfactual-vocab")


def test_prints_what_the_words_alone_get_right(invoke, vocabulary):
    output = invoke("bias-model").splitlines()
    made = BiasModel.load(path_of())
    assert output[0].endswith(f" words in {path_of()}.")
    assert output[1].startswith(
        f"The words alone are right: train {100 * made.accuracy['train']:.1f}%, valid "
    )
    assert [line.split(":")[0].strip() for line in output[2:5]] == ["negative", "neutral", "positive"]


def test_json(invoke, vocabulary):
    result = json.loads(invoke("bias-model", "--json"))
    assert result["path"] == str(path_of())
    assert set(result["accuracy"]) == {"train", "valid", "test"}
    assert len(result["strongest"]["negative"]) == 10


def test_a_model_is_not_replaced_without_force(invoke, refuse, vocabulary):
    invoke("bias-model")
    assert "exists already. Pass --force" in refuse("bias-model")
    invoke("bias-model", "--force")


def test_without_a_vocabulary_the_command_for_it_is_named(refuse, put_split):
    told = refuse("bias-model", "--task", "seven")
    assert "Make it with `mer-data counterfactual-vocab --split standard --task seven`." in told
