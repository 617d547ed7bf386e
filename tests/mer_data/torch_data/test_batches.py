import multiprocessing
from dataclasses import fields

import numpy as np
import pytest
import torch
from exact_stores import write_store
from hypothesis import given
from hypothesis import strategies as st

from mer_data.torch_data.batches import (
    Batch,
    Collator,
    Item,
    UtteranceDataset,
    cut,
    make_loader,
    special_tokens,
)

TEXTS = ["a b c", "a", "b c d e f g", "c d", "e f g a b"]
AUDIO, VISION = [3, 0, 25, 1, 7], [2, 5, 1, 30, 4]


@pytest.fixture
def store(tmp_path):
    return write_store(
        tmp_path / "s.h5", TEXTS, [-1, 0, 1, 2.5, -3], audio=AUDIO, vision=VISION, limits={"text": 6}
    )


def rows_of(store, indices):
    return next(iter(make_loader(store, np.array(indices), batch_size=len(indices))))


def same(first, second):
    return all(torch.equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(Batch))


def test_batch_holds_the_rows_padded_to_its_own_longest(store):
    batch = rows_of(store, [0, 1, 3])
    stored = store.read([0, 1, 3])
    assert len(batch) == 3
    assert batch.input_ids.shape == (3, 5)
    assert batch.audio.shape == (3, 3, 3)
    assert batch.vision.shape == (3, 20, 2)
    pad = special_tokens(store.tokenizer).pad
    for row, lengths in enumerate([(5, 3, 2), (3, 0, 5), (4, 1, 20)]):
        text, audio, vision = lengths
        assert batch.input_ids[row, :text].tolist() == stored.token_ids[row].tolist()
        assert batch.input_ids[row, text:].tolist() == [pad] * (5 - text)
        assert batch.text_mask[row].tolist() == [True] * text + [False] * (5 - text)
        assert np.array_equal(batch.audio[row, :audio], stored.streams["audio"][row])
        assert not batch.audio[row, audio:].any()
        assert batch.audio_mask[row].tolist() == [True] * audio + [False] * (3 - audio)
        assert np.array_equal(batch.vision[row, :vision], stored.streams["vision"][row][:20])
        assert batch.vision_mask[row].sum() == vision
    assert batch.label.tolist() == [-1.0, 0.0, 2.5]
    assert batch.index.tolist() == [0, 1, 3]


def test_types_are_those_of_the_contract(store):
    batch = rows_of(store, [0, 1])
    types = {f.name: getattr(batch, f.name).dtype for f in fields(Batch)}
    assert types == {
        "input_ids": torch.int64,
        "text_mask": torch.bool,
        "audio": torch.float32,
        "audio_mask": torch.bool,
        "vision": torch.float32,
        "vision_mask": torch.bool,
        "label": torch.float32,
        "index": torch.int64,
    }


def test_pad_id_is_the_tokenizers_and_not_zero_by_chance():
    items = [
        Item(np.array([5, 6], np.int32), np.ones((1, 3), np.float32), np.ones((1, 2), np.float32), 0.5, 9),
        Item(np.array([7], np.int32), np.ones((2, 3), np.float32), np.ones((0, 2), np.float32), 1.0, 4),
    ]
    batch = Collator(pad_id=42)(items)
    assert batch.input_ids.tolist() == [[5, 6], [7, 42]]
    assert batch.audio[0, 1].tolist() == [0, 0, 0]
    assert batch.index.tolist() == [9, 4]


def test_long_text_keeps_its_first_pieces_and_the_closing_sep(store):
    whole, batch = store.read([2]).token_ids[0], rows_of(store, [2])
    assert len(whole) == 8
    assert batch.input_ids[0].tolist() == [*whole[:5], special_tokens(store.tokenizer).sep]


def test_long_frames_keep_the_first_ones(store):
    assert np.array_equal(rows_of(store, [2]).audio[0], store.read([2]).streams["audio"][0][:20])


