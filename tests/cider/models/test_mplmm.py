import dataclasses

import pytest
import torch
from baseline_builders import (
    MOSI,
    joint,
    linear,
    make_baseline,
    mult,
    page_text,
    parameters_without_encoder,
    residual,
)
from torch.nn import functional
from utterance_builders import SPECIAL, assert_close, collate, make_utterances

from cider.models.mplmm import MPLMM, Generator, MPLMMSettings, lost_modalities
from cider.models.shared.steps import Steps
from mer_data.errors import MerDataError

UNK, CLS, SEP, MASK = SPECIAL.unk, SPECIAL.cls, SPECIAL.sep, SPECIAL.mask
AUDIO, VISION = torch.ones(3, 2), torch.ones(2, 3)


def text(*pieces):
    return torch.tensor([CLS, *pieces, SEP])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((text(7, 8), AUDIO, VISION), [False, False, False]),
        ((text(UNK, UNK, UNK), AUDIO, VISION), [True, False, False]),
        ((text(UNK, 8), AUDIO, VISION), [False, False, False]),
        ((text(MASK, MASK), AUDIO, VISION), [False, False, False]),
        ((text(), AUDIO, VISION), [True, False, False]),
        ((text(7), 0 * AUDIO, VISION), [False, True, False]),
        ((text(7), AUDIO * torch.tensor([[0.0], [0], [1]]), VISION), [False, False, False]),
        ((text(7), AUDIO[:0], VISION[:0]), [False, True, True]),
        ((text(UNK), 0 * AUDIO, 0 * VISION), [True, True, True]),
    ],
)
def test_a_modality_is_lost_when_nothing_of_it_is_left(row, expected):
    longer = (text(9, 9, 9, 9, 9), torch.ones(5, 2), torch.ones(6, 3))
    for batch in (collate([row]), collate([row, longer], extra=(1, 2, 3))):
        assert lost_modalities(batch, SPECIAL)[0].tolist() == expected


def make_generator():
    torch.manual_seed(0)
    return Generator((4, 2), (5, 3), length=6, width=3, prompt_length=2)


@pytest.mark.parametrize(("there", "layer"), [((True, False), 0), ((False, True), 1), ((True, True), 2)])
def test_what_is_there_is_mapped_joined_behind_the_prompt_and_stretched(there, layer):
    generator = make_generator()
    first, second = torch.randn(3, 4), torch.randn(2, 2)
    others = [
        Steps(functional.pad(x, (0, 0, 0, 1)).unsqueeze(0), torch.tensor([len(x)])) for x in (first, second)
    ]
    found = generator(others, torch.tensor([there]))[0]
    parts = [generator.prompt]
    for x, used, to_width, length in zip((first, second), there, generator.maps, (5, 3), strict=True):
        if used:
            mapped = functional.gelu(x @ to_width.weight.T + to_width.bias)
            parts.append(torch.cat([mapped, torch.zeros(length - len(x), 3)]))
    over_time = generator.over_time[layer]
    joined = torch.cat(parts)
    expected = functional.gelu(over_time.weight @ joined + over_time.bias.unsqueeze(1))
    assert_close(found, expected)


def test_with_nothing_there_nothing_is_generated():
    others = [Steps(torch.ones(1, 1, width), torch.tensor([1])) for width in (4, 2)]
    assert (make_generator()(others, torch.tensor([[False, False]])) == 0).all()


def test_a_lost_text_is_generated_from_the_others():
    """What the encoder makes of [UNK] pieces is ignored; what the others hold is not."""
    model, (row,) = make_baseline(MPLMM), make_utterances([(6, 8, 7)])
    lost = (text(UNK, UNK, UNK, UNK), *row[1:])
    before = joint(model, collate([lost]))
    model.text_encoder.norm.weight.data.mul_(3)
    assert torch.equal(joint(model, collate([lost])), before)
    assert not torch.equal(joint(model, collate([row])), before)
    seen = []
    model.generators[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    joint(model, collate([lost, (lost[0], -row[1], row[2])]))
    assert seen[0].shape == (2, 9, 6)
    assert (seen[0][0] - seen[0][1]).abs().max() > 1e-4


def test_frames_are_not_generated_while_one_is_left():
    model, (row,) = make_baseline(MPLMM), make_utterances([(6, 8, 7)])
    batch = collate([(row[0], row[1] * (torch.arange(8) == 3).unsqueeze(1), row[2])])
    before = joint(model, batch)
    for parameter in model.generators.parameters():
        parameter.data.mul_(5)
    assert torch.equal(joint(model, batch), before)


def test_the_last_step_sits_on_the_type_prompt():
    model, rows = make_baseline(MPLMM), make_utterances([(6, 8, 7), (3, 2, 1)])
    entered = []
    for memory in model.memories:
        memory.register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0]))
    joint(model, collate(rows))
    prompts = model.type_prompts(torch.zeros(2, 3, dtype=torch.bool))
    for steps, prompt, own in zip(entered, prompts, ((6, 3), (8, 2), (7, 1)), strict=True):
        assert prompt.shape == (2, 3, 12)
        for row in range(2):
            assert_close(steps.values[row, own[row] : own[row] + 3], prompt[row])
        assert steps.lengths.tolist() == [own[0] + 3, own[1] + 3]


