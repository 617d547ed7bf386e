import json
import os

import pytest
import torch
from training_helpers import files_of

from cider.runs.checkpoints import TrainingCheckpoints, link_or_copy
from mer_data.errors import RunError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture
def best(tmp_path):
    path = tmp_path / "best.safetensors"
    path.write_bytes(b"the best weights")
    return path


def save(folder, epoch, best=None):
    TrainingCheckpoints(folder).save(
        epoch,
        {"weights": {"w": torch.full((3,), float(epoch))}, "random": {"order": torch.tensor([epoch, 255])}},
        {"best_score": -1 / 3, "conditions": {"processes": 1}},
        files={} if best is None else {"best": best},
    )


def test_what_was_saved_comes_back(folder, best):
    save(folder, 7, best)
    found = TrainingCheckpoints(folder).newest()
    assert found.epoch == 7
    assert found.folder == folder / "epoch-0007"
    assert found.numbers == {"best_score": -1 / 3, "conditions": {"processes": 1}}
    assert found.tensors("weights")["w"].tolist() == [7.0] * 3
    assert found.tensors("random")["order"].dtype == torch.int64
    assert found.file("best").read_bytes() == b"the best weights"
    assert found.file("worst") is None
    assert found.file("best").samefile(best)  # a link: no space


def test_nothing_is_pickled(folder, best):
    save(folder, 1, best)
    assert sorted(files_of(folder)) == [
        "epoch-0001/best.safetensors",
        "epoch-0001/random.safetensors",
        "epoch-0001/state.json",
        "epoch-0001/weights.safetensors",
    ]


def test_the_last_two_are_kept(folder):
    for epoch in (1, 2, 3, 10):
        save(folder, epoch)
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-0003", "epoch-0010"]
    assert TrainingCheckpoints(folder).newest().epoch == 10


def test_a_copy_is_made_where_the_file_system_has_no_links(tmp_path, best, monkeypatch):
    def refuse(source, target):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(best, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == best.read_bytes()
    assert not best.samefile(tmp_path / "copy")


def test_a_file_linked_to_itself_stays(tmp_path, best):
    link_or_copy(best, tmp_path / "again")
    link_or_copy(best, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "best.safetensors"]


# --- damage ---


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def edit_numbers(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    content["state"]["numbers"]["best_score"] = 0.99
    path.write_text(json.dumps(content), encoding="utf-8")


DAMAGE = {
    "a bit of the weights": lambda at: flip(at / "weights.safetensors"),
    "half of the weights": lambda at: os.truncate(at / "weights.safetensors", 40),
    "no random state": lambda at: (at / "random.safetensors").unlink(),
    "no state": lambda at: (at / "state.json").unlink(),
    "half of the state": lambda at: os.truncate(at / "state.json", 90),
    "an empty state": lambda at: (at / "state.json").write_text(""),
    "a state of another kind": lambda at: (at / "state.json").write_text("[]"),
    "another score": lambda at: edit_numbers(at / "state.json"),
    "an empty folder": lambda at: [path.unlink() for path in at.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_skipped_with_a_warning(folder, caplog, damage):
    save(folder, 6)
    save(folder, 7)
    damage(folder / "epoch-0007")
    assert TrainingCheckpoints(folder).newest().epoch == 6
    (message,) = caplog.messages
    assert message.startswith("Skipped a checkpoint: damaged checkpoint")
    assert "epoch-0007" in message
    assert "\n" not in message
    save(folder, 7)  # and training replaces it
    assert TrainingCheckpoints(folder).newest().epoch == 7


def test_one_of_another_version_is_skipped(folder, caplog, monkeypatch):
    save(folder, 1)
    monkeypatch.setattr("cider.runs.checkpoints._VERSION", 2)
    save(folder, 2)
    monkeypatch.undo()
    assert TrainingCheckpoints(folder).newest().epoch == 1
    assert "of another version in" in caplog.text
    assert "found 2, expected 1" in caplog.text


def test_without_a_whole_one_there_is_an_error(folder):
    with pytest.raises(RunError, match=r"no epoch has been completed.*Train again with --force"):
        TrainingCheckpoints(folder).newest()
    save(folder, 1)
    flip(folder / "epoch-0001" / "weights.safetensors")
    with pytest.raises(RunError, match=r"no checkpoint is whole in .*Train again with --force"):
        TrainingCheckpoints(folder).newest()


def test_one_that_was_half_written_is_no_checkpoint(folder, monkeypatch):
    save(folder, 1)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cider.runs.checkpoints.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        save(folder, 2)
    monkeypatch.undo()
    assert not (folder / "epoch-0002").exists()
    assert TrainingCheckpoints(folder).newest().epoch == 1
    save(folder, 2)
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-0001", "epoch-0002"]


def test_clearing_removes_checkpoints_and_leaves_the_rest(folder, best):
    save(folder, 1)
    save(folder, 2)
    (folder / ".epoch-0003.partial").mkdir()
    link_or_copy(best, folder / "best.safetensors")
    (folder / "epoch-notes.txt").write_text("mine")
    checkpoints = TrainingCheckpoints(folder)
    assert checkpoints.last_epoch() == 2
    checkpoints.clear()
    assert checkpoints.last_epoch() == 0
    assert sorted(path.name for path in folder.iterdir()) == ["best.safetensors", "epoch-notes.txt"]
