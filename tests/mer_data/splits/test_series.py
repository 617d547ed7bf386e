import dataclasses

import pytest

from mer_data.errors import SplitError, WorkspaceError
from mer_data.splits import SplitManifest
from mer_data.splits.series import SeriesSplit, as_series, at_severities, choose_series, find_series
from mer_data.tasks import TASKS
from mer_data.workspace import Workspace

BINARY = TASKS["binary"]
DIGEST = "sha256:" + "0" * 64


def manifest(severity, *, task="binary", digest=DIGEST, ids=("a", "b", "c"), **parameters):
    recorded = {"name": "repartition", "seed": 0, "severity": severity, "group_by": "utterance"}
    return SplitManifest(
        dataset="sample",
        task=task,
        kind="ood",
        generator={**recorded, "keep_valid": "iid", **parameters},
        utterance_digest=digest,
        splits=dict(zip(("train", "valid", "test"), ([one] for one in ids), strict=True)),
        dropped=(),
        shift={"word_label_divergence_bits": {"this_split": severity / 10}},
    )


@pytest.fixture
def workspace():
    return Workspace("sample")


def save(workspace, *manifests):
    for one in manifests:
        one.save(workspace.split_path(f"split{len(list(workspace.root.glob('splits/*')))}"))


def levels(splits):
    return [split.severity for split in splits]


def test_a_series_is_what_differs_in_severity_alone(workspace):
    save(workspace, manifest(1.0), manifest(0.0), manifest(0.5), manifest(0.5))
    standard = dataclasses.replace(
        manifest(0), task="any", kind="standard", generator={"name": "standard_folds"}
    )
    save(workspace, manifest(0.2, task="seven"), manifest(0.3, digest="sha256:1"), standard)
    splits = choose_series(workspace, BINARY, DIGEST)
    assert levels(splits) == [0.0, 0.5, 1.0]
    assert [split.divergence_bits for split in splits] == [0.0, 0.05, 0.1]
    assert splits[0].series_name == "ood_binary_seed0"
    assert levels(at_severities(splits, (1, 0))) == [0.0, 1.0]
    with pytest.raises(SplitError, match=r"no split of severity 0.25: found 0, 0.5, 1"):
        at_severities(splits, (0, 0.25))


def test_a_series_that_was_applied_to_another_store_is_one(workspace):
    made = [manifest(0.0), manifest(1.0)]
    applied = [
        dataclasses.replace(
            one,
            generator={"name": "applied", "manifest": one.digest, "made_by": one.generator},
            utterance_digest="sha256:1",
        )
        for one in made
    ]
    save(workspace, *made, *applied)
    splits = choose_series(workspace, BINARY, "sha256:1")
    assert levels(splits) == [0.0, 1.0]
    assert {split.manifest.utterance_digest for split in splits} == {"sha256:1"}


def test_without_a_series_the_command_that_makes_one_is_named(workspace):
    save(workspace, manifest(0.6))
    command = "mer-data repartition --dataset sample --task binary --series 0,0.25,0.5,0.75,1"
    with pytest.raises(WorkspaceError, match=f"no graded series of splits.*{command}"):
        choose_series(workspace, BINARY, DIGEST)


def test_among_several_series_one_is_chosen_by_name_or_folder(workspace, tmp_path):
    save(workspace, manifest(0.0), manifest(1.0))
    save(workspace, manifest(0.0, group_by="video"), manifest(0.5, group_by="video"))
    with pytest.raises(
        WorkspaceError,
        match=r"several series of splits .*ood_binary_seed0; ood_binary_video_seed0. Choose one with",
    ):
        choose_series(workspace, BINARY, DIGEST)
    assert levels(choose_series(workspace, BINARY, DIGEST, "ood_binary_video_seed0")) == [0.0, 0.5]
    with pytest.raises(WorkspaceError, match="no series 'ood_binary_seed7'"):
        choose_series(workspace, BINARY, DIGEST, "ood_binary_seed7")
    for severity in (0.0, 0.1):
        manifest(severity, seed=5).save(tmp_path / "elsewhere" / f"{severity}.json")
    assert levels(choose_series(workspace, BINARY, DIGEST, str(tmp_path / "elsewhere"))) == [0.0, 0.1]


def test_series_that_their_name_does_not_tell_apart_are_both_found(workspace):
    save(workspace, manifest(0.0), manifest(1.0), manifest(0.0, min_count=5), manifest(1.0, min_count=5))
    names = list(find_series(workspace.root / "splits", BINARY, DIGEST))
    assert names[0] == "ood_binary_seed0"
    assert names[1].startswith("ood_binary_seed0, split")


def test_splits_of_different_series_are_refused(tmp_path):
    one = SeriesSplit.from_manifest(tmp_path / "a.json", manifest(0.0))
    other = SeriesSplit.from_manifest(tmp_path / "b.json", manifest(0.5, task="seven", seed=3))
    with pytest.raises(SplitError, match="another task, seed: found seven, 3, expected binary, 0"):
        as_series([one, other])
    changed = SeriesSplit.from_manifest(tmp_path / "c.json", manifest(0.0, ids=("b", "a", "c")))
    with pytest.raises(SplitError, match=r"a.json and .*c.json are different splits of severity 0\."):
        as_series([one, changed])


def test_a_split_without_a_severity_is_refused(tmp_path):
    made = dataclasses.replace(manifest(0), generator={"name": "imported"})
    with pytest.raises(SplitError, match=r"the split has no severity in .*a.json"):
        SeriesSplit.from_manifest(tmp_path / "a.json", made)
