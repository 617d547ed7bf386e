"""``mer-data download``: parses, calls, prints; faults are tested where the downloading is."""

import json
import time

import pytest
from click.testing import CliRunner
from download_corpus import FACE, TONE, describe_corpus, make_csd_bytes, sha256
from file_server import running

from mer_data.commands import main
from mer_data.progress import transfer_bars
from mer_data.workspace import Workspace


@pytest.fixture
def server(tmp_path):
    with running() as started:
        tone = make_csd_bytes(tmp_path / "tone.csd")
        face = make_csd_bytes(tmp_path / "face.csd", root="Sample Face")
        describe_corpus(
            TONE | {"addresses": [started.add("/tone.csd", tone)]},
            FACE | {"addresses": [started.add("/face.csd", face)]},
        )
        yield started


def test_says_what_came_and_what_comes_next(invoke, server):
    output = invoke("download", "tiny").splitlines()
    content = server.files["/tone.csd"]
    size = f"{len(content) / 1e6:.1f} MB"
    assert output[0] == f"{Workspace('tiny').raw / 'tone.csd'}: fetched, {size}, sha256:{sha256(content)}"
    assert output[-1] == "Next: mer-data build --dataset tiny"
    assert "present" in invoke("download", "tiny")


def test_json(invoke, server):
    result = json.loads(invoke("download", "tiny", "--only", "audio", "--json"))
    assert result["folder"] == str(Workspace("tiny").raw)
    (file,) = result["files"]
    assert (file["state"], file["origin"]) == ("fetched", f"{server.url}/tone.csd")
    assert file["sha256"] == f"sha256:{sha256(server.files['/tone.csd'])}"


def test_a_dry_run_fetches_nothing(invoke, server, workspace_home):
    output = invoke("download", "tiny", "--dry-run")
    assert f"tone.csd: {server.url}/tone.csd (0.2 MB)" in output
    assert server.gets() == []
    assert not Workspace("tiny").raw.exists()
    files = json.loads(invoke("download", "tiny", "--only", "tone", "--dry-run", "--json"))["files"]
    assert [(file["present"], file["bytes"]) for file in files] == [(False, len(server.files["/tone.csd"]))]


def test_offline_lists_every_file_its_addresses_and_the_folder(server):
    server.files.clear()
    result = CliRunner().invoke(main, ["download", "tiny"])
    raw = Workspace("tiny").raw
    assert (result.exit_code, result.stdout) == (1, "")
    first, *lines = result.stderr.splitlines()
    assert first.startswith("Error: 2 of 2 files of tiny could not be had (listed below). ")
    assert f"put them into {raw} under any name and run `mer-data import {raw}`" in first
    assert lines == [f"  {name}: {server.url}/{name} (404 Not Found)" for name in ("tone.csd", "face.csd")]


def test_files_on_drives_are_told_with_their_page_and_path():
    result = CliRunner().invoke(main, ["download", "mosi", "--only", "mmsa"])
    assert result.exit_code == 1
    for name in ("unaligned", "aligned"):
        line = next(line for line in result.stderr.splitlines() if f" mmsa_{name}_50.pkl: " in line)
        assert "https://drive.google.com/drive/folders/1A2S4pqCHryGmiqnNSPLv7rEg63WvjCSk" in line
        assert f"take MOSI/Processed/{name}_50.pkl from there" in line


def test_what_cannot_be_downloaded(refuse):
    assert "unknown dataset: found 'none'" in refuse("download", "none")
    assert "Make it with `mer-data sample`" in refuse("download", "sample")
    assert "nothing of mosi is called 'smell'" in refuse("download", "mosi", "--only", "audio,smell")
    assert "a mirror is the http address" in refuse("download", "mosi", "--mirror", "/folder")


def test_bad_options(misuse):
    assert "Missing argument 'DATASET'" in misuse("download")
    assert "--timeout" in misuse("download", "mosi", "--timeout", "0")
    assert "--workers" in misuse("download", "mosi", "--workers", "0")


def test_bars_are_quiet_without_a_terminal(capsys):
    with transfer_bars({"a": 10, "b": None}) as update:
        update("a", 5, 10)
        update("b", 5, None)
    assert capsys.readouterr() == ("", "")


def test_bars_show_each_file_and_the_whole_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with transfer_bars({"a": 1000, "b": 3000}) as update:
        for done in (100, 500):
            update("a", done, 1000)
            update("b", 3 * done, 3000)
            time.sleep(0.15)
    shown = capsys.readouterr().err
    assert "a:  50%" in shown
    assert "b:  50%" in shown
    assert "in total" in shown
