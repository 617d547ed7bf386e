import shutil
from pathlib import Path

import pytest
from exact_stores import write_store

from mer_data.errors import StoreError, WorkspaceError
from mer_data.store.choose import any_store, choose_store
from mer_data.workspace import Workspace, home, only_dataset

SAMPLE = Workspace("sample")


def put_store(name="unaligned", dataset="sample", texts=("a b",)):
    path = Workspace(dataset).store_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_store(path, list(texts)).path


def put_split(name, dataset="sample"):
    path = Workspace(dataset).split_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


def test_home_is_the_variable_or_data_in_the_working_folder(workspace_home, monkeypatch):
    assert home() == workspace_home
    monkeypatch.setenv("MER_DATA_HOME", "~/corpora")
    assert home() == Path("~/corpora").expanduser()
    monkeypatch.delenv("MER_DATA_HOME")
    assert home() == Path("data")


def test_layout(workspace_home):
    root = workspace_home / "sample"
    store, split = SAMPLE.store_path("aligned"), SAMPLE.split_path("ood_binary_seed0")
    assert SAMPLE.raw == root / "raw"
    assert store == root / "store" / "aligned.h5"
    assert split == root / "splits" / "ood_binary_seed0.json"
    stem = "statistics/aligned.ood_binary_seed0.binary"
    assert SAMPLE.statistics_path(store, split, "binary", "tiny") == root / f"{stem}.tiny.h5"
    assert SAMPLE.vocabulary_path(store, split, "binary") == root / f"{stem}.vocabulary.csv"
    assert SAMPLE.export_path(store, split, ".pkl") == root / "exports/aligned.ood_binary_seed0.pkl"


@pytest.mark.parametrize(
    ("encoder", "part"),
    [("org/some model", "some_model"), ("/a/b/encoder/", "encoder"), ("bert-base.v2", "bert-base.v2")],
)
def test_encoder_names_are_safe_in_file_names(encoder, part):
    path = SAMPLE.statistics_path(Path("x/s.h5"), Path("y/p.json"), "seven", encoder)
    assert path.name == f"s.p.seven.{part}.h5"
    assert path.parent == SAMPLE.root / "statistics"


def test_no_store_names_the_command():
    with pytest.raises(
        WorkspaceError, match=r"no store of sample in .*store\. Make it with `mer-data build"
    ) as e:
        choose_store(SAMPLE, None)
    assert str(e.value).endswith("`mer-data build --dataset sample --alignment unaligned`.")


def test_the_only_store_is_taken():
    path = put_store("anything")
    assert choose_store(SAMPLE, None).path == path


def test_several_stores_are_listed_and_the_option_is_named():
    put_store("unaligned")
    put_store("aligned")
    with pytest.raises(
        WorkspaceError, match=r"several stores .*: found aligned, unaligned\. .* --alignment NAME"
    ):
        choose_store(SAMPLE, None)


def test_a_store_is_taken_by_name_or_path(tmp_path):
    put_store("unaligned")
    path = put_store("aligned")
    assert choose_store(SAMPLE, "aligned").path == path
    elsewhere = Path(shutil.copy(path, tmp_path / "mine.h5"))
    assert choose_store(SAMPLE, str(elsewhere)).path == elsewhere


def test_an_unknown_store_lists_the_known_ones():
    put_store("aligned")
    with pytest.raises(
        WorkspaceError, match=r"no store 'x' in .*: found aligned\. Make it with `mer-data build"
    ):
        choose_store(SAMPLE, "x")
    with pytest.raises(WorkspaceError, match=r"no store '/no/x\.h5' in "):
        choose_store(SAMPLE, "/no/x.h5")
    with pytest.raises(WorkspaceError, match=r"no store 'x' in .*: found none\."):
        choose_store(Workspace("mosi"), "x")


@pytest.mark.parametrize(
    ("choose", "command"),
    [
        (lambda: choose_store(SAMPLE, "aligned"), "build --dataset sample --alignment aligned"),
        (lambda: choose_store(SAMPLE, "x"), "build --dataset sample --alignment unaligned"),
        (lambda: SAMPLE.choose_split("standard"), "standard-split --dataset sample"),
        (
            lambda: SAMPLE.choose_split("ood_seven_seed3"),
            "repartition --dataset sample --task seven --seed 3",
        ),
        (lambda: SAMPLE.choose_split("x"), "repartition --dataset sample --task binary"),
    ],
)
def test_what_is_missing_by_name_names_the_command_that_makes_it(choose, command):
    with pytest.raises(WorkspaceError, match=rf"Make it with `mer-data {command}`\.$"):
        choose()


def test_a_store_that_is_no_store_is_an_error():
    path = SAMPLE.store_path("unaligned")
    path.parent.mkdir(parents=True)
    path.write_text("not HDF5")
    with pytest.raises(StoreError, match=r"unaligned\.h5"):
        choose_store(SAMPLE, None)


def test_half_written_files_are_not_found():
    path = put_store("unaligned")
    shutil.copy(path, path.with_name(".aligned.h5.123.partial"))
    assert choose_store(SAMPLE, None).path == path


def test_splits_follow_the_same_rule(tmp_path):
    with pytest.raises(
        WorkspaceError, match=r"no split of sample .*`mer-data repartition --dataset sample --task binary`"
    ):
        SAMPLE.choose_split(None)
    first = put_split("standard")
    assert SAMPLE.choose_split(None) == first
    second = put_split("ood_binary_seed0")
    with pytest.raises(
        WorkspaceError, match=r"several splits .*: found ood_binary_seed0, standard. .*--split NAME"
    ):
        SAMPLE.choose_split(None)
    assert SAMPLE.choose_split("ood_binary_seed0") == second
    elsewhere = Path(shutil.copy(first, tmp_path / "mine.json"))
    assert SAMPLE.choose_split(str(elsewhere)) == elsewhere
    with pytest.raises(WorkspaceError, match=r"no split 'other' .*: found ood_binary_seed0, standard"):
        SAMPLE.choose_split("other")


def test_any_store_takes_the_first_of_those_that_agree():
    put_store("unaligned")
    path = put_store("aligned")
    assert any_store(SAMPLE, None).path == path


def test_any_store_asks_where_they_disagree():
    put_store("unaligned")
    path = put_store("aligned", texts=["other words"])
    with pytest.raises(WorkspaceError, match=r"several stores of sample .*: found aligned, unaligned"):
        any_store(SAMPLE, None)
    assert any_store(SAMPLE, "aligned").path == path


def test_any_store_asks_where_the_folds_differ():
    for name, fold in (("aligned", "train"), ("published", "test")):
        path = put_store(name)
        path.unlink()
        write_store(path, ["a b"], folds=[fold])
    with pytest.raises(WorkspaceError, match=r"several stores of sample .*: found aligned, published"):
        any_store(SAMPLE, None)


def test_any_store_without_a_store_names_the_command():
    with pytest.raises(WorkspaceError, match=r"no store of sample .*mer-data build"):
        any_store(SAMPLE, None)


def test_only_dataset():
    with pytest.raises(WorkspaceError, match=r"no store in the workspace in .*`mer-data build"):
        only_dataset(None)
    SAMPLE.raw.mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="no store in the workspace"):
        only_dataset(None)
    put_store("aligned")
    put_store("unaligned")
    assert only_dataset(None) == "sample"
    put_store(dataset="mosi")
    with pytest.raises(WorkspaceError, match=r"several datasets .*: found mosi, sample\. .*--dataset NAME"):
        only_dataset(None)
    assert only_dataset("mosei") == "mosei"
