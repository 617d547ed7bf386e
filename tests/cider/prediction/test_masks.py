import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cider.prediction.masks import removed, uniforms, utterance_keys
from cider.scoring.conditions import COMPLETE, NOTHING, RANDOM_PATTERNS, SMM_CASES, Condition, condition_of
from mer_data.torch_data import missing
from mer_data.torch_data.missing import ValidMask

IDS = [f"video{number}$_$1" for number in range(40)]
MODALITIES = ("text", "audio", "vision")


def positions(lengths, *, aligned=False):
    """Utterances of these lengths with [CLS] first and [SEP] last; audio and vision longer unless aligned."""
    longest = max(lengths)

    def mask(factor):
        steps = torch.arange(longest * factor)[None]
        return steps < torch.tensor(lengths)[:, None] * factor

    text = mask(1)
    special = torch.zeros_like(text)
    for row, length in enumerate(lengths):
        special[row, [0, length - 1]] = True
    return ValidMask(text, special, mask(1 if aligned else 3), mask(1 if aligned else 2))


def lost(condition, where, ids):
    keys = utterance_keys(ids, condition.pattern, condition.mask_seed)
    return removed(condition, where, keys)


# --- the numbers ---


def test_numbers_are_splitmix64():
    """The published reference: with state 1234567 its first output is 6457827717110365317."""
    key = np.array([1234567], dtype=np.uint64)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert uniforms(key, 0, 3)[0].tolist() == [(value >> 11) * 2.0**-53 for value in expected]


def test_numbers_are_uniform_and_independent():
    keys = utterance_keys([f"u{number}" for number in range(400)], "rmfm", 0)
    tables = [uniforms(keys, modality, 100) for modality in range(3)]
    for table in tables:
        assert table.min() >= 0
        assert table.max() < 1
        counts = np.histogram(table, bins=20, range=(0, 1))[0]
        assert ((counts - 2000) ** 2 / 2000).sum() < 43.8  # chi-square with 19 degrees, 0.1 %
    flat = [tables[0][:, :-1], tables[0][:, 1:], tables[0][:-1], tables[0][1:], tables[0], tables[1]]
    for first, second in zip(flat[::2], flat[1::2], strict=True):
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02


def test_a_key_is_decided_by_seed_pattern_and_id():
    base = utterance_keys(["a"], "rmfm", 0)
    assert utterance_keys(["a"], "rmfm", 0) == base
    for other in ((["b"], "rmfm", 0), (["a"], "rmm", 0), (["a"], "rmfm", 1)):
        assert utterance_keys(*other) != base


# --- the patterns ---


@pytest.mark.parametrize("pattern", RANDOM_PATTERNS)
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_patterns_are_those_of_training_given_the_same_numbers(monkeypatch, pattern, rate):
    lengths = [3 + number % 11 for number in range(40)]
    where = positions(lengths, aligned=pattern in ("tmfm", "stmfm"))
    condition = condition_of(pattern, rate, 0)
    keys = utterance_keys(IDS, pattern, 0)
    sizes = [where.text.shape[1], where.audio.shape[1], where.vision.shape[1]]
    joint = torch.from_numpy(
        np.concatenate([uniforms(keys, m, size) for m, size in enumerate(sizes)], axis=1)
    )
    alone = iter(torch.from_numpy(uniforms(keys, m, size)) for m, size in enumerate(sizes))
    numbers = {
        "rmfm": lambda: joint,
        "rmfm_same": lambda: next(alone),
        "rmm": lambda: torch.from_numpy(np.concatenate([uniforms(keys, m, 1) for m in range(3)], axis=1)),
        "tmfm": lambda: torch.from_numpy(uniforms(keys, 0, sizes[0])),
        "stmfm": lambda: torch.from_numpy(uniforms(keys, 0, 1))[:, 0],
    }[pattern]
    monkeypatch.setattr(missing, "_uniform", lambda *_: numbers())
    expected = missing.draw(pattern, where, torch.full((40,), rate), torch.Generator())
    found = lost(condition, where, IDS)
    for name in MODALITIES:
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


