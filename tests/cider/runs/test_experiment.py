import json
import shutil

import pytest
import torch

from cider.debiasing.causal_head import CausalHead, PlainHead
from cider.runs.experiment import Experiment
from mer_data.errors import MerDataError, RecipeError, SplitError, StatisticsError, WorkspaceError
from mer_data.workspace import Workspace


def weights(experiment):
    return experiment.build_model().state_dict()


def differing(first, second):
    """Names of the tensors that differ; NaN (statistics not set yet) equals NaN."""
    assert first.keys() == second.keys()
    return {name for name in first if not torch.equal(first[name].nan_to_num(), second[name].nan_to_num())}


# --- opening ---


def test_rows_are_the_utterances_of_the_folds(home, make_recipe):
    experiment = Experiment.open(make_recipe())
    ids = experiment.store.utterances["id"]
    assert {fold: len(rows) for fold, rows in experiment.rows.items()} == {
        "train": 60,
        "valid": 12,
        "test": 24,
    }
    for fold, rows in experiment.rows.items():
        assert sorted(ids.iloc[rows]) == list(experiment.split.splits[fold])


def test_the_only_split_needs_no_name_and_one_of_several_does(own_home, make_recipe):
    with pytest.raises(WorkspaceError, match=r"several splits of sample .*ood_binary_seed0, standard"):
        Experiment.open(make_recipe("data.split=null"))
    Workspace("sample").split_path("standard").unlink()
    assert Experiment.open(make_recipe("data.split=null")).split.kind == "ood"


def test_a_split_of_another_task_is_refused(home, make_recipe):
    ood = "data.split=ood_binary_seed0"
    assert Experiment.open(make_recipe(ood)).split.task == "binary"
    with pytest.raises(
        SplitError,
        match=r"the split is for another task in .*ood_binary_seed0.json: found binary, expected seven\."
        r" Choose another with --set data\.split=NAME\.",
    ):
        Experiment.open(make_recipe(ood, "task=seven"))


def test_the_standard_split_is_of_any_task(home, make_recipe):
    assert Experiment.open(make_recipe("task=seven")).task.num_classes == 7


def test_a_split_of_another_corpus_is_refused(own_home, make_recipe):
    path = Workspace("sample").split_path("standard")
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"utterance_digest": "sha256:0"}), encoding="utf-8")
    with pytest.raises(
        SplitError, match=r"made from another store than .*unaligned.h5: found sha256:0, expected"
    ):
        Experiment.open(make_recipe())


def test_missing_inputs_name_the_command_that_makes_them(home, make_recipe):
    with pytest.raises(
        WorkspaceError, match=r"no store 'unaligned' .* Make it with `mer-data build --dataset mosi"
    ):
        Experiment.open(make_recipe("data.dataset=mosi"))
    with pytest.raises(
        WorkspaceError, match=r"no split 'other' .*standard.* Make it with `mer-data repartition"
    ):
        Experiment.open(make_recipe("data.split=other"))


@pytest.mark.parametrize("pattern", ["tmfm", "stmfm"])
@pytest.mark.parametrize("key", ["missing", "evaluation"])
def test_patterns_over_time_need_an_aligned_store(home, make_recipe, key, pattern):
    override = f"{key}.pattern={pattern}"
    Experiment.open(make_recipe(override, "data.alignment=aligned"))
    with pytest.raises(RecipeError, match=f"pattern '{pattern}' needs an aligned store: found unaligned"):
        Experiment.open(make_recipe(override))


# --- shapes ---


def test_word_alignment_is_of_unaligned_data(home, make_recipe):
    off = "model.word_alignment=false"
    assert Experiment.open(make_recipe(off)).build_model().fuses_frames
    with pytest.raises(RecipeError, match=r"needs an unaligned store.*: found aligned"):
        Experiment.open(make_recipe(off, "data.alignment=aligned"))


def test_shapes_of_an_unaligned_store(home, make_recipe):
    experiment = Experiment.open(make_recipe())
    shapes = experiment.shapes(text_width=64)
    lengths = {modality: int(experiment.store.lengths(modality).max()) for modality in ("audio", "vision")}
    assert (shapes.text_width, shapes.audio_width, shapes.vision_width) == (64, 6, 8)
    assert (shapes.text_length, shapes.audio_length, shapes.vision_length) == (50, *lengths.values())
    assert max(lengths.values()) < 100  # or the store's limit would decide
    assert not shapes.aligned


def test_rows_beyond_the_limit_do_not_lengthen_the_model(home, make_recipe, monkeypatch):
    experiment = Experiment.open(make_recipe())
    limits = {"text": 50, "audio": 11, "vision": 10_000}
    monkeypatch.setattr(type(experiment.store), "limits", property(lambda store: limits))
    shapes = experiment.shapes(text_width=64)
    assert shapes.audio_length == 11
    assert shapes.vision_length == experiment.store.lengths("vision").max()


