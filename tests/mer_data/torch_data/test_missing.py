import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from mer_data.errors import MerDataError
from mer_data.torch_data.batches import Batch, SpecialTokens
from mer_data.torch_data.missing import (
    PATTERNS,
    MissingMask,
    ValidMask,
    apply,
    draw,
    random_rates,
    rmfm,
    rmfm_same,
    rmm,
    smm,
    stmfm,
    tmfm,
)

SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4)
NAMES = sorted(PATTERNS)
MODALITIES = ("text", "audio", "vision")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def prefix(lengths, width):
    return torch.arange(width) < torch.tensor(lengths).unsqueeze(1)


def positions_of(text, audio, vision, *, widths=None):
    """Positions with the given lengths per utterance; [CLS] first and [SEP] last, if they fit."""
    widths = widths or (max(text), max(audio), max(vision))
    mask = prefix(text, widths[0])
    step = torch.arange(widths[0])
    last = torch.tensor(text).unsqueeze(1) - 1
    return ValidMask(
        mask, mask & ((step == 0) | (step == last)), prefix(audio, widths[1]), prefix(vision, widths[2])
    )


def aligned(lengths, width=None):
    width = width or max(lengths)
    return positions_of(lengths, lengths, lengths, widths=(width,) * 3)


def full(size, rate):
    return torch.full((size,), rate)


def masks(removed):
    return {name: getattr(removed, name) for name in MODALITIES}


def assert_same(first, second):
    for name in MODALITIES:
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def share(removed, positions):
    """Share lost of what each modality can lose."""
    removable = {"text": positions.pieces, "audio": positions.audio, "vision": positions.vision}
    return {name: (mask.sum() / removable[name].sum()).item() for name, mask in masks(removed).items()}


def make_batch():
    ids = torch.tensor([[2, 10, 11, 3, 0], [2, 12, 13, 14, 3]])
    torch.manual_seed(0)
    audio, vision = torch.rand(2, 4, 2) + 1, torch.rand(2, 3, 5) + 1
    audio_mask, vision_mask = prefix([4, 2], 4), prefix([0, 3], 3)
    return Batch(
        input_ids=ids,
        text_mask=ids != 0,
        audio=audio * audio_mask.unsqueeze(-1),
        audio_mask=audio_mask,
        vision=vision * vision_mask.unsqueeze(-1),
        vision_mask=vision_mask,
        label=torch.tensor([1.0, -2.0]),
        index=torch.tensor([4, 7]),
    )


# --- positions ---


def test_positions_know_special_tokens_by_id_and_only_where_valid():
    batch = make_batch()
    # A tokenizer whose padding id is that of [SEP] must not make padding special.
    batch = dataclasses.replace(batch, input_ids=torch.where(batch.text_mask, batch.input_ids, 3))
    positions = ValidMask.from_batch(batch, SPECIAL)
    assert positions.special.tolist() == [
        [True, False, False, True, False],
        [True, False, False, False, True],
    ]
    assert positions.pieces.tolist() == [[False, True, True, False, False], [False, True, True, True, False]]
    assert torch.equal(positions.audio, batch.audio_mask)
    assert torch.equal(positions.vision, batch.vision_mask)


# --- cost ---


class Counted(TorchDispatchMode):
    """Counts what is run."""

    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NAMES)
def test_no_pattern_looks_at_utterances_one_by_one(name):
    counts = []
    for size in (2, 64):
        lengths = [3 + number % 7 for number in range(size)]
        positions = aligned(lengths)
        batch = Batch(
            input_ids=positions.text.long(),
            text_mask=positions.text,
            audio=torch.ones(*positions.audio.shape, 2),
            audio_mask=positions.audio,
            vision=torch.ones(*positions.vision.shape, 2),
            vision_mask=positions.vision,
            label=torch.zeros(size),
            index=torch.arange(size),
        )
        random = generator()
        with Counted() as counted:
            rates = random_rates(size, random, "cpu")
            apply(batch, draw(name, ValidMask.from_batch(batch, SPECIAL), rates, random), SPECIAL)
        counts.append(counted.calls)
    assert counts[0] == counts[1] < 60


# --- invariants of all random patterns ---


