from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from exact_stores import split_of, write_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data.errors import StatisticsError
from mer_data.statistics.class_statistics import ClassStatistics, class_statistics, statistics_origin
from mer_data.tasks import TASKS
from mer_data.text.encoder import load_text_encoder

BINARY, SEVEN = TASKS["binary"], TASKS["seven"]
MODALITIES = ("text", "audio", "vision")
TEXTS = ["a b c", "b", "c d e f g a b c d", "", "e f", "a g", "b b d", "f", "g e c"]
LABELS = [-2.0, 1.0, 0.0, 1.4, -0.2, 3.0, -3.0, 0.0, 2.0]
AUDIO, VISION = [3, 0, 25, 1, 7, 0, 2, 5, 4], [2, 5, 1, 30, 4, 0, 0, 3, 1]
TRAIN, VALID, TEST = [0, 1, 2, 3, 4, 5, 6], [7], [8]


def store_of(path, **changes):
    parts = {"labels": LABELS, "audio": AUDIO, "vision": VISION, "limits": {"text": 8}, **changes}
    return write_store(path, parts.pop("texts", TEXTS), **parts)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("store") / "s.h5")


@pytest.fixture(scope="module")
def encoder(store):
    return load_text_encoder("tiny", store.tokenizer)


@pytest.fixture(scope="module")
def split(store):
    return split_of(store, TRAIN, VALID, TEST)


@pytest.fixture(scope="module")
def statistics(store, split, encoder):
    return class_statistics(store, split, BINARY, encoder)


def mean_of(store, encoder, row, modality):
    """Mean feature of one utterance as served to a model, None where it has no step."""
    rows, limits = store.read([row]), store.limits
    if modality != "text":
        frames = rows.streams[modality][0][: limits[modality]].astype(np.float64)
        return frames.mean(axis=0) if len(frames) else None
    ids = rows.token_ids[0].astype(np.int64)
    if len(ids) > limits["text"]:
        ids = np.append(ids[: limits["text"] - 1], ids[-1])
    encoder.model.eval()
    with torch.inference_mode():
        return (
            encoder.model(input_ids=torch.from_numpy(ids)[None]).last_hidden_state[0].double().mean(0).numpy()
        )


def expected_means(store, encoder, rows, task, modality):
    classes = task.class_of(np.array(LABELS))
    means = {row: mean_of(store, encoder, row, modality) for row in rows}
    there = [row for row in rows if means[row] is not None]
    result = []
    for number in range(task.num_classes):
        chosen = [row for row in there if classes[row] == number] or there
        result.append(sum(means[row] for row in chosen) / len(chosen))
    return np.array(result)


@pytest.mark.parametrize("task", [BINARY, SEVEN], ids=["binary", "seven"])
@pytest.mark.parametrize("modality", MODALITIES)
def test_class_means_equal_an_independent_loop(store, split, encoder, task, modality):
    found = class_statistics(store, split, task, encoder)
    expected = expected_means(store, encoder, TRAIN, task, modality)
    assert found.means[modality].dtype == np.float32
    np.testing.assert_allclose(found.means[modality], expected, atol=1e-5)


def test_counts_and_priors(statistics):
    assert statistics.counts.tolist() == [3, 1, 3]
    assert statistics.priors.tolist() == pytest.approx([3 / 7, 1 / 7, 3 / 7])


def test_rows_without_frames_take_no_part(statistics):
    assert statistics.used["text"].tolist() == [3, 1, 3]
    assert statistics.used["audio"].tolist() == [3, 1, 1]
    assert statistics.used["vision"].tolist() == [2, 1, 2]


def test_class_without_utterances_has_prior_zero_and_the_mean_of_all(store, encoder):
    split = split_of(store, [0, 1, 3, 4])
    found = class_statistics(store, split, BINARY, encoder)
    assert found.priors.tolist() == [0.5, 0.0, 0.5]
    for modality in MODALITIES:
        means = [mean_of(store, encoder, row, modality) for row in (0, 1, 3, 4)]
        there = [mean for mean in means if mean is not None]
        np.testing.assert_allclose(found.means[modality][1], sum(there) / len(there), atol=1e-5)


def test_class_whose_rows_are_all_empty_has_the_mean_of_the_others(store, encoder):
    found = class_statistics(store, split_of(store, [0, 4, 5]), BINARY, encoder)
    assert found.used["audio"].tolist() == [2, 0, 0]
    assert found.priors[2] == pytest.approx(1 / 3)
    np.testing.assert_allclose(found.means["audio"][2], found.means["audio"][0], atol=1e-6)


def test_a_modality_without_any_step_has_zero_means(tmp_path, encoder):
    store = store_of(tmp_path / "s.h5", audio=[0] * len(TEXTS))
    found = class_statistics(store, split_of(store, TRAIN), BINARY, encoder)
    assert found.means["audio"].shape == (3, 3)
    assert not found.means["audio"].any()


