import json

import pytest
from exact_stores import split_of, write_store

from mer_data.splits import SplitManifest
from mer_data.statistics.class_statistics import ClassStatistics
from mer_data.workspace import Workspace


def path_of(name):
    return Workspace("sample").root / "statistics" / f"{name}.h5"


DEFAULT = "unaligned.standard.binary.tiny"


def test_computes_the_statistics_of_the_only_store_and_split(invoke, put_split):
    output = invoke("statistics").splitlines()
    statistics = ClassStatistics.load(path_of(DEFAULT))
    assert statistics.counts.sum() == len(SplitManifest.load(put_split).splits["train"])
    priors = {
        name: round(float(p), 4)
        for name, p in zip(("negative", "neutral", "positive"), statistics.priors, strict=True)
    }
    assert output[0] == f"Priors {priors} and class means (text encoder tiny) in {path_of(DEFAULT)}."
    assert output[1] == "Next: mer-data counterfactual-vocab --dataset sample --split standard"


def test_json(invoke, put_split):
    result = json.loads(invoke("statistics", "--json"))
    statistics = ClassStatistics.load(path_of(DEFAULT))
    assert result["counts"] == statistics.counts.tolist()
    assert result["origin"] == statistics.origin
    assert result["origin"]["split"] == SplitManifest.load(put_split).digest
    assert sum(result["priors"].values()) == pytest.approx(1, abs=1e-3)


def test_the_task_is_the_splits_unless_given(invoke, put_store):
    put_store()
    invoke("repartition", "--min-count", 3, "--label-tolerance", 0.1)
    invoke("statistics")
    assert path_of("unaligned.ood_binary_seed0.binary.tiny").is_file()
    output = invoke("statistics", "--task", "seven")
    assert ClassStatistics.load(path_of("unaligned.ood_binary_seed0.seven.tiny")).counts.shape == (7,)
    assert output.splitlines()[-1].endswith("--split ood_binary_seed0 --task seven")


def test_existing_statistics_need_force(invoke, refuse, put_split):
    invoke("statistics")
    assert f"{DEFAULT}.h5 exists already. Pass --force" in refuse("statistics")
    path_of(DEFAULT).write_bytes(b"old")
    invoke("statistics", "--force")
    assert ClassStatistics.load(path_of(DEFAULT)).task == "binary"


def test_several_stores_need_a_choice(invoke, refuse, put_split, put_store):
    put_store("aligned")
    assert "found aligned, unaligned. Choose one with --alignment NAME." in refuse("statistics")
    output = invoke("statistics", "--alignment", "aligned")
    assert path_of("aligned.standard.binary.tiny").is_file()
    follow = output.splitlines()[-1].removeprefix("Next: mer-data ").split()
    invoke(*follow)  # the command it names works as it stands


def test_several_splits_need_a_choice(invoke, refuse, put_split):
    invoke("repartition", "--min-count", 3, "--label-tolerance", 0.1)
    assert "found ood_binary_seed0, standard. Choose one with --split NAME." in refuse("statistics")
    invoke("statistics", "--split", put_split)
    assert path_of(DEFAULT).is_file()


def test_a_split_of_another_store_is_one_line(refuse, put_split):
    other = write_store(put_split.parent / "other.h5", ["a b", "c"])
    message = refuse("statistics", "--alignment", other.path)
    assert f"was made from another store than {other.path}" in message
    assert "mer-data repartition" in message


def test_without_store_or_split_the_command_is_named(refuse, put_store):
    assert "`mer-data build --dataset mosi`" in refuse("statistics")
    put_store()
    assert "`mer-data repartition --dataset sample --task binary`" in refuse("statistics")
    assert "no split 'ood'" in refuse("statistics", "--split", "ood")
    assert "no store of mosi" in refuse("statistics", "--dataset", "mosi")


def test_a_split_without_training_utterances_is_one_line(refuse, put_store):
    from mer_data.store.reader import FeatureStore

    store = FeatureStore.open(put_store())
    split_of(store, [], [], range(4)).save(Workspace("sample").split_path("only_test"))
    assert "has no training utterances" in refuse("statistics")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuch", "cannot load text encoder 'nosuch'"),
        ("bert-base-uncased", "text encoder 'bert-base-uncased'"),
    ],
)
def test_an_encoder_that_does_not_fit_is_one_line(refuse, put_split, name, message):
    assert message in refuse("statistics", "--text-encoder", name)


def test_a_damaged_split_is_one_line(refuse, put_split):
    put_split.write_text("{")
    assert "not a JSON file" in refuse("statistics")


def test_a_damaged_store_is_one_line(refuse, put_split):
    path = Workspace("sample").store_path("unaligned")
    path.write_bytes(path.read_bytes()[:20_000])
    assert "mer-data build --force" in refuse("statistics")


def test_bad_options(misuse):
    assert "'three' is not one of 'binary', 'seven'" in misuse("statistics", "--task", "three")