@st.composite
def aligned_cases(draw_value):
    lengths = draw_value(st.lists(st.integers(0, 9), min_size=1, max_size=5))
    padding = draw_value(st.integers(0, 3))
    rates = draw_value(
        st.lists(st.floats(0, 1, width=32), min_size=len(lengths), max_size=len(lengths)).map(torch.tensor)
    )
    return aligned(lengths, max(max(lengths), 1) + padding), rates, draw_value(st.integers(0, 2**31))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(case=aligned_cases())
def test_only_removable_positions_go_and_the_seed_decides(name, case):
    positions, rates, seed = case
    removed = draw(name, positions, rates, generator(seed))
    for mask, allowed in zip(
        masks(removed).values(), (positions.pieces, positions.audio, positions.vision), strict=True
    ):
        assert mask.dtype == torch.bool
        assert mask.shape == allowed.shape
        assert not (mask & ~allowed).any()
    assert_same(removed, draw(name, positions, rates, generator(seed)))


@pytest.mark.parametrize("name", ["rmfm", "rmfm_same", "rmm", "tmfm"])
@settings(max_examples=40, deadline=None)
@given(case=aligned_cases(), factor=st.floats(0, 1, width=32))
def test_a_lower_rate_loses_a_subset(name, case, factor):
    positions, rates, seed = case
    more = draw(name, positions, rates, generator(seed))
    less = draw(name, positions, rates * factor, generator(seed))
    for name_ in MODALITIES:
        assert not (masks(less)[name_] & ~masks(more)[name_]).any()


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_another_result(name):
    positions = aligned([20] * 40)
    first, second = (draw(name, positions, full(40, 0.5), generator(seed)) for seed in (1, 2))
    assert not torch.equal(first.audio, second.audio)


@pytest.mark.parametrize("name", NAMES)
def test_rate_0_loses_nothing_and_rate_1_everything_removable(name):
    positions = aligned([12, 1, 5, 2], width=14)
    nothing = draw(name, positions, full(4, 0.0), generator())
    assert not any(mask.any() for mask in masks(nothing).values())
    everything = draw(name, positions, full(4, 1.0), generator())
    assert torch.equal(everything.text, positions.pieces)
    assert torch.equal(everything.audio, positions.audio)
    assert torch.equal(everything.vision, positions.vision)


@pytest.mark.parametrize("name", ["rmfm", "rmfm_same", "rmm"])
def test_no_frames_in_the_batch_at_all(name):
    positions = positions_of([4, 3], [0, 0], [0, 0])
    removed = draw(name, positions, full(2, 1.0), generator())
    assert removed.audio.shape == removed.vision.shape == (2, 0)
    assert torch.equal(removed.text, positions.pieces)


# --- the rates ---


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("name", ["rmfm", "rmfm_same", "rmm", "tmfm"])
def test_the_rate_is_the_share_lost_in_every_modality(name, rate):
    size = 4000
    positions = aligned([8] * size, width=10)
    lost = share(draw(name, positions, full(size, rate), generator(3)), positions)
    # rmm decides once per modality: its standard error is sqrt(.25 / 4000) = 0.008.
    assert lost == pytest.approx(dict.fromkeys(MODALITIES, rate), abs=0.03)


def test_every_utterance_has_its_own_rate():
    rates = torch.tensor([0.0, 0.2, 0.8, 1.0])
    for name in ("rmfm", "rmfm_same", "tmfm"):
        removed = draw(name, aligned([2000] * 4), rates, generator(5))
        assert removed.audio.float().mean(dim=1).tolist() == pytest.approx(rates.tolist(), abs=0.04), name
    many = rates.repeat_interleave(2000)
    lost = rmm(aligned([1] * 8000), many, generator(5)).audio.float().reshape(4, 2000).mean(dim=1)
    assert lost.tolist() == pytest.approx(rates.tolist(), abs=0.04)


def test_rmfm_positions_are_lost_independently():
    removed = rmfm(positions_of([3] * 9000, [2] * 9000, [1] * 9000), full(9000, 0.5), generator())
    lost = torch.cat([removed.text[:, 1:2], removed.audio, removed.vision], dim=1).double()
    assert torch.corrcoef(lost.T).fill_diagonal_(0).abs().max() < 0.04