def test_shapes_of_an_aligned_store_are_the_texts(home, make_recipe):
    shapes = Experiment.open(make_recipe("data.alignment=aligned")).shapes(text_width=64)
    assert (shapes.text_length, shapes.audio_length, shapes.vision_length) == (50, 50, 50)
    assert shapes.aligned


# --- the model ---


def test_the_seed_alone_decides_the_initial_weights(home, make_recipe):
    first = weights(Experiment.open(make_recipe("seed=1")))
    torch.manual_seed(99)
    assert not differing(first, weights(Experiment.open(make_recipe("seed=1"))))
    other = differing(first, weights(Experiment.open(make_recipe("seed=2"))))
    assert "projections.0.weight" in other
    assert not any(name.startswith("text_encoder.") for name in other)  # pretrained: the same for every seed


def test_building_leaves_the_callers_random_numbers_alone(home, make_recipe):
    before = torch.get_rng_state()
    Experiment.open(make_recipe()).build_model()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_model_is_the_recipes(home, make_recipe):
    recipe = make_recipe("model.width=12", "model.heads=3", "model.layers=2", "model.output_dropout=0.4")
    model = Experiment.open(recipe).build_model()
    assert model.projections[1].weight.shape == (12, 6)
    assert len(model.transformer.layers) == 2
    assert 0.4 in {module.p for module in model.joint_head.modules() if isinstance(module, torch.nn.Dropout)}
    assert isinstance(model.head, CausalHead)
    plain = Experiment.open(make_recipe("model.maci=language", "task=seven")).build_model()
    assert isinstance(plain.head, PlainHead)
    assert plain.head.classifier.out_features == 7


def test_heads_that_do_not_divide_the_width_are_refused(make_recipe):
    with pytest.raises(RecipeError, match=r"3 heads do not divide the width 8 \(--set model\.heads=3"):
        make_recipe("model.heads=3")


# --- statistics and vocabulary ---


def test_statistics_are_those_of_the_store_split_task_and_encoder(home, make_recipe):
    experiment = Experiment.open(make_recipe())
    statistics = experiment.class_statistics(experiment.build_model().text_encoder)
    labels = experiment.store.utterances["label"].iloc[experiment.rows["train"]]
    assert statistics.counts.tolist() == [(labels < 0).sum(), (labels == 0).sum(), (labels > 0).sum()]
    assert {name: mean.shape for name, mean in statistics.means.items()} == {
        "text": (3, 64),
        "audio": (3, 6),
        "vision": (3, 8),
    }


def test_missing_statistics_and_vocabulary_name_their_commands(home, make_recipe):
    experiment = Experiment.open(make_recipe("task=seven"))
    with pytest.raises(
        StatisticsError,
        match=r"no class statistics in .*standard.seven.tiny.h5.*`mer-data statistics --dataset sample",
    ):
        experiment.class_statistics(experiment.build_model().text_encoder)
    with pytest.raises(
        StatisticsError, match=r"no counterfactual vocabulary .*`mer-data counterfactual-vocab --dataset"
    ):
        experiment.kept_token_ids()


def paths(experiment, split_name, alignment="unaligned"):
    workspace = Workspace("sample")
    store, split = workspace.store_path(alignment), workspace.split_path(split_name)
    return (
        workspace.statistics_path(store, split, "binary", "tiny"),
        workspace.vocabulary_path(store, split, "binary").with_suffix(".json"),
    )


def test_statistics_of_another_split_are_refused(own_home, make_recipe):
    experiment = Experiment.open(make_recipe())
    for other, own in zip(paths(experiment, "ood_binary_seed0"), paths(experiment, "standard"), strict=True):
        shutil.copy(other, own)
    with pytest.raises(
        StatisticsError, match=r"computed from another split .*`mer-data statistics --force`"
    ) as info:
        experiment.class_statistics(experiment.build_model().text_encoder)
    assert "\n" not in str(info.value)
    with pytest.raises(
        StatisticsError, match=r"from another split .*`mer-data counterfactual-vocab .*--force`"
    ):
        experiment.kept_token_ids()


def test_statistics_of_another_store_are_refused_but_its_vocabulary_is_the_same(own_home, make_recipe):
    experiment = Experiment.open(make_recipe())
    before = experiment.kept_token_ids().tolist()
    for other, own in zip(
        paths(experiment, "standard", "aligned"), paths(experiment, "standard"), strict=True
    ):
        shutil.copy(other, own)
    with pytest.raises(StatisticsError, match="computed from another store content"):
        experiment.class_statistics(experiment.build_model().text_encoder)
    assert experiment.kept_token_ids().tolist() == before


def test_statistics_of_other_encoder_weights_are_refused(home, make_recipe):
    experiment = Experiment.open(make_recipe())
    model = experiment.build_model()
    with torch.no_grad():
        next(model.text_encoder.parameters()).add_(1)
    with pytest.raises(MerDataError, match="computed from another text encoder weights"):
        experiment.class_statistics(model.text_encoder)