@pytest.mark.parametrize("pattern", RANDOM_PATTERNS)
def test_what_is_lost_at_a_rate_is_lost_at_higher_ones(pattern):
    where = positions([3 + number for number in range(40)], aligned=True)
    before = lost(COMPLETE, where, IDS)
    assert not before.text.any()
    for rate in (0.1, 0.2, 0.3, 0.5, 0.55, 0.8, 0.95, 1.0):
        now = lost(condition_of(pattern, rate, 1), where, IDS)
        for name in MODALITIES:
            assert not (getattr(before, name) & ~getattr(now, name)).any()
        assert now.audio.sum() > before.audio.sum()
        before = now
    assert torch.equal(before.text, where.pieces)
    assert torch.equal(before.vision, where.vision)


@pytest.mark.parametrize("pattern", RANDOM_PATTERNS)
@settings(max_examples=30)
@given(data=st.data())
def test_a_mask_is_its_utterances_alone(pattern, data):
    lengths = data.draw(st.lists(st.integers(2, 30), min_size=2, max_size=6))
    order = data.draw(st.permutations(range(len(lengths))))
    rate = data.draw(st.sampled_from([0.1, 0.37, 0.5, 0.99]))
    condition = Condition(pattern, rate, "", 2)
    together = lost(condition, positions(lengths, aligned=True), IDS[: len(lengths)])
    shuffled = lost(condition, positions([lengths[i] for i in order], aligned=True), [IDS[i] for i in order])
    for place, row in enumerate(order):
        alone = lost(condition, positions([lengths[row]], aligned=True), [IDS[row]])
        for name in MODALITIES:
            expected = getattr(alone, name)[0]
            steps = len(expected)
            assert torch.equal(getattr(together, name)[row, :steps], expected)
            assert torch.equal(getattr(shuffled, name)[place, :steps], expected)
            assert not getattr(together, name)[row, steps:].any()


def test_shares_are_the_rates():
    where = positions([60] * 40)
    for rate in (0.2, 0.7):
        found = lost(condition_of("rmfm", rate, 0), where, IDS)
        assert found.text.sum() / where.pieces.sum() == pytest.approx(rate, abs=0.03)
        assert found.audio.sum() / where.audio.sum() == pytest.approx(rate, abs=0.02)
    other = lost(condition_of("rmfm", 0.7, 1), where, IDS)
    assert (other.audio != found.audio).float().mean() == pytest.approx(2 * 0.7 * 0.3, abs=0.03)


def test_whole_modalities_go_together():
    where = positions([9] * 40)
    found = lost(condition_of("rmm", 0.5, 0), where, IDS)
    shares = [found.text.sum(dim=1) / 7, found.audio.sum(dim=1) / 27, found.vision.sum(dim=1) / 18]
    for share in shares:
        assert set(share.tolist()) == {0.0, 1.0}
    assert len({tuple(row) for row in torch.stack(shares, dim=1).tolist()}) == 8


@pytest.mark.parametrize("kept", SMM_CASES)
def test_smm_keeps_what_it_says(kept):
    where = positions([4, 9])
    condition = COMPLETE if kept == "LAV" else Condition("smm", 0.0, kept)
    found = lost(condition, where, IDS[:2])
    assert bool(found.text.any()) == ("L" not in kept)
    for letter, mask, valid in (("A", found.audio, where.audio), ("V", found.vision, where.vision)):
        assert torch.equal(mask, torch.zeros_like(valid) if letter in kept else valid)


def test_nothing_is_left_of_nothing_but_special_tokens():
    where = positions([2, 9])
    found = lost(NOTHING, where, IDS[:2])
    assert torch.equal(found.text, where.pieces)
    assert not found.text[0].any()
    assert torch.equal(found.audio, where.audio)