def test_rmfm_per_position_loses_half_whatever_the_rates_say():
    positions = positions_of([50] * 300, [60] * 300, [70] * 300)
    for rate in (0.0, 1.0):
        removed = rmfm(positions, full(300, rate), generator(), per_position=True)
        assert share(removed, positions) == pytest.approx(dict.fromkeys(MODALITIES, 0.5), abs=0.015)
    # Within an utterance the share is always about one half: one rate per utterance would vary more.
    assert removed.vision.float().mean(dim=1).std() < 0.1


def test_rmfm_same_takes_a_rate_per_modality():
    positions = positions_of([50] * 300, [60] * 300, [70] * 300)
    rates = torch.tensor([0.2, 0.5, 0.9]).expand(300, 3)
    lost = share(rmfm_same(positions, rates, generator()), positions)
    assert lost == pytest.approx({"text": 0.2, "audio": 0.5, "vision": 0.9}, abs=0.02)


def test_rmm_loses_whole_modalities_independently():
    positions = positions_of([5, 4] * 3000, [2, 6] * 3000, [3, 1] * 3000)
    removed = rmm(positions, full(6000, 0.5), generator())
    whole = []
    for mask, allowed in zip(
        masks(removed).values(), (positions.pieces, positions.audio, positions.vision), strict=True
    ):
        count = mask.sum(dim=1)
        assert ((count == 0) | (count == allowed.sum(dim=1))).all()
        whole.append(count > 0)
    combinations = torch.stack(whole).double() @ torch.stack(whole).double().T / 6000
    expected = torch.full((3, 3), 0.25).fill_diagonal_(0.5)
    assert torch.allclose(combinations, expected.double(), atol=0.03)


def test_random_rates_are_uniform_and_seeded():
    rates = random_rates(20_000, generator(), "cpu")
    assert rates.shape == (20_000,)
    assert rates.min() >= 0
    assert rates.max() < 1
    assert torch.histc(rates, bins=4, min=0, max=1).div(20_000).tolist() == pytest.approx(
        [0.25] * 4, abs=0.015
    )
    assert torch.equal(rates, random_rates(20_000, generator(), "cpu"))


# --- patterns over time ---


@pytest.mark.parametrize("pattern", [tmfm, stmfm])
def test_the_same_steps_are_lost_in_all_modalities(pattern):
    positions = aligned([9, 4, 7] * 50, width=11)
    removed = pattern(positions, full(150, 0.5), generator())
    assert torch.equal(removed.audio, removed.vision)
    assert torch.equal(removed.text, removed.audio & positions.pieces)
    assert (removed.audio & positions.special).any()


