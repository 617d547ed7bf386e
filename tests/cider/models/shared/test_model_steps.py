import dataclasses

import pytest
import torch
from utterance_builders import UNALIGNED, collate, make_utterances

from cider.models.shared.steps import Steps, check_batch
from mer_data.errors import MerDataError


def some_steps(lengths=(3, 1, 0), width=2):
    values = torch.arange(1.0, len(lengths) * 4 * width + 1).view(len(lengths), 4, width)
    return Steps.from_mask(values, torch.arange(4) < torch.tensor(lengths).unsqueeze(1))


def test_padding_is_zero_and_nothing_is_one_step_of_zeros():
    steps = some_steps()
    assert steps.lengths.tolist() == [3, 1, 1]
    assert steps.values[0].tolist() == [[1, 2], [3, 4], [5, 6], [0, 0]]
    assert (steps.values[2] == 0).all()
    without_axis = Steps.from_mask(torch.zeros(2, 0, 5), torch.zeros(2, 0, dtype=torch.bool))
    assert without_axis.values.shape == (2, 1, 5)
    assert without_axis.lengths.tolist() == [1, 1]


def test_the_last_step_is_the_utterances_own():
    assert some_steps().last().tolist() == [[5, 6], [9, 10], [0, 0]]


def test_what_follows_comes_right_after_the_own_last_step():
    more = -torch.arange(1.0, 13).view(3, 2, 2)
    longer = some_steps().followed_by(more)
    assert longer.lengths.tolist() == [5, 3, 3]
    assert longer.values[0].tolist() == [[1, 2], [3, 4], [5, 6], [-1, -2], [-3, -4], [0, 0]]
    assert longer.values[1].tolist() == [[9, 10], [-5, -6], [-7, -8], [0, 0], [0, 0], [0, 0]]
    assert torch.equal(longer.last(), more[:, -1])


def test_replaced_values_are_zero_at_padding():
    replaced = some_steps().replaced(torch.ones(3, 4, 1))
    assert replaced.values.squeeze(-1).tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_fixed_length_ends_with_zeros():
    fixed = some_steps().fixed(6)
    assert fixed.shape == (3, 6, 2)
    assert (fixed[:, 4:] == 0).all()


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ((10, 3, 3), "more word pieces than .*: found 10, expected at most 9"),
        ((4, 15, 3), "more audio frames than .*: found 15, expected at most 14"),
        ((4, 3, 12), "more vision frames than .*: found 12, expected at most 11"),
    ],
)
def test_too_many_steps_are_refused(lengths, message):
    with pytest.raises(MerDataError, match=message):
        check_batch(collate(make_utterances([lengths])), UNALIGNED)


@pytest.mark.parametrize(("name", "width"), [("audio", 2), ("vision", 3)])
def test_frames_of_another_width_are_refused(name, width):
    batch = collate(make_utterances([(4, 3, 3)]))
    wrong = dataclasses.replace(batch, **{name: torch.zeros(1, 3, 7)})
    with pytest.raises(MerDataError, match=f"{name} frames have another width .*: found 7, expected {width}"):
        check_batch(wrong, UNALIGNED)
