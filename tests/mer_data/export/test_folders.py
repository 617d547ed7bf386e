from pathlib import Path

import pytest

from mer_data.export.folders import complete_folder_or_absent


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fill(folder, text):
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text(text)
    (folder / "sub" / "b").write_text(text)


def test_the_folder_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "folder"
    with complete_folder_or_absent(target) as partial:
        fill(partial, "whole")
        assert not target.exists()
    assert content(tmp_path) == {"new/folder/a": "whole", "new/folder/sub/b": "whole"}
    assert target.stat().st_mode == target.parent.stat().st_mode


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_after_an_exception_and_what_was_there_stays(tmp_path, error):
    def interrupted(target):
        with complete_folder_or_absent(target) as partial:
            fill(partial, "half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        interrupted(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
    fill(tmp_path / "x", "old")
    with pytest.raises(error, match="stop"):
        interrupted(tmp_path / "x")
    assert content(tmp_path) == {"x/a": "old", "x/sub/b": "old"}


def test_a_folder_is_replaced_whole(tmp_path):
    fill(tmp_path / "x", "old")
    (tmp_path / "x" / "only old").write_text("")
    with complete_folder_or_absent(tmp_path / "x") as partial:
        fill(partial, "new")
        assert content(tmp_path / "x")["a"] == "old"
    assert content(tmp_path) == {"x/a": "new", "x/sub/b": "new"}


def test_the_old_folder_comes_back_where_the_new_one_cannot_be_put(tmp_path, monkeypatch):
    fill(tmp_path / "x", "old")
    rename = Path.rename

    def broken(path, target):
        if path.name.endswith(".partial"):
            raise OSError("the disk is gone")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", broken)
    with (
        pytest.raises(OSError, match="the disk is gone"),
        complete_folder_or_absent(tmp_path / "x") as partial,
    ):
        fill(partial, "new")
    assert content(tmp_path) == {"x/a": "old", "x/sub/b": "old"}


def test_two_writers_do_not_meet(tmp_path):
    target = tmp_path / "x"
    with complete_folder_or_absent(target) as first, complete_folder_or_absent(target) as second:
        fill(first, "first")
        fill(second, "second")
    assert content(tmp_path) == {"x/a": "first", "x/sub/b": "first"}
    assert list(tmp_path.iterdir()) == [target]
