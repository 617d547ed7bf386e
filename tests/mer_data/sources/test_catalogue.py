import pytest
import yaml

from mer_data.errors import SourceError
from mer_data.sources import catalogue, known_datasets, load_source_manifest
from mer_data.sources.catalogue import FeatureSet


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
        ({"colour": "red"}, "key 'colour': Extra inputs"),
        ({"schema_version": 2}, "key 'schema_version'"),
        ({"limits": {"text": 2, "audio": 1, "vision": 1}}, "key 'limits.text'"),
        ({"features": [{"role": "smell", "name": "x", "roots": ["x"]}]}, "key 'features.0.role'"),
        ({"features": [{"role": "audio", "name": "x", "roots": []}]}, "key 'features.0.roots'"),
    ],
)
def test_a_broken_manifest_names_the_key(tmp_path, monkeypatch, change, message):
    original = (catalogue.manifest_folder() / "sample.yaml").read_text()
    (tmp_path / "sample.yaml").write_text(yaml.safe_dump(yaml.safe_load(original) | change))
    monkeypatch.setattr(catalogue, "manifest_folder", lambda: tmp_path)
    with pytest.raises(SourceError, match=rf"source manifest {message}.* in .*sample\.yaml"):
        load_source_manifest("sample")


def test_a_manifest_that_is_no_yaml_is_told(tmp_path, monkeypatch):
    (tmp_path / "sample.yaml").write_text("a: [1")
    monkeypatch.setattr(catalogue, "manifest_folder", lambda: tmp_path)
    with pytest.raises(SourceError, match="source manifest is not YAML") as caught:
        load_source_manifest("sample")
    assert "\n" not in str(caught.value)
