import sys
from dataclasses import replace

import numpy as np
import pytest
from builders import files_below
from described_stores import described_store, standard
from exact_stores import split_of
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.errors import ExportError, SplitError
from mer_data.export import hf_datasets
from mer_data.export import rows as rows_module
from mer_data.export.card import card
from mer_data.export.facts import collect_facts
from mer_data.export.hf_datasets import SPLIT_NAMES, check_target, export_datasets, import_datasets
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS

hf = pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")


def export(store, split, target, **options):
    return export_datasets(store, split, target, collect_facts(store, split, "split"), **options)


def known(value):
    return None if np.isnan(value) else value


def assert_rows_of(store, split, loaded):
    """Every value of the folder is that of the store, in the store's order."""
    assert list(loaded) == [SPLIT_NAMES[fold] for fold, ids in split.splits.items() if ids]
    for fold, chosen in split.indices(store.utterances["id"]).items():
        if not len(chosen):
            continue
        part = loaded[SPLIT_NAMES[fold]]
        arrays = part.with_format("numpy")
        assert part["id"][:] == store.utterances["id"].iloc[chosen].tolist()
        for number, index in enumerate(chosen.tolist()):
            row, frames = part[number], arrays[number]
            own, read = store.utterances.iloc[index], store.read([index])
            for name in ("id", "video_id", "segment", "text", "label"):
                assert row[name] == own[name], name
            for name in ("start_s", "end_s"):
                assert row[name] == known(own[name])
            label = float(own["label"])
            assert part.features["class_binary"].int2str(row["class_binary"]) == (
                "negative" if label < 0 else "positive" if label > 0 else "neutral"
            )
            assert part.features["class_seven"].int2str(row["class_seven"]) == f"{round(label)}"
            assert row["tokens"] == read.token_ids[0].tolist()
            assert row["token_words"] == read.token_words[0].tolist()
            for name in ("audio", "vision"):
                assert frames[name].dtype == np.float32
                np.testing.assert_array_equal(frames[name], read.streams[name][0], strict=True)
            assert row["words"] == [
                {"word": word, "start_s": known(start), "end_s": known(end)}
                for word, start, end in store.words(index).tolist()
            ]


@pytest.mark.parametrize(("alignment", "group"), [("unaligned", 7), ("aligned", 256)])
def test_every_value_is_there(sample_stores, tmp_path, alignment, group, monkeypatch):
    monkeypatch.setattr(rows_module, "GROUP", group)
    store = FeatureStore.open(sample_stores[alignment])
    split, calls = standard(store), []
    report = export(store, split, tmp_path / "x", progress=lambda done, total: calls.append((done, total)))
    loaded = hf.load_from_disk(str(tmp_path / "x"))
    assert_rows_of(store, split, loaded)
    assert report.sizes == {fold: len(ids) for fold, ids in split.splits.items()}
    assert report.num_words == sum(len(row) for part in loaded.values() for row in part["words"])
    assert calls[-1] == (sum(report.sizes.values()),) * 2


@settings(max_examples=5)
@given(data=st.data())
def test_rows_of_any_length_come_back(data, tmp_path_factory):
    num = data.draw(st.integers(1, 7))
    lengths = st.lists(st.integers(0, 4), min_size=num, max_size=num)
    labels = data.draw(st.lists(st.floats(-3, 3, width=32), min_size=num, max_size=num))
    texts = data.draw(st.lists(st.text("ab \U0001f600'", max_size=8), min_size=num, max_size=num))
    folds = data.draw(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=num, max_size=num))
    folds[0] = 2
    folder = tmp_path_factory.mktemp("any")
    store = described_store(
        folder / "s.h5", texts, labels, audio=data.draw(lengths), vision=data.draw(lengths), known=["a b"]
    )
    split = split_of(store, *([row for row in range(num) if folds[row] == fold] for fold in range(3)))
    export(store, split, folder / "x")
    assert_rows_of(store, split, hf.load_from_disk(str(folder / "x")))


