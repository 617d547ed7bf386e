"""From a server to a trained model, unattended: a made-up CMU-MOSEI in the layout of the published files."""

import json
import os
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner
from made_up_mosei import write_made_up_mosei

from mer_data.commands import main
from mer_data.sources import folds
from mer_data.workspace import Workspace

DATA = (
    "mer-data download mosei --mirror {mirror}",
    "mer-data build --dataset mosei",
    "mer-data repartition --dataset mosei",
    "mer-data repartition --dataset mosei --task seven",
    "mer-data counterfactual-vocab --dataset mosei --split ood_binary_seed0",
)
TRAINING = (
    "mer-data statistics --dataset mosei --split ood_binary_seed0 --text-encoder tiny",
    "cider train sample --set data.dataset=mosei --set data.split=ood_binary_seed0"
    " --set training.max_epochs=1 --out run",
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path):
    """A server for a folder: its address and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def assert_arrived(folder, num_utterances):
    """Every file of the way is there, and the downloads are the served files."""
    workspace = Workspace("mosei")
    served = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {path.name: path.read_bytes() for path in workspace.raw.glob("*.csd")} == served
    assert set(json.loads(workspace.source_lock.read_text())["files"]) == set(served)
    for task in ("binary", "seven"):
        split = json.loads(workspace.split_path(f"ood_{task}_seed0").read_text())
        assert split["task"] == task
        assert sum(map(len, split["splits"].values())) + len(split["dropped"]) == num_utterances
        bits = split["shift"]["word_label_divergence_bits"]
        assert bits["this_split"] > bits["random_mean"]
    vocabulary = workspace.vocabulary_path(Path("unaligned.h5"), Path("ood_binary_seed0.json"), "binary")
    assert ",awful," in vocabulary.read_text()


@pytest.mark.usefixtures("bert_pieces")
def test_some_videos_become_a_split_and_a_vocabulary(mirror, monkeypatch):
    address, folder = mirror
    complete = folds._sdk_lists("cmu_mosei")
    few = {fold: videos[:size] for (fold, videos), size in zip(complete.items(), (24, 6, 12), strict=True)}
    monkeypatch.setattr(folds, "_sdk_lists", lambda _: few)
    write_made_up_mosei(folder, num_segments=6)
    for line in DATA:
        result = CliRunner().invoke(main, line.format(mirror=address).split()[1:])
        assert result.exit_code == 0, f"{line}: {result.output}"
    assert_arrived(folder, 6 * 42)


@pytest.mark.slow
@pytest.mark.usefixtures("bert_pieces")
def test_every_video_of_the_standard_folds_goes_the_whole_way(mirror, tmp_path, workspace_home):
    address, folder = mirror
    write_made_up_mosei(folder)
    for line in DATA + TRAINING:
        program, *words = line.format(mirror=address).split()
        code = f"from {program.replace('-', '_')}.commands import main; main()"
        environment = {**os.environ, "MER_DATA_HOME": str(workspace_home), "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, env=environment, check=True)
    assert_arrived(folder, 3228)
    assert list((tmp_path / "run").rglob("*.safetensors"))