def test_type_prompts_differ_by_what_is_lost_and_learn_from_the_start():
    prompts = make_baseline(MPLMM).type_prompts
    codes = torch.tensor([[bool(code & bit) for bit in (1, 2, 4)] for code in range(8)])
    found = prompts(codes)
    for prompt in found:
        assert torch.pdist(prompt.flatten(1)).min() > 1e-3
    sum(prompt.square().sum() for prompt in found).backward()
    for name, parameter in prompts.named_parameters():
        assert (parameter.grad.abs().amax(dim=-1) > 1e-6).all(), name


def test_the_start_of_a_prompt_is_small_beside_the_features():
    prompts = make_baseline(MPLMM, MOSI, settings=MPLMMSettings()).type_prompts
    for prompt in prompts(torch.zeros(1, 3, dtype=torch.bool)):
        assert 0.005 < prompt.std() < 0.1


def test_signals_tell_lost_from_present_by_step():
    prompts = make_baseline(MPLMM).type_prompts
    found = prompts.signal(1, torch.tensor([False, True]), 4)
    assert torch.equal(found, prompts.signals[1][:, :4])


def test_longer_rows_than_the_positions_are_refused():
    batch = collate(make_utterances([(4, 3, 3)]))
    wide = dataclasses.replace(
        batch, audio=torch.zeros(1, 15, 2), audio_mask=torch.ones(1, 15, dtype=torch.bool)
    )
    with pytest.raises(
        MerDataError, match="more audio frames than the model was built for: found 15, expected at most 14"
    ):
        make_baseline(MPLMM).encode(wide)


# --- parameter counts (docs/baselines.md) ---

D, S, LENGTHS, WIDTHS = 30, 16, (50, 375, 500), (768, 5, 20)


def published_parameters():
    """Term by term, for MOSI unaligned, without the last layer."""
    over_time = 0
    for target in range(3):
        first, second = (LENGTHS[k] for k in range(3) if k != target)
        over_time += sum(linear(S + steps, LENGTHS[target]) for steps in (first, second, first + second))
    return {
        "frozen crossings": 6 * mult(5, D),
        "frozen memories": 3 * mult(5, 2 * D),
        "frozen residual head": residual(6 * D),
        "input convolutions": sum(WIDTHS) * D,
        "generators: prompts": 3 * S * D,
        "generators: convolutions of raw features": 2 * sum(linear(width, D) for width in WIDTHS),
        "generators: layers over time": over_time,
        "signal prompts": 2 * sum(LENGTHS) * D,
        "mixers M": sum(LENGTHS) * 2 * D,
        "type prompts P": 3 * S * D,
    }


def test_the_terms_add_up_to_the_published_count():
    terms = published_parameters()
    assert sum(count for name, count in terms.items() if name.startswith("frozen")) == 1_061_280
    last_layer = linear(6 * D, 1)
    assert sum(terms.values()) + last_layer == 2_219_066
    three_more_convolutions = sum(linear(width, D) for width in WIDTHS)
    assert sum(terms.values()) + last_layer + three_more_convolutions == 2_242_946


@pytest.mark.parametrize("classes", [3, 7])
def test_the_model_holds_those_parameters(classes):
    model = make_baseline(MPLMM, MOSI, classes, MPLMMSettings())
    assert model.width == 180
    assert parameters_without_encoder(model) == sum(published_parameters().values()) == 2_218_885


def test_the_page_has_every_count():
    page = page_text("baselines.md")
    for count in [*(published_parameters()).values(), *{2_218_885, 2_219_066, 2_242_946, 1_061_280}]:
        assert f"{count:,}" in page
