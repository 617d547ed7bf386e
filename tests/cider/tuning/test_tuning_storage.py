import socket
import sqlite3

import optuna
import pytest

from cider.tuning.storage import masked, open_storage, storage_errors
from mer_data.errors import RunError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:p@ss:w/rd@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=s3cret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:///runs/study.db", "sqlite:///runs/study.db"),
        ("journal:runs/study.journal", "journal:runs/study.journal"),
    ],
)
def test_passwords_are_masked(url, shown):
    assert masked(url) == shown


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:///{folder}/nowhere/study.db", "unable to open database file"),
        ("sqlite:///{folder}/text.db", "file is not a database"),
        ("journal:{folder}/nowhere/study.journal", "No such file"),
        ("journal:{folder}", "Is a directory"),
        ("nosuchbase://me:s3cret@host/db", "Can't load plugin"),
        ("mssql+pymssql://me:s3cret@host/db", "Failed to import DB access module"),
        ("nonsense", "Could not parse"),
    ],
)
def test_a_storage_that_cannot_be_used_is_told_in_one_line(tmp_path, url, reason):
    (tmp_path / "text.db").write_text("no database" * 100, encoding="utf-8")
    url = url.format(folder=tmp_path)
    with pytest.raises(RunError, match=f"cannot use the storage of the study .*{reason}") as caught:
        open_storage(url)
    assert masked(url) in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_does_not_run_is_told_without_the_password():
    pytest.importorskip("psycopg", reason="the extra 'postgresql' is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RunError, match=r"cannot use the storage .*psycopg://me:\*\*\*@") as caught:
        open_storage(f"postgresql+psycopg://me:s3cret@127.0.0.1:{port}/db")
    assert "s3cret" not in str(caught.value)


def test_what_a_driver_repeats_is_masked():
    url = "postgresql://me:s3cret@host/db"
    with pytest.raises(RunError, match=r"\(no luck with \*\*\*\)"), storage_errors(url, OSError):
        raise OSError("no luck with s3cret")


def test_other_errors_are_not_the_storages():
    with pytest.raises(ValueError, match="mine"), storage_errors("sqlite://"):
        raise ValueError("mine")


# --- files of something else ---


@pytest.mark.parametrize(
    "content",
    ["my notes\n", '{"op": 1}\n', "[1]\n", '{"op_code": "x"}\n', "\x00\x01", '{"op_code": 1', "\n"],
)
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(
        RunError, match=r"the file is no journal of a study, and is left as it is in .*notes.txt"
    ):
        open_storage(f"journal:{path}")
    assert path.read_text(encoding="utf-8") == content


def test_a_database_of_something_else_is_left_as_it_is(tmp_path):
    path = tmp_path / "library.db"
    with sqlite3.connect(path) as database:
        database.execute("create table books (title text)")
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"not of studies, and is left as it is .*: found the tables books"):
        open_storage(f"sqlite:///{path}")
    assert path.read_bytes() == before


@pytest.mark.parametrize("url", ["journal:{folder}/study", "sqlite:///{folder}/study"])
def test_an_empty_file_and_a_study_are_used(tmp_path, url):
    (tmp_path / "study").touch()
    for _ in range(2):
        optuna.create_study(
            storage=open_storage(url.format(folder=tmp_path)), study_name="a", load_if_exists=True
        )


@pytest.mark.parametrize("tail", [b'{"op_code":4,"wor', b'{"op'])
def test_half_a_line_of_a_killed_worker_is_dropped(tmp_path, tail):
    path = tmp_path / "study.journal"
    optuna.create_study(storage=open_storage(f"journal:{path}"), study_name="a")
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    study = optuna.load_study(storage=open_storage(f"journal:{path}"), study_name="a")
    assert path.read_bytes() == whole
    study.add_trial(optuna.trial.create_trial(value=1.0))
    assert len(optuna.load_study(storage=open_storage(f"journal:{path}"), study_name="a").trials) == 1
