"""The model without word alignment, and with a vanilla transformer (paper Table V)."""

import dataclasses
import hashlib
import math

import pytest
import torch
from test_cider import (
    ALIGNED,
    SMALL,
    SPECIAL,
    UNALIGNED,
    UNALIGNED_LENGTHS,
    TinyEncoder,
    assert_close,
    collate,
    make_model,
    make_utterances,
    predict,
)

from cider.model.architecture import Architecture
from cider.model.attention import CompositeAttention, VanillaAttention
from cider.model.cider import CIDer
from cider.model.transformer import CompositeTransformer, sinusoids
from cider.models.backbone_model import count_parameters
from cider.training import losses as objectives
from mer_data.errors import MerDataError
from mer_data.torch_data.missing import ValidMask, apply, rmfm

FRAMES = SMALL.model_copy(update={"word_alignment": False})
VANILLA = SMALL.model_copy(update={"fusion": "vanilla"})
BOTH = FRAMES.model_copy(update={"fusion": "vanilla"})
SWITCHED = pytest.mark.parametrize("architecture", [FRAMES, VANILLA, BOTH], ids=["frames", "vanilla", "both"])
ROWS = make_utterances(UNALIGNED_LENGTHS)


# --- what is not switched stays as it was ---


def test_the_default_is_the_model_of_earlier_checkpoints():
    weights = make_model(UNALIGNED).state_dict()
    names = hashlib.sha256("\n".join(weights).encode()).hexdigest()
    assert names.startswith("5c7ad77072dd7666")
    last = {name: weights[name].flatten()[-1].item() for name in weights}
    assert last["alignments.1.out.weight"] == pytest.approx(0.114173, abs=1e-6)
    assert last["transformer.layers.1.feed.3.bias"] == pytest.approx(-0.029125, abs=1e-6)
    assert last["head.classifiers.2.bias"] == pytest.approx(0.103921, abs=1e-6)
    assert last["reconstruction_heads.vision.to_frame.weight"] == pytest.approx(-0.176187, abs=1e-6)


def test_aligned_data_have_no_alignment_to_leave_out():
    one, other = make_model(ALIGNED), make_model(ALIGNED, FRAMES)
    batch = collate(make_utterances([(7, 7, 7), (5, 0, 5)]))
    assert torch.equal(predict(one, batch), predict(other, batch))


# --- a function of the utterance alone ---


@SWITCHED
@pytest.mark.parametrize("extra", [(1, 0, 0), (0, 2, 1), (0, 0, 2), (1, 1, 2)])
def test_padding_changes_nothing(architecture, extra):
    model = make_model(UNALIGNED, architecture)
    padded = collate(ROWS, extra=extra, junk=100.0)
    assert_close(predict(model, padded), predict(model, collate(ROWS)))


@SWITCHED
def test_order_and_company_change_nothing(architecture):
    model = make_model(UNALIGNED, architecture)
    together = predict(model, collate(ROWS))
    order = [3, 1, 4, 0, 2]
    assert_close(predict(model, collate([ROWS[i] for i in order])), together[order])
    assert_close(torch.cat([predict(model, collate([row])) for row in ROWS]), together)


@SWITCHED
def test_what_distillation_compares_does_not_depend_on_padding(architecture):
    model = make_model(UNALIGNED, architecture)
    short = model(collate(ROWS), for_distillation=True)
    long = model(collate(ROWS, extra=(1, 2, 1)), for_distillation=True)
    assert_close(long.joint, short.joint)
    steps = short.fused[0].shape[1]
    assert steps == (12 if not architecture.word_alignment else 8)
    for after, before in zip(long.fused, short.fused, strict=True):
        assert_close(after[:, :steps], before)
        assert (after[:, steps:] == 0).all()
    before, after = model.reconstruct(short), model.reconstruct(long)
    assert_close(after.text[:, :8], before.text[:, :8])
    assert_close(after.audio, before.audio)
    assert_close(after.vision, before.vision)
    assert (before.audio.shape, before.vision.shape) == ((5, 14, 2), (5, 11, 3))
    divergences = []
    for extra in ((0, 0, 0), (1, 2, 1)):
        batch = collate(ROWS, extra=extra)
        other = dataclasses.replace(batch, audio=-batch.audio)
        teacher, student = (model(one, for_distillation=True) for one in (batch, other))
        divergences.append(
            objectives.attention_divergence(
                teacher.attention_logits, student.attention_logits, student.fused_mask
            )
        )
    assert divergences[0] > 1e-4
    torch.testing.assert_close(*divergences, rtol=1e-2, atol=0)


@SWITCHED
def test_every_frame_has_a_say(architecture):
    model = make_model(UNALIGNED, architecture)
    batch = collate(ROWS)
    before = predict(model, batch)
    for name, mask in (("audio", batch.audio_mask), ("vision", batch.vision_mask)):
        changed = dataclasses.replace(batch, **{name: -getattr(batch, name)})
        moved = (predict(model, changed) - before).abs().amax(dim=1) > 1e-5
        # Aligned frames come in through words, of which the second utterance has none.
        has_words = torch.tensor([True, not architecture.word_alignment, True, True, True])
        assert torch.equal(moved, mask.any(dim=1) & has_words), name


