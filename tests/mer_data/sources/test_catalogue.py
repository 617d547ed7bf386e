import pytest
import yaml

from mer_data.errors import SourceError
from mer_data.sources import catalogue, known_datasets, load_source_manifest
from mer_data.sources.catalogue import FeatureSet, packaged_datasets
from mer_data.workspace import Workspace


def test_the_three_manifests_load():
    assert known_datasets() == ["mosei", "mosi", "sample"]
    for dataset in known_datasets():
        manifest = load_source_manifest(dataset)
        assert manifest.dataset == dataset
        assert {known.role for known in manifest.features} == {"labels", "words", "audio", "vision"}


def test_mosi_has_the_columns_rates_and_limits_of_the_method():
    manifest = load_source_manifest("mosi")
    audio, vision = manifest.find("COVAREP"), manifest.find("FACET_4.1")
    assert audio.columns == (1, 3, 6, 25, 60)
    facet = (0, 2, 5, 10, 11, 12, 14, 17, 20, 21, 22, 24, 25, 29, 30, 31, 32, 36, 37, 40)
    assert vision.columns == facet
    assert (audio.frame_rate_hz, vision.frame_rate_hz) == (12.5, 15.0)
    assert manifest.limits.model_dump() == {"text": 50, "audio": 375, "vision": 500}


def test_mosei_has_the_rates_and_limits_of_the_method():
    manifest = load_source_manifest("mosei")
    audio, vision = manifest.find("COVAREP"), manifest.find("FACET 4.2")
    assert (audio.columns, vision.columns) == (None, None)
    assert (audio.frame_rate_hz, vision.frame_rate_hz) == (20.0, 15.0)
    assert manifest.limits.model_dump() == {"text": 50, "audio": 500, "vision": 500}


def test_no_root_name_means_two_sets():
    for dataset in known_datasets():
        manifest = load_source_manifest(dataset)
        for known in manifest.features:
            assert [other.name for other in manifest.features for r in known.roots if other.matches(r)] == [
                known.name
            ] * len(known.roots)


@pytest.mark.parametrize("root", ["FACET 4.1", "facet_41", "Facet-4.1"])
def test_case_and_punctuation_of_a_root_do_not_count(root):
    known = FeatureSet(role="vision", name="f", roots=("Facet 4.1",))
    assert known.matches(root)
    assert not known.matches("FACET 4.2")


def test_unknown_dataset_lists_the_known():
    with pytest.raises(SourceError, match="unknown dataset: found 'mozi', expected mosei or mosi or sample"):
        load_source_manifest("mozi")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, r"colour: unknown key, known here: .*\(line \d+\)"),
        ({"schema_version": 2}, "schema_version: "),
        ({"limits": {"text": 2, "audio": 1, "vision": 1}}, "limits.text: "),
        ({"features": [{"role": "smell", "name": "x", "roots": ["x"]}]}, "features.0.role: "),
        ({"features": [{"role": "audio", "name": "x", "roots": []}]}, "features.0.roots: "),
        (
            {"features": [{"role": "audio", "name": "x", "roots": ["x"], "scale": 2}]},
            "features.0: scale and shift are for labels only",
        ),
    ],
)
def test_a_broken_manifest_names_the_key(tmp_path, monkeypatch, change, message):
    original = (catalogue.manifest_folder() / "sample.yaml").read_text()
    (tmp_path / "sample.yaml").write_text(yaml.safe_dump(yaml.safe_load(original) | change))
    monkeypatch.setattr(catalogue, "manifest_folder", lambda: tmp_path)
    with pytest.raises(SourceError, match=rf"wrong source manifest \({message}.*\) in .*sample\.yaml"):
        load_source_manifest("sample")


def test_a_manifest_of_another_name_than_its_place_is_told(tmp_path, monkeypatch):
    original = (catalogue.manifest_folder() / "sample.yaml").read_text()
    (tmp_path / "sample.yaml").write_text(original.replace("dataset: sample", "dataset: other"))
    monkeypatch.setattr(catalogue, "manifest_folder", lambda: tmp_path)
    with pytest.raises(SourceError, match=r"key 'dataset' is not the name of its place in .*sample\.yaml"):
        load_source_manifest("sample")


def test_a_misspelt_key_is_told_with_the_missing_one(tmp_path, monkeypatch):
    original = (catalogue.manifest_folder() / "sample.yaml").read_text()
    (tmp_path / "sample.yaml").write_text(original.replace("tokenizer:", "tokeniser:"))
    monkeypatch.setattr(catalogue, "manifest_folder", lambda: tmp_path)
    with pytest.raises(
        SourceError,
        match=r"tokenizer: Field required; tokeniser: unknown key, did you mean tokenizer\? known here: ",
    ):
        load_source_manifest("sample")


def test_of_many_faults_the_first_are_told(tmp_path, monkeypatch):
    (tmp_path / "sample.yaml").write_text("colour: red\nsmell: none\n")
    monkeypatch.setattr(catalogue, "manifest_folder", lambda: tmp_path)
    with pytest.raises(SourceError, match=r"schema_version: .*; title: .*; and 3 more\) in"):
        load_source_manifest("sample")