def test_long_utterances_do_not_weigh_more(store, encoder):
    found = class_statistics(store, split_of(store, [0, 4]), BINARY, encoder)  # 3 and 7 audio frames
    means = [store.read([row]).streams["audio"][0].mean(axis=0) for row in (0, 4)]
    np.testing.assert_allclose(found.means["audio"][0], (means[0] + means[1]) / 2, atol=1e-6)


def test_only_training_rows_matter(tmp_path, statistics, encoder):
    labels = [*LABELS[:7], -3.0, -1.0]
    texts = [*TEXTS[:7], "a a a", "d d"]
    other = store_of(tmp_path / "s.h5", texts=texts, labels=labels, audio=[*AUDIO[:7], 1, 9], known=TEXTS)
    found = class_statistics(other, split_of(other, TRAIN, VALID, TEST), BINARY, encoder)
    assert found.counts.tolist() == statistics.counts.tolist()
    for modality in MODALITIES:
        np.testing.assert_allclose(found.means[modality], statistics.means[modality], atol=1e-6)


def test_statistics_do_not_depend_on_dropout_and_are_the_same_again(store, split, encoder, statistics):
    encoder.train()
    again = class_statistics(store, split, BINARY, encoder)
    for modality in MODALITIES:
        assert np.array_equal(again.means[modality], statistics.means[modality])


def test_progress_ends_with_all_training_rows(store, split, encoder):
    seen = []
    class_statistics(store, split, BINARY, encoder, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (7, 7)


def test_an_empty_training_fold_is_an_error(store, encoder):
    with pytest.raises(StatisticsError, match=r"the cross_dataset split has no training utterances\. Take"):
        class_statistics(store, split_of(store, [], VALID, TEST), BINARY, encoder)


def test_saved_statistics_come_back(statistics, tmp_path):
    path = tmp_path / "new" / "s.h5"
    statistics.save(path)
    loaded = ClassStatistics.load(path)
    assert loaded.task == "binary"
    assert loaded.origin == statistics.origin
    assert np.array_equal(loaded.counts, statistics.counts)
    for modality in MODALITIES:
        assert np.array_equal(loaded.means[modality], statistics.means[modality])
        assert np.array_equal(loaded.used[modality], statistics.used[modality])
    assert [file.name for file in path.parent.iterdir()] == ["s.h5"]


def test_equal_statistics_give_equal_bytes(statistics, tmp_path):
    for name in "ab":
        statistics.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failed_save_leaves_the_old_file(statistics, tmp_path):
    path = tmp_path / "s.h5"
    statistics.save(path)
    before = path.read_bytes()
    broken = replace(statistics, used={"text": statistics.used["text"]})
    with pytest.raises(KeyError):
        broken.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["s.h5"]


def test_check_accepts_what_it_was_computed_from(store, split, encoder, statistics, tmp_path):
    statistics.check(statistics_origin(store, split, encoder), BINARY, tmp_path / "s.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("store_content", r"computed from another store content in s\.h5: found sha256:\w+, expected other"),
        ("split", r"computed from another split in s\.h5"),
        ("text_encoder", r"computed from another text encoder in s\.h5: found tiny, expected other"),
        ("text_encoder_weights", r"computed from another text encoder weights in s\.h5"),
    ],
)
def test_check_names_what_differs(statistics, change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = {**statistics.origin, change: "other"}
    path = (tmp_path / "s.h5").relative_to(tmp_path)
    with pytest.raises(StatisticsError, match=message + r".*`mer-data statistics --force`\.$") as e:
        statistics.check(expected, BINARY, path)
    assert "\n" not in str(e.value)


def test_check_refuses_another_task(statistics, tmp_path):
    with pytest.raises(StatisticsError, match=r"is of another task .*: found binary, expected seven"):
        statistics.check(statistics.origin, SEVEN, tmp_path)


def test_origin_differs_for_another_store_split_and_encoder(store, split, encoder, tmp_path):
    own = statistics_origin(store, split, encoder)
    other = store_of(tmp_path / "s.h5", audio=[*AUDIO[:8], 9])  # frames alone differ: same utterances
    assert other.utterance_digest == store.utterance_digest
    assert statistics_origin(other, split, encoder)["store_content"] != own["store_content"]
    assert statistics_origin(store, split_of(store, TRAIN, TEST, VALID), encoder)["split"] != own["split"]
    changed = load_text_encoder("tiny", store.tokenizer)
    changed.model.embeddings.word_embeddings.weight.data[6] += 1
    key = "text_encoder_weights"
    assert statistics_origin(store, split, changed)[key] != own[key]


def test_missing_file_names_the_command(tmp_path):
    with pytest.raises(
        StatisticsError, match=r"no class statistics in .*absent\.h5\. .*`mer-data statistics`"
    ):
        ClassStatistics.load(tmp_path / "absent.h5")


def _rewrite(change):
    def damage(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return damage


def _flip(name):
    def damage(path):
        with h5py.File(path) as file:
            offset = file[name].id.get_chunk_info(0).byte_offset
        content = bytearray(path.read_bytes())
        content[offset] ^= 1
        path.write_bytes(bytes(content))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:700]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no HDF5"),
        _rewrite(lambda file: file.__delitem__("audio/means")),
        _rewrite(lambda file: file.attrs.__delitem__("origin")),
        _rewrite(lambda file: file.attrs.__setitem__("origin", "{")),
        _rewrite(lambda file: file.attrs.__setitem__("origin", 3)),
        _flip("text/means"),
        _flip("counts"),
        _flip("vision/used"),
    ],
)
def test_damaged_file_is_one_line(statistics, tmp_path, damage):
    path = tmp_path / "s.h5"
    statistics.save(path)
    damage(path)
    with pytest.raises(
        StatisticsError, match=r"the file with the class .*s\.h5.*`mer-data statistics --f"
    ) as e:
        ClassStatistics.load(path)
    assert "\n" not in str(e.value)


