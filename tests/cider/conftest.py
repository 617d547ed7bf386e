"""A tiny workspace, made once, and small recipes on it."""

import shutil
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from cider.recipe.schema import Recipe, load_recipe

TINY_RECIPE = """
name: tiny
data: {dataset: sample, alignment: unaligned, split: standard}
model: {text_encoder: tiny, layers: 1, width: 8, heads: 2}
training: {batch_size: 32, max_epochs: 1, encoder_learning_rate: 0.001}
evaluation: {rates: [0, 0.5, 1]}
"""

ONE_PIXEL = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Threads cost more than they give on models this small."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory) -> Path:
    """A workspace: 8 videos of 12 segments, both stores, two splits, statistics and vocabularies of binary.

    Read it only; to change files, take ``own_home``.
    """
    home = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_DATA_HOME", str(home))
        _fill()
    return home


def _fill() -> None:
    from mer_data.build import build_store
    from mer_data.sources import open_source
    from mer_data.sources.sample import SampleSize, write_sample
    from mer_data.splits import RepartitionSettings, SplitManifest, repartition, standard_split
    from mer_data.statistics.class_statistics import class_statistics
    from mer_data.statistics.vocabulary import counterfactual_vocabulary
    from mer_data.store.choose import choose_store
    from mer_data.store.reader import FeatureStore
    from mer_data.tasks import get_task
    from mer_data.text.encoder import load_text_encoder
    from mer_data.workspace import Workspace

    workspace, task = Workspace("sample"), get_task("binary")
    write_sample(workspace.raw, 0, SampleSize(8, 12))
    for alignment in ("unaligned", "aligned"):
        build_store(
            open_source("sample", workspace.raw),
            workspace.store_path(alignment),
            alignment=alignment,
            tokenizer="tiny",
        )
    store = FeatureStore.open(workspace.store_path("unaligned"))
    corpus = {"dataset": "sample", "utterance_digest": store.utterance_digest}
    standard_split(store.utterances, **corpus).save(workspace.split_path("standard"))
    settings = RepartitionSettings(label_tolerance=0.1, steps_per_utterance=2)
    (ood,) = repartition(store.utterances, task=task, settings=settings, **corpus)
    ood.save(workspace.split_path("ood_binary_seed0"))
    encoder = load_text_encoder("tiny", store.tokenizer)
    for alignment, name in (
        ("unaligned", "standard"),
        ("unaligned", "ood_binary_seed0"),
        ("aligned", "standard"),
    ):
        store = choose_store(workspace, alignment)
        split_path = workspace.split_path(name)
        split = SplitManifest.load(split_path)
        class_statistics(store, split, task, encoder).save(
            workspace.statistics_path(store.path, split_path, "binary", "tiny")
        )
        counterfactual_vocabulary(store, split, task).save(
            workspace.vocabulary_path(store.path, split_path, "binary")
        )


@pytest.fixture
def home(tiny_home, monkeypatch) -> Path:
    """The tiny workspace as MER_DATA_HOME; for reading."""
    monkeypatch.setenv("MER_DATA_HOME", str(tiny_home))
    return tiny_home


@pytest.fixture
def own_home(tiny_home, tmp_path, monkeypatch) -> Path:
    """A copy of the tiny workspace as MER_DATA_HOME, to be changed."""
    copy = tmp_path / "own_home"
    shutil.copytree(tiny_home, copy)
    monkeypatch.setenv("MER_DATA_HOME", str(copy))
    return copy


@pytest.fixture(scope="session")
def make_recipe(tmp_path_factory) -> Callable[..., Recipe]:
    """A recipe on the tiny workspace: ``make_recipe("model.maci=none", ...)``."""
    path = tmp_path_factory.mktemp("recipes") / "tiny.yaml"
    path.write_text(TINY_RECIPE, encoding="utf-8")
    return lambda *overrides: load_recipe(path, overrides)


@pytest.fixture(scope="session")
def trained_run(tiny_home, make_recipe, tmp_path_factory) -> Path:
    """A run of four epochs on the tiny workspace, evaluated; read it only, ``own_run`` is a copy."""
    from cider.evaluation.evaluate import evaluate_run
    from cider.runs.experiment import Experiment
    from cider.runs.folder import RunFolder
    from cider.training.trainer import Trainer

    folder = tmp_path_factory.mktemp("runs") / "tiny-seed1111"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_DATA_HOME", str(tiny_home))
        experiment, run = Experiment.open(make_recipe("training.max_epochs=4")), RunFolder(folder)
        run.start(experiment)
        Trainer(experiment, run).fit()
        evaluate_run(folder)
    return folder


@pytest.fixture
def own_run(trained_run, tmp_path) -> Path:
    """A copy of the trained run, to be changed."""
    copy = tmp_path / "own_run"
    shutil.copytree(trained_run, copy)
    return copy


@pytest.fixture(scope="session")
def second_corpus(trained_run, tmp_path_factory) -> Path:
    """A dataset folder: another sample of equal ids, with columns and vocabulary of the trained run."""
    from mer_data.build import build_store
    from mer_data.sources import open_source
    from mer_data.sources.sample import SampleSize, write_sample
    from mer_data.splits import standard_split
    from mer_data.store.reader import FeatureStore

    folder = tmp_path_factory.mktemp("second")
    write_sample(folder / "raw", 1, SampleSize(8, 8))
    for alignment in ("unaligned", "aligned"):
        build_store(
            open_source("sample", folder / "raw"),
            folder / "store" / f"{alignment}.h5",
            alignment=alignment,
            tokenizer=str(trained_run),
        )
    store = FeatureStore.open(folder / "store" / "unaligned.h5")
    split = standard_split(store.utterances, dataset="sample", utterance_digest=store.utterance_digest)
    split.save(folder / "splits" / "standard.json")
    return folder


@pytest.fixture
def two_corpora(own_home, second_corpus) -> Path:
    """The tiny workspace with a dataset called second, to be changed."""
    shutil.copytree(second_corpus, own_home / "second")
    return own_home


@pytest.fixture
def quick_figures(monkeypatch):
    """Figures are made as ever and saved as one pixel: drawing takes most of the time of a page."""

    def save(figure, path, *, format, **_):
        Path(path).write_bytes(ONE_PIXEL if format == "png" else b"%PDF")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", save)
