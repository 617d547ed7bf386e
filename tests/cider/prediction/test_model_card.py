import json

import pytest
import torch

from cider.prediction.model_card import ModelCard, load_model_card
from cider.prediction.sentiment_predictor import SentimentPredictor
from cider.runs.folder import RunFolder, open_run
from mer_data.errors import DamagedRunError, MerDataError, RunError, StoreError

VARIANTS = [
    (),
    ("data.alignment=aligned",),
    ("model.maci=none", "task=seven"),
    ("model.residual_from_norm=true", "model.layers=2", "model.heads=4"),
    ("model.maci=language", "evaluation.debiasing=log"),
]


def changed(run, **values):
    """The run with other values in its card."""
    path = run / "model.json"
    (run / "digests.json").unlink(missing_ok=True)
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}), encoding="utf-8")
    return RunFolder(run)


@pytest.mark.parametrize("overrides", VARIANTS)
def test_a_card_rebuilds_the_model_and_tokenizer_of_its_run(untrained_run, overrides):
    run = RunFolder(untrained_run(*overrides))
    card, pieces = load_model_card(run)
    _, experiment = open_run(run.path)
    original, rebuilt = experiment.build_model(), card.build_model(pieces)
    assert str(rebuilt) == str(original)
    for module, other in zip(rebuilt.modules(), original.modules(), strict=True):
        simple = {
            name: value for name, value in vars(module).items() if isinstance(value, bool | int | float | str)
        }
        assert {name: vars(other)[name] for name in simple} == simple
    assert rebuilt.shapes == original.shapes
    assert rebuilt.special == original.special
    run.load_weights(rebuilt)
    run.load_weights(original)
    assert card == ModelCard.from_experiment(experiment, original)
    assert pieces.vocabulary == experiment.store.tokenizer.vocabulary
    text = "Not a single good scene, honestly"
    assert pieces.encode(text)[0].tolist() == experiment.store.tokenizer.encode(text)[0].tolist()


def test_training_writes_a_card_without_a_path_of_its_machine(trained_run):
    card, _ = load_model_card(RunFolder(trained_run))
    assert (card.task, card.text_encoder, card.alignment) == ("binary", "tiny", "unaligned")
    assert card.limits["text"] == 50
    assert len(card.kept_token_ids) > 0
    assert "_name_or_path" not in card.encoder_config
    assert "/" not in (trained_run / "model.json").read_text().replace("cider/model", "")


def test_building_leaves_the_global_generator_alone(trained_run):
    card, pieces = load_model_card(RunFolder(trained_run))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    card.build_model(pieces)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version": 2}, "damaged model card .version: Input should be 1"),
        ({"format": "other"}, "damaged model card .format"),
        ({"unknown": 1}, "damaged model card .unknown: unknown key, known here: format, version"),
        ({"task": "three"}, "damaged model card .task"),
        ({"limits": None}, "damaged model card .limits"),
        ({"vocabulary_digest": "sha256:0"}, "the tokenizer is not the one of model.json"),
    ],
)
def test_a_card_that_cannot_be_true_is_refused(own_run, values, message):
    with pytest.raises(RunError, match=message):
        load_model_card(changed(own_run, **values))


def test_an_impossible_model_is_refused(own_run):
    card = json.loads((own_run / "model.json").read_text())
    with pytest.raises(MerDataError, match=r"damaged model card \(architecture: 3 heads do not divide"):
        load_model_card(changed(own_run, architecture={**card["architecture"], "heads": 3}))


def test_an_encoder_that_nobody_knows_is_refused(own_run):
    config = json.loads((own_run / "model.json").read_text())["encoder_config"]
    run = changed(own_run, encoder_config={**config, "model_type": "nobody"})
    with pytest.raises(RunError, match=r"cannot build text encoder 'tiny' from model.json"):
        SentimentPredictor.load(run.path)


def test_files_that_are_missing_or_broken_are_told(own_run):
    run = RunFolder(own_run)
    (own_run / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(DamagedRunError, match=r"not as training left it in .*tokenizer\.json"):
        load_model_card(run)
    (own_run / "digests.json").unlink()
    with pytest.raises(RunError, match=r"damaged tokenizer in .*tokenizer.json"):
        load_model_card(run)
    (own_run / "tokenizer.json").unlink()
    with pytest.raises(RunError, match=r"the run has no .*tokenizer.json"):
        load_model_card(run)
    (own_run / "model.json").write_text("no JSON", encoding="utf-8")
    with pytest.raises(RunError, match=r"damaged model card .*Invalid JSON"):
        load_model_card(run)
    (own_run / "model.json").unlink()
    with pytest.raises(RunError, match=r"the run has no .*model.json"):
        load_model_card(run)


# --- stores that fit, and stores that do not ---


@pytest.fixture
def card_and_store(home, trained_run):
    _, experiment = open_run(trained_run)
    return load_model_card(RunFolder(trained_run))[0], experiment.store


def test_the_store_of_training_fits(card_and_store):
    card, store = card_and_store
    assert card.check_store(store) == []


def test_another_alignment_is_refused(home, trained_run, card_and_store):
    from mer_data.store.reader import FeatureStore

    aligned = FeatureStore.open(home / "sample" / "store" / "aligned.h5")
    with pytest.raises(StoreError, match=r"another alignment .* found aligned, expected unaligned"):
        card_and_store[0].check_store(aligned)


@pytest.mark.parametrize("modality", ["audio", "vision"])
def test_other_widths_are_refused(card_and_store, modality):
    card, store = card_and_store
    shapes = {**vars(card.shapes), f"{modality}_width": 47}
    other = card.model_copy(update={"shapes": type(card.shapes)(**shapes)})
    with pytest.raises(
        StoreError, match=f"another {modality} width .*: found {store.width(modality)}, expected 47"
    ):
        other.check_store(store)


def test_another_vocabulary_is_refused_with_the_tokenizer_to_build_with(card_and_store):
    card, store = card_and_store
    update = {"vocabulary_digest": "sha256:0123456789ab", "tokenizer": "minilm"}
    with pytest.raises(
        StoreError,
        match=r"another tokenizer vocabulary .*: found 'tiny' \(sha256:.*.*--tokenizer minilm",
    ):
        card.model_copy(update=update).check_store(store)


def test_columns_of_other_names_are_read_and_told(card_and_store):
    card, store = card_and_store
    names = ("pitch", *card.columns["audio"][1:-1], "loudness")
    other = card.model_copy(update={"columns": {**card.columns, "audio": names}})
    (note,) = other.check_store(store)
    first = card.columns["audio"][0]
    assert note == f"audio columns have other names than in training: {first} in place of pitch and 1 more"