def test_types_of_the_columns(small_store, small_split, tmp_path):
    export(small_store, small_split, tmp_path / "x")
    features = hf.load_from_disk(str(tmp_path / "x"))["train"].features
    assert features["audio"] == hf.Array2D(shape=(None, 3), dtype="float32")
    assert features["vision"] == hf.Array2D(shape=(None, 2), dtype="float32")
    assert features["label"] == hf.Value("float32")
    assert features["tokens"] == hf.List(hf.Value("int32"))
    for task in TASKS.values():
        assert features[f"class_{task.name}"] == hf.ClassLabel(names=list(task.classes))


def test_the_folder_carries_its_card_and_terms(small_store, small_split, small_facts, tmp_path):
    export_datasets(small_store, small_split, tmp_path / "x", small_facts)
    assert (tmp_path / "x" / "README.md").read_text(encoding="utf-8") == card(small_facts)
    info = hf.load_from_disk(str(tmp_path / "x"))["train"].info
    assert info.license == small_facts.corpus.licence
    assert info.citation == small_facts.corpus.citation
    assert info.description.endswith(small_facts.corpus.terms)


def test_equal_input_gives_equal_bytes_and_a_split_another_fingerprint(small_store, small_split, tmp_path):
    other = split_of(small_store, [0, 2, 3], [1], [4])
    for name, split in {"a": small_split, "b": small_split, "c": other}.items():
        export(small_store, split, tmp_path / name)
    names = files_below(tmp_path / "a")
    assert names == files_below(tmp_path / "b")
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    prints = {name: hf.load_from_disk(str(tmp_path / name))["train"]._fingerprint for name in "ac"}
    assert prints["a"] != prints["c"]


def test_an_empty_fold_has_no_split(small_store, tmp_path):
    split = split_of(small_store, [], [], [0, 1])
    assert export(small_store, split, tmp_path / "x").sizes == {"train": 0, "valid": 0, "test": 2}
    assert list(hf.load_from_disk(str(tmp_path / "x"))) == ["test"]


def test_nothing_is_left_of_a_broken_export_and_the_old_one_stays(
    small_store, small_split, tmp_path, monkeypatch
):
    export(small_store, small_split, tmp_path / "x")
    before = files_below(tmp_path)

    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setattr(hf_datasets, "write_card", broken)
    for name in ("x", "y"):
        with pytest.raises(OSError, match="no space left"):
            export(small_store, small_split, tmp_path / name)
    assert files_below(tmp_path) == before
    assert len(hf.load_from_disk(str(tmp_path / "x"))["train"]) == 3


def test_progress_bars_of_the_library_are_as_before(small_store, small_split, tmp_path, capfd):
    export(small_store, small_split, tmp_path / "x")
    assert not hf.are_progress_bars_disabled()
    assert capfd.readouterr().err == ""


# --- what is refused ---


def test_a_missing_package_is_one_clear_line(small_store, small_split, small_facts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ExportError, match=r"'datasets' is not installed\. Run `pip install 'mer-data\[data"):
        export_datasets(small_store, small_split, tmp_path / "x", small_facts)
    with pytest.raises(ExportError, match="not installed"):
        import_datasets()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_no_export_wrote_is_not_replaced(tmp_path, small_store, small_split, what):
    target = tmp_path / "mine"
    if what == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "thesis.tex").write_text("mine")
    with pytest.raises(ExportError, match=r"mine is no folder of datasets and is not replaced\."):
        export(small_store, small_split, target)
    assert "mine" in (target if what == "file" else target / "thesis.tex").read_text()


def test_an_empty_folder_may_be_filled(tmp_path, small_store, small_split):
    (tmp_path / "x").mkdir()
    check_target(tmp_path / "x")
    export(small_store, small_split, tmp_path / "x")
    assert (tmp_path / "x" / "dataset_dict.json").is_file()


def test_a_split_of_another_store_leaves_no_folder(small_store, small_facts, sample_store, tmp_path):
    with pytest.raises(SplitError, match=r"made from another store"):
        export_datasets(small_store, standard(sample_store), tmp_path / "out" / "x", small_facts)
    assert not (tmp_path / "out").exists()


def test_a_split_without_utterances_is_refused(small_store, small_split, small_facts, tmp_path):
    empty = replace(small_split, splits=dict.fromkeys(("train", "valid", "test"), ()))
    with pytest.raises(ExportError, match=r"no fold has an utterance: expected utterances in train"):
        export_datasets(small_store, empty, tmp_path / "x", small_facts)