@SWITCHED
def test_no_frames_at_all(architecture):
    batch = collate(make_utterances([(4, 0, 0), (3, 0, 0)]))
    assert batch.audio.shape == (2, 0, 2)
    model = make_model(UNALIGNED, architecture)
    output = model(batch, for_distillation=True)
    assert output.log_probabilities.isfinite().all()
    (output.log_probabilities.sum() + model.reconstruct(output).audio.sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


# --- training ---


@SWITCHED
def test_all_losses_reach_every_parameter(architecture):
    everything = architecture.model_copy(update={"attention_dropout": 0.2, "output_dropout": 0.1})
    model, batch = make_model(UNALIGNED, everything).train(), collate(ROWS)
    removed = rmfm(
        ValidMask.from_batch(batch, SPECIAL), torch.full((5,), 0.5), torch.Generator().manual_seed(0)
    )
    teacher = model(batch, for_distillation=True)
    student = model(apply(batch, removed, SPECIAL), for_distillation=True)
    loss = (
        objectives.classification(student.log_probabilities, torch.tensor([0, 1, 2, 0, 1]))
        + objectives.reconstruction(
            model.reconstruct(student), (teacher.text_features, batch.audio, batch.vision), removed
        )
        + objectives.attention_divergence(
            teacher.attention_logits, student.attention_logits, student.fused_mask
        )
        + objectives.joint_distance(teacher.joint, student.joint)
    )
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any() or name.endswith("key.bias"), name


# --- sizes ---


@pytest.mark.parametrize(("switched", "layers"), [({"word_alignment": False}, 2), ({"fusion": "vanilla"}, 3)])
def test_parameter_counts_by_formula(switched, layers):
    d, (text, audio, vision) = 32, (50, 375, 500)
    shapes = dataclasses.replace(
        UNALIGNED, text_width=768, text_length=text, audio_length=audio, vision_length=vision
    )
    plain = Architecture(width=d, layers=layers)

    def count(architecture):
        model = CIDer(
            TinyEncoder(768), shapes=shapes, architecture=architecture, num_classes=3, special=SPECIAL
        )
        return count_parameters(model, include_text_encoder=False)

    linear = d * d + d
    change = {
        # Two alignments of four linear maps go; the map over time has a column per frame, not per piece.
        "word_alignment": -2 * 4 * linear + audio * (audio - text) + vision * (vision - text),
        # The seven linear maps after the attentions and the three of 4d go, in every layer.
        "fusion": -layers * (7 * linear + 3 * (4 * d * d + d)),
    }
    (name,) = switched
    assert count(plain.model_copy(update=switched)) - count(plain) == change[name]


# --- parts ---


def test_positions_follow_the_greatest_lengths_of_the_blocks():
    model = CompositeTransformer(Architecture(width=8, heads=2), lengths=(3, 7, 5))
    table = sinusoids(17, 8)
    assert torch.equal(model.positions, torch.stack([table[start : start + 7] for start in (0, 3, 10)]))


def test_vanilla_attention_is_one_softmax_over_all_valid_steps():
    torch.manual_seed(0)
    module = VanillaAttention(width=8, heads=2, dropout=0.5).eval()
    mask = torch.tensor([[[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], [[1, 1, 1, 1]] * 3]).bool()
    x = torch.randn(2, 12, 8)
    output, logits = module(x, mask, with_logits=True)
    q, k, v = (layer(x).view(2, 12, 2, 4) for layer in (module.query, module.key, module.value))
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(4)
    torch.testing.assert_close(logits.matrix(), scores)
    weights = scores.masked_fill(~mask.flatten(1)[:, None, None], -math.inf).softmax(dim=-1)
    attended = torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2)
    torch.testing.assert_close(output, module.out(attended), rtol=1e-5, atol=1e-5)
    assert module(x, mask)[1] is None
    assert torch.equal(module(x, mask.any(dim=1))[0][1], output[1])


def test_vanilla_attention_drops_only_while_training_and_survives_an_empty_utterance():
    torch.manual_seed(0)
    module, x = VanillaAttention(width=4, heads=1, dropout=0.5), torch.randn(1, 9, 4)
    mask = torch.ones(1, 3).bool()
    assert not torch.allclose(module(x, mask)[0], module(x, mask)[0])
    module.eval()
    assert torch.equal(module(x, mask)[0], module(x, mask)[0])
    assert module(x, ~mask)[0].isfinite().all()


def test_the_fusion_is_the_attention_of_every_layer():
    kinds = {"composite": CompositeAttention, "vanilla": VanillaAttention}
    for fusion, kind in kinds.items():
        model = make_model(UNALIGNED, SMALL.model_copy(update={"fusion": fusion}))
        assert [type(layer.attention) for layer in model.transformer.layers] == [kind, kind]


def test_frames_are_fused_as_they_are():
    assert len(make_model(UNALIGNED, FRAMES).alignments) == 0
    output = make_model(UNALIGNED, FRAMES)(collate(ROWS), for_distillation=True)
    lengths = output.fused_mask.sum(dim=2).tolist()
    assert [tuple(row) for row in lengths] == UNALIGNED_LENGTHS


@pytest.mark.parametrize(("lengths", "what"), [((4, 15, 3), "audio"), ((4, 3, 12), "vision")])
def test_more_frames_than_positions_are_refused_only_without_alignment(lengths, what):
    batch = collate(make_utterances([lengths]))
    assert predict(make_model(UNALIGNED), batch).isfinite().all()
    found, most = max(lengths), max(lengths) - 1
    with pytest.raises(MerDataError, match=f"more {what} frames .*: found {found}, expected at most {most}"):
        predict(make_model(UNALIGNED, FRAMES), batch)
