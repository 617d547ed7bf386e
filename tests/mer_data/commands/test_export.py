import json
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pyarrow.parquet as pq
import pytest

from mer_data.export.parquet import words_path
from mer_data.splits import SplitManifest
from mer_data.store import FeatureStore
from mer_data.workspace import Workspace


def export_path(suffix=".pkl", store="unaligned", split="standard"):
    return Workspace("sample").root / "exports" / f"{store}.{split}{suffix}"


@pytest.mark.usefixtures("put_split")
def test_mmsa(invoke):
    output = invoke("export", "--format", "mmsa").splitlines()
    content = pickle.loads(export_path().read_bytes())
    sizes = " / ".join(str(len(content[fold]["id"])) for fold in ("train", "valid", "test"))
    assert output[0] == f"{sizes} (train / valid / test) in {export_path()}."
    assert f"  text_bert: {len(content['train']['id'])} x 3 x 50" in output


@pytest.mark.usefixtures("put_split")
def test_mmsa_with_text_and_padding(invoke, tmp_path):
    target = tmp_path / "mine.pkl"
    invoke("export", "--format", "mmsa", "--text-encoder", "tiny", "--pad-to", "limits", "--out", target)
    part = pickle.loads(target.read_bytes())["train"]
    limits = FeatureStore.open(Workspace("sample").store_path("unaligned")).limits
    assert part["text"].shape[1:] == (50, 64)
    assert part["audio"].shape[1] == limits["audio"]


def test_json(invoke, put_split):
    result = json.loads(invoke("export", "--format", "mmsa", "--json"))
    split = SplitManifest.load(put_split)
    assert result["path"] == str(export_path())
    assert result["split"] == split.digest
    assert result["sizes"] == {fold: len(ids) for fold, ids in split.splits.items()}
    tables = json.loads(invoke("export", "--format", "parquet", "--json"))
    assert tables["words_path"] == str(words_path(export_path(".parquet")))


@pytest.mark.usefixtures("put_split")
def test_parquet(invoke):
    output = invoke("export", "--format", "parquet")
    assert "words in" in output
    assert pq.read_table(export_path(".parquet")).num_rows > 0
    assert pq.read_table(words_path(export_path(".parquet"))).num_rows > 0


@pytest.mark.usefixtures("put_split")
@pytest.mark.parametrize("layout", ["mmsa", "parquet"])
def test_an_existing_file_needs_force(invoke, refuse, layout):
    invoke("export", "--format", layout)
    path = export_path({"mmsa": ".pkl", "parquet": ".parquet"}[layout])
    assert f"{path} exists already. Pass --force to replace it" in refuse("export", "--format", layout)
    before = path.read_bytes()
    path.write_bytes(b"damaged")
    invoke("export", "--format", layout, "--force")
    assert path.read_bytes() == before


@pytest.mark.usefixtures("put_split")
def test_an_existing_file_of_words_needs_force(invoke, refuse):
    invoke("export", "--format", "parquet")
    export_path(".parquet").unlink()
    assert "words.parquet exists already" in refuse("export", "--format", "parquet")


@pytest.mark.usefixtures("put_split")
@pytest.mark.parametrize(
    "options", [["--text-encoder", "tiny"], ["--pad-to", "limits"], ["--at-least-one-frame"]], ids=str
)
def test_options_of_the_other_format_are_refused(refuse, options):
    assert "belong to --format mmsa" in refuse("export", "--format", "parquet", *options)


def test_a_split_of_another_store_is_one_line(refuse, put_split):
    content = json.loads(put_split.read_text())
    put_split.write_text(json.dumps({**content, "utterance_digest": "sha256:0"}))
    for layout in ("mmsa", "parquet"):
        assert "made from another store than" in refuse("export", "--format", layout)


@pytest.mark.usefixtures("put_split")
def test_other_mistakes_are_one_line(refuse, tmp_path):
    assert "no split 'nosuch'" in refuse("export", "--format", "mmsa", "--split", "nosuch")
    assert "text encoder" in refuse("export", "--format", "mmsa", "--text-encoder", str(tmp_path))
    assert "exists already" in refuse("export", "--format", "mmsa", "--out", tmp_path)
    assert "Is a directory" in refuse("export", "--format", "mmsa", "--out", tmp_path, "--force")


def test_bad_options(misuse):
    assert "'csv' is not one of 'mmsa', 'parquet'" in misuse("export", "--format", "csv")


@pytest.mark.usefixtures("put_split")
def test_no_torch_without_a_text_encoder(workspace_home):
    code = (
        "import sys\nfrom mer_data.commands import main\n"
        "for layout in ('mmsa', 'parquet'):\n"
        "    main(['export', '--format', layout], standalone_mode=False)\n"
        "assert not [name for name in ('torch', 'transformers') if name in sys.modules]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert export_path().is_file()


@pytest.mark.parametrize("compress", [0, ("xz", 3)], ids=str)
def test_a_foreign_split_saved_with_joblib_becomes_a_manifest(invoke, refuse, put_split, tmp_path, compress):
    """The way of a published out-of-distribution file: build, then standard-split."""
    invoke("repartition", "--min-count", "3", "--out", tmp_path / "ood.json")
    invoke("export", "--format", "mmsa", "--split", tmp_path / "ood.json", "--out", tmp_path / "plain.pkl")
    foreign = tmp_path / "published.pkl"
    joblib.dump(pickle.loads((tmp_path / "plain.pkl").read_bytes()), foreign, compress=compress)
    target = Workspace("sample").store_path("published")
    invoke("build", "--dataset", "sample", "--source", foreign, "--out", target)
    assert "several stores of sample" in refuse("standard-split", "--force")  # their folds differ
    manifest = tmp_path / "published.json"
    invoke("standard-split", "--alignment", "published", "--out", manifest)
    found, ours = SplitManifest.load(manifest), SplitManifest.load(tmp_path / "ood.json")
    assert found.kind == "standard"
    assert found.splits == ours.splits
    assert found.utterance_digest == ours.utterance_digest  # so it serves the store of our own files too
    assert not np.array_equal(found.splits["test"], SplitManifest.load(put_split).splits["test"])
    invoke("export", "--format", "parquet", "--alignment", "unaligned", "--split", manifest)