def test_a_manifest_that_is_no_yaml_is_told(tmp_path, monkeypatch):
    (tmp_path / "sample.yaml").write_text("a: [1")
    monkeypatch.setattr(catalogue, "manifest_folder", lambda: tmp_path)
    with pytest.raises(SourceError, match=r"cannot read the source manifest \(column 6: ") as caught:
        load_source_manifest("sample")
    assert "\n" not in str(caught.value)


# --- where the files are published ---


SDK_DICTIONARIES = ("raw", "highlevel", "labels", "extra")


@pytest.mark.parametrize("dataset", ["mosi", "mosei"])
def test_the_addresses_are_those_that_the_sdk_ships(dataset):
    """Every recipe of the SDK is in the catalogue, its address comes first, and no other file claims one."""
    from mmsdk import mmdatasdk

    recipes = getattr(mmdatasdk, f"cmu_{dataset}")
    shipped = {
        f"{dictionary}/{key}": address
        for dictionary in SDK_DICTIONARIES
        for key, address in getattr(recipes, dictionary, {}).items()
    }
    ours = {file.sdk: file.addresses[0] for _, file in load_source_manifest(dataset).published() if file.sdk}
    assert len(shipped) >= 9
    assert ours == shipped


@pytest.mark.parametrize("dataset", ["mosi", "mosei"])
def test_a_download_takes_one_file_of_each_role_and_each_fits_a_feature_set(dataset):
    manifest = load_source_manifest(dataset)
    wanted = [file for _, file in manifest.published() if file.default]
    assert [file.role for file in wanted] == ["labels", "words", "audio", "vision"]
    for _, file in manifest.published():
        known = manifest.feature_set(file.key)
        assert known is None or known.role == file.role
        assert known is not None or not file.default


@pytest.mark.parametrize(
    ("dataset", "begins"), [("mosi", ("78e0f8b5", "d3994fd2")), ("mosei", ("ad8b23d5", "45eccfb7"))]
)
def test_the_processed_files_have_their_published_checksums(dataset, begins):
    published = load_source_manifest(dataset).published()
    known = [file.sha256 for collection, file in published if collection.name == "mmsa"]
    assert tuple(sha256[:8] for sha256 in known) == begins


def test_only_what_is_published_has_a_size_or_a_checksum():
    for dataset in ("mosi", "mosei"):
        for collection, file in load_source_manifest(dataset).published():
            assert file.bytes is None
            assert (file.sha256 is not None) == (collection.name == "mmsa")


@pytest.mark.parametrize("dataset", packaged_datasets())
def test_what_the_hub_has_comes_through_its_client(dataset):
    hub = "https://huggingface.co/datasets/"
    for collection in load_source_manifest(dataset).collections:
        assert (collection.via == "hub") == (collection.page or "").startswith(hub)
        if collection.via == "hub":
            assert collection.page == hub + collection.repository


@pytest.mark.parametrize("dataset", packaged_datasets())
def test_every_publication_can_be_cited(dataset):
    manifest = load_source_manifest(dataset)
    texts = [manifest.citation, *(known.citation for known in manifest.collections)]
    for text in filter(None, texts):
        assert text.startswith("@")
        assert text.count("{") == text.count("}")


OWN_FILE = {"key": "a", "role": "audio", "name": "a.csd", "addresses": ["http://a.example/a.csd"]}
OWN = {"name": "own", "title": "Own", "via": "http", "files": [OWN_FILE]}


@pytest.mark.parametrize(
    ("collections", "message"),
    [
        ([OWN | {"files": [OWN_FILE | {"addresses": []}]}], "file 'a' needs addresses"),
        ([OWN | {"files": [OWN_FILE | {"addresses": ["ftp://a/b"]}]}], "'ftp://a/b' is not an http address"),
        ([OWN | {"via": "hub"}], "file 'a' needs a repository and a path"),
        ([OWN | {"via": "manual"}], "file 'a' needs a page"),
        ([OWN, OWN | {"name": "other"}], "collection or file 'a' stands twice"),
        ([OWN | {"files": [OWN_FILE, OWN_FILE | {"key": "b"}]}], "file name 'a.csd' stands twice"),
        ([OWN | {"kind": "ood"}], "processed files, and only they, have a kind"),
        ([OWN | {"files": [OWN_FILE | {"name": "../a.csd"}]}], "collections.0.files.0.name"),
        ([OWN | {"files": [OWN_FILE | {"sha256": "abc"}]}], "collections.0.files.0.sha256"),
        ([OWN | {"files": []}], "collections.0.files"),
    ],
)
def test_a_broken_collection_names_what_is_wrong(collections, message):
    path = Workspace("own").source_manifest
    path.parent.mkdir(parents=True)
    known = yaml.safe_load((catalogue.manifest_folder() / "sample.yaml").read_text())
    path.write_text(yaml.safe_dump(known | {"dataset": "own", "collections": collections}))
    with pytest.raises(SourceError) as caught:
        load_source_manifest("own")
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_manifest_of_the_workspace_is_known_but_hides_no_packaged_one():
    text = (catalogue.manifest_folder() / "sample.yaml").read_text()
    for name in ("own", "sample"):
        path = Workspace(name).source_manifest
        path.parent.mkdir(parents=True)
        path.write_text(text.replace("dataset: sample", "dataset: own"))
    assert known_datasets() == ["mosei", "mosi", "own", "sample"]
    assert load_source_manifest("own").dataset == "own"
    assert load_source_manifest("sample").dataset == "sample"