def _moved(path):
    """Another dataset of the same shape takes the place of the means."""
    with h5py.File(path, "r+") as file:
        file.move("text/means", "other")
        file.create_dataset("text/means", data=np.zeros(file["other"].shape, "f4"), fletcher32=True)
        del file["other"]


@pytest.mark.parametrize(
    "change",
    [
        _moved,
        _rewrite(lambda file: file["counts"].__setitem__(0, 2)),
        _rewrite(lambda file: file.attrs.__setitem__("task", "seven")),
        _rewrite(lambda file: file.attrs.__setitem__("classes", ["a", "b", "c"])),
        _rewrite(lambda file: file.attrs.__setitem__("origin", "{}")),
        _rewrite(lambda file: file.attrs.__setitem__("content_digest", "sha256:0")),
        _rewrite(lambda file: file.attrs.__delitem__("content_digest")),
        _rewrite(lambda file: file.__setitem__("more", 1.0)),
    ],
)
def test_every_change_is_found_by_the_digest(statistics, tmp_path, change):
    path = tmp_path / "s.h5"
    statistics.save(path)
    change(path)
    with pytest.raises(StatisticsError, match=r"was changed after it was made, or is damaged|is damaged \("):
        ClassStatistics.load(path)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_gives_an_error_or_the_same_statistics(statistics, tmp_path, share, bit):
    """No bit of the file, of HDF5's own structures included, changes a number unnoticed."""
    path = tmp_path / "s.h5"
    statistics.save(path)
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        loaded = ClassStatistics.load(path)
    except StatisticsError:
        return
    assert loaded.task == statistics.task
    assert loaded.origin == statistics.origin
    assert loaded.counts.tolist() == statistics.counts.tolist()
    for modality in MODALITIES:
        assert np.array_equal(loaded.means[modality], statistics.means[modality])
        assert np.array_equal(loaded.used[modality], statistics.used[modality])


def test_a_file_of_an_older_version_names_the_command(statistics, tmp_path):
    path = tmp_path / "s.h5"
    statistics.save(path)
    _rewrite(lambda file: file.attrs.update({"version": 1}))(path)
    _rewrite(lambda file: file.attrs.__delitem__("content_digest"))(path)
    command = "mer-data statistics --dataset mosi --split x"
    with pytest.raises(
        StatisticsError,
        match=rf"an older version, which has no digest .* 2\. .*`{command} --force`",
    ):
        ClassStatistics.load(path, command=command)


@pytest.mark.parametrize(("key", "value"), [("format", "mer-data/store"), ("version", 3), ("version", "x")])
def test_other_formats_and_newer_versions_are_refused(statistics, tmp_path, key, value):
    path = tmp_path / "s.h5"
    statistics.save(path)
    _rewrite(lambda file: file.attrs.__setitem__(key, value))(path)
    with pytest.raises(StatisticsError, match=r"is of an unknown format or a newer version in .*s\.h5"):
        ClassStatistics.load(path)


def test_sample_corpus_gives_finite_statistics_for_both_alignments(sample_stores):
    from mer_data.splits import standard_split
    from mer_data.store.reader import FeatureStore

    for path in sample_stores.values():
        store = FeatureStore.open(path)
        split = standard_split(store.utterances, dataset="sample", utterance_digest=store.utterance_digest)
        encoder = load_text_encoder("tiny", store.tokenizer)
        found = class_statistics(store, split, BINARY, encoder)
        assert found.counts.sum() == len(split.splits["train"])
        assert found.means["audio"].shape == (3, store.width("audio"))
        assert all(np.isfinite(found.means[modality]).all() for modality in MODALITIES)
