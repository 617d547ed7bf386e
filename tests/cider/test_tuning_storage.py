import socket

import pytest

from cider.tuning_storage import masked, open_storage, storage_errors
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