def test_aligned_frames_are_cut_beside_their_pieces(tmp_path):
    limits = {"text": 6, "audio": 6, "vision": 6}
    store = write_store(tmp_path / "a.h5", TEXTS, aligned=True, limits=limits)
    batch, stored = rows_of(store, [2, 0]), store.read([2])
    kept = [0, 1, 2, 3, 4, 7]
    assert batch.input_ids[0].tolist() == stored.token_ids[0][kept].tolist()
    for modality in ("audio", "vision"):
        assert np.array_equal(getattr(batch, modality)[0], stored.streams[modality][0][kept])
        assert torch.equal(getattr(batch, f"{modality}_mask"), batch.text_mask)


@given(length=st.integers(0, 9), limit=st.integers(1, 9), keep_last=st.booleans())
def test_cut(length, limit, keep_last):
    row = np.arange(length)
    found = cut(row, limit, keep_last=keep_last).tolist()
    expected = list(range(length))
    if length > limit:
        expected = [*expected[: limit - 1], length - 1] if keep_last else expected[:limit]
    assert found == expected


def test_a_modality_without_any_frame_keeps_its_width(store):
    batch = rows_of(store, [1])
    assert batch.audio.shape == (1, 0, 3)
    assert batch.audio_mask.shape == (1, 0)
    assert batch.vision_mask.all()


def test_order_is_that_of_the_indices(store):
    order = [3, 0, 4, 2]
    loader = make_loader(store, np.array(order), batch_size=3)
    assert [batch.index.tolist() for batch in loader] == [[3, 0, 4], [2]]
    assert torch.cat([batch.label for batch in loader]).tolist() == [2.5, -1.0, -3.0, 1.0]


def test_company_in_the_batch_changes_only_the_padding(store):
    alone, together = rows_of(store, [0]), rows_of(store, [2, 0])
    assert torch.equal(alone.input_ids[0], together.input_ids[1, :5])
    assert torch.equal(alone.audio[0], together.audio[1, :3])
    assert together.audio_mask[1].sum() == 3


def test_shuffle_is_the_generators_and_independent_of_the_global_state(store):
    def order(seed):
        generator = torch.Generator().manual_seed(seed)
        loader = make_loader(store, np.arange(5), batch_size=2, shuffle_generator=generator)
        return [torch.cat([batch.index for batch in loader]).tolist() for _ in range(3)]

    first = order(1)
    torch.manual_seed(99)
    assert order(1) == first
    assert order(2) != first
    assert len({tuple(epoch) for epoch in first}) > 1
    assert all(sorted(epoch) == list(range(5)) for epoch in first)


@pytest.mark.parametrize(("method", "num_workers"), [("fork", 2), ("spawn", 1)])
def test_workers_read_what_the_process_itself_reads(store, method, num_workers):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    own = list(make_loader(store, np.arange(5), batch_size=2))  # the file is open before the fork
    loader = make_loader(store, np.arange(5), batch_size=2, num_workers=num_workers)
    loader.multiprocessing_context = method
    assert all(same(a, b) for a, b in zip(own, loader, strict=True))
    assert same(own[0], next(iter(make_loader(store, np.arange(5), batch_size=2))))


def test_one_utterance_and_several_are_the_same_items(store):
    dataset = UtteranceDataset(store, np.array([4, 2]))
    assert len(dataset) == 2
    one, several = dataset[1], dataset.__getitems__([0, 1])[1]
    assert one.index == several.index == 2
    assert np.array_equal(one.input_ids, several.input_ids)
    assert np.array_equal(one.audio, several.audio)


def test_to_moves_every_tensor_and_leaves_the_batch(store):
    batch = rows_of(store, [0, 1])
    moved = batch.to("meta")
    assert {getattr(moved, f.name).device.type for f in fields(Batch)} == {"meta"}
    assert {getattr(batch, f.name).device.type for f in fields(Batch)} == {"cpu"}
    assert same(batch.to("cpu"), batch)


def test_special_tokens_are_those_of_the_vocabulary(store):
    found = special_tokens(store.tokenizer)
    names = {f.name: store.tokenizer.vocabulary[getattr(found, f.name)] for f in fields(found)}
    assert names == {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
