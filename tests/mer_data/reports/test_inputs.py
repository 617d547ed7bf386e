import dataclasses
import shutil

import pytest

from mer_data.errors import SplitError, WorkspaceError
from mer_data.reports.inputs import STANDARD, check_curve, choose_splits, refuse_filled
from mer_data.workspace import Workspace


@pytest.fixture
def workspace(splits):
    """The three splits in a workspace."""
    found = Workspace("sample")
    for split in splits:
        split.manifest.save(found.split_path(split.name))
    return found


def test_all_splits_of_the_workspace_the_standard_folds_first(workspace, store, splits):
    chosen = choose_splits(workspace, store, ())
    assert [split.name for split in chosen] == ["standard", "ood_binary", "ood_seven"]
    assert [split.manifest for split in chosen] == [split.manifest for split in splits]
    assert [split.task.name for split in chosen] == ["binary", "binary", "seven"]


def test_named_splits_alone_by_name_or_path(workspace, store, tmp_path):
    path = shutil.copy(workspace.split_path("ood_binary"), tmp_path / "mine.json")
    chosen = choose_splits(workspace, store, [str(path), "standard"])
    assert [split.name for split in chosen] == ["mine", "standard"]


def test_a_series_stands_in_the_order_of_its_severities(store, splits):
    found = Workspace("sample")
    manifest = splits[1].manifest
    for name, changes in {
        "severity0.75": {"severity": 0.75},
        "severity0": {"severity": 0.0},
        "severity1": {"severity": 1.0},
        "a_video": {"severity": 1.0, "group_by": "video"},
    }.items():
        generator = {**manifest.generator, **changes}
        dataclasses.replace(manifest, generator=generator).save(found.split_path(name))
    splits[0].manifest.save(found.split_path("z_standard"))
    names = [split.name for split in choose_splits(found, store, ())]
    assert names == ["z_standard", "severity0", "severity0.75", "severity1", "a_video"]


def test_without_a_split_the_standard_folds_are_measured(store, splits):
    (chosen,) = choose_splits(Workspace("sample"), store, ())
    assert chosen.name == STANDARD
    assert chosen.manifest == splits[0].manifest


def test_without_splits_and_folds_there_are_none(tmp_path):
    from exact_stores import write_store

    store = write_store(tmp_path / "s.h5", ["a"] * 4, folds="train")
    assert choose_splits(Workspace("sample"), store, ()) == []


def test_a_split_of_another_store_is_refused_by_name(workspace, tmp_path):
    from exact_stores import write_store

    store = write_store(tmp_path / "s.h5", ["a"] * 4)
    with pytest.raises(SplitError, match=r"ood_binary\.json: the split manifest was made from another store"):
        choose_splits(workspace, store, ())


def test_one_name_for_two_splits_is_refused(workspace, store, tmp_path):
    path = shutil.copy(workspace.split_path("standard"), tmp_path / "standard.json")
    with pytest.raises(WorkspaceError, match="two splits have one name: found standard"):
        choose_splits(workspace, store, ["standard", str(path)])
    with pytest.raises(WorkspaceError, match="no split 'nosuch'"):
        choose_splits(workspace, store, ["nosuch"])


@pytest.mark.parametrize(
    ("severities", "seeds", "message"),
    [
        ((0.5, 1.5), (0,), "impossible severity: found 1.5"),
        ((float("nan"),), (0,), "impossible severity: found nan"),
        ((0.5, 0.25, 0.5), (0,), "a value of --severities was named twice: found 0.5"),
        (None, (0, -1), "negative seed: found -1"),
        (None, (1, 1), "a value of --seeds was named twice: found 1"),
    ],
)
def test_impossible_curves_are_refused(severities, seeds, message):
    with pytest.raises(SplitError, match=message):
        check_curve(severities, seeds)
    check_curve((0.0, 1.0), (0, 1))
    check_curve(None, (0,))


def test_a_folder_with_figures_needs_force(tmp_path):
    refuse_filled(tmp_path / "absent", force=False)
    (tmp_path / "notes.txt").touch()
    refuse_filled(tmp_path, force=False)
    (tmp_path / "labels.pdf").touch()
    with pytest.raises(WorkspaceError, match=r"holds figures already: found labels\.pdf\. Pass --force"):
        refuse_filled(tmp_path, force=False)
    refuse_filled(tmp_path, force=True)