def test_time_patterns_leave_absent_frames_alone():
    positions = dataclasses.replace(aligned([6, 6]), audio=prefix([6, 0], 6))
    for pattern in (tmfm, stmfm):
        removed = pattern(positions, full(2, 1.0), generator())
        assert torch.equal(removed.audio, positions.audio)
        assert torch.equal(removed.vision, positions.vision)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    tenths=st.integers(0, 10),
    seed=st.integers(0, 2**31),
)
def test_stmfm_loses_one_block_of_the_rounded_length(lengths, tenths, seed):
    positions = aligned(lengths, width=max(lengths) + 2)
    removed = stmfm(positions, full(len(lengths), tenths / 10), generator(seed))
    for row, length in zip(removed.audio.tolist(), lengths, strict=True):
        steps = [step for step, lost in enumerate(row) if lost]
        first = min(steps, default=0)
        assert steps == list(range(first, first + round(tenths / 10 * length)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("rate", "length", "expected"), [(0.1, 25, 2), (0.3, 5, 2), (0.5, 5, 2), (0.5, 7, 4)]
)
def test_stmfm_rounds_half_to_even(rate, length, expected, dtype):
    removed = stmfm(aligned([length]), torch.tensor([rate], dtype=dtype), generator())
    assert removed.vision.sum() == expected


def test_stmfm_starts_are_uniform_over_all_possible_starts():
    removed = stmfm(aligned([10] * 8000, width=13), full(8000, 0.3), generator())
    starts = torch.bincount(removed.audio.int().argmax(dim=1), minlength=13)
    assert starts[8:].sum() == 0
    assert (starts[:8] - 1000).abs().max() < 130  # more than four standard deviations


@pytest.mark.parametrize("name", ["tmfm", "stmfm"])
def test_time_patterns_refuse_unaligned_data(name):
    with pytest.raises(MerDataError, match=rf"{name} needs aligned data.*\(2, 4\) / \(2, 4\) / \(2, 5\)"):
        draw(name, positions_of([4, 4], [4, 4], [5, 5]), full(2, 0.5), generator())


# --- smm ---


@pytest.mark.parametrize("keep", ["L", "A", "V", "LA", "LV", "AV", "LAV"])
def test_smm_loses_exactly_the_modalities_not_kept(keep):
    positions = positions_of([5, 3], [2, 4], [0, 6], widths=(6, 5, 7))
    removed = smm(positions, keep)
    for letter, mask, allowed in zip(
        "LAV",
        masks(removed).values(),
        (positions.pieces, positions.audio, positions.vision),
        strict=True,
    ):
        expected = torch.zeros_like(allowed) if letter in keep else allowed
        assert torch.equal(mask, expected), letter


@pytest.mark.parametrize("keep", ["", "VA", "l", "LAVX"])
def test_smm_refuses_unknown_modalities(keep):
    with pytest.raises(MerDataError, match=f"found {keep!r}, expected L or A or V or LA or LV or AV or LAV"):
        smm(aligned([3]), keep)


# --- bad input ---


def test_an_unknown_pattern_lists_the_known():
    with pytest.raises(MerDataError, match="'RMFM', expected rmfm or rmfm_same or rmm or tmfm or stmfm"):
        draw("RMFM", aligned([3]), full(1, 0.5), generator())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (torch.tensor([0.5]), r"wrong shape: found \(1,\), expected \(2,"),
        (torch.tensor(0.5), r"wrong shape: found \(\), expected \(2,"),
        (torch.full((2, 4), 0.5), r"wrong shape: found \(2, 4\), expected \(2,"),
        (torch.tensor([0.5, 1.5]), "leave their range: found 0.5 to 1.5, expected 0 to 1"),
        (torch.tensor([-0.1, 0.5]), "leave their range: found -0.1 to 0.5, expected 0 to 1"),
        (torch.tensor([0.5, torch.nan]), "leave their range: found nan"),
    ],
)
def test_bad_rates_are_refused(name, rates, message):
    with pytest.raises(MerDataError, match=message):
        draw(name, aligned([4, 4]), rates, generator())


# --- apply ---


def test_apply_writes_unk_and_zeros_only_where_removed():
    batch = make_batch()
    removed = MissingMask(
        text=torch.tensor([[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]).bool(),
        audio=torch.tensor([[0, 1, 0, 1], [1, 0, 0, 0]]).bool(),
        vision=torch.tensor([[0, 0, 0], [0, 0, 1]]).bool(),
    )
    seen = apply(batch, removed, SPECIAL)
    assert seen.input_ids.tolist() == [[2, 1, 11, 3, 0], [2, 12, 13, 1, 3]]
    for before, after, mask in (
        (batch.audio, seen.audio, removed.audio),
        (batch.vision, seen.vision, removed.vision),
    ):
        assert (after[mask] == 0).all()
        assert (before[mask] != 0).all()
        assert torch.equal(after[~mask], before[~mask])
    for name in ("text_mask", "audio_mask", "vision_mask", "label", "index"):
        assert torch.equal(getattr(seen, name), getattr(batch, name)), name
    assert batch.input_ids[0, 1] == 10  # the given batch is untouched


def test_apply_refuses_a_mask_of_another_batch():
    batch = make_batch()
    removed = smm(ValidMask.from_batch(batch, SPECIAL), "L")
    wrong = dataclasses.replace(removed, audio=removed.audio[:1])
    with pytest.raises(ValueError, match=r"removed audio has shape \(1, 4\), the batch has \(2, 4\)"):
        apply(batch, wrong, SPECIAL)
