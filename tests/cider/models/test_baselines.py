"""What holds for both: a joint representation is a function of its utterance alone, of all its modalities."""

import dataclasses

import pytest
import torch
from baseline_builders import ALIGNED, SMALL, joint, make_baseline
from torch.nn import functional
from utterance_builders import (
    SPECIAL,
    UNALIGNED,
    UNALIGNED_LENGTHS,
    assert_close,
    collate,
    make_utterances,
)

from cider.models.backbone import Backbone, JointRepresentation
from cider.models.dlf.backbone import DLF
from cider.models.mplmm import MPLMM
from mer_data.torch_data.missing import ValidMask, apply, rmfm, rmm

#: Beside those, a single frame, and texts and frames shorter than any kernel.
LENGTHS = [*UNALIGNED_LENGTHS, (4, 1, 1), (2, 2, 11), (9, 14, 2)]
ALIGNED_LENGTHS = [(7, 7, 7), (2, 2, 2), (5, 0, 5), (8, 8, 0), (3, 0, 0)]

KINDS = pytest.mark.parametrize("kind", [DLF, MPLMM])
CASES = pytest.mark.parametrize(
    ("shapes", "lengths"), [(UNALIGNED, LENGTHS), (ALIGNED, ALIGNED_LENGTHS)], ids=["unaligned", "aligned"]
)


def lossy(batch, rate=0.5, pattern=rmfm):
    removed = pattern(
        ValidMask.from_batch(batch, SPECIAL),
        torch.full((len(batch),), rate),
        torch.Generator().manual_seed(5),
    )
    return apply(batch, removed, SPECIAL)


@KINDS
@CASES
def test_the_joint_representation_is_as_wide_as_declared(kind, shapes, lengths):
    model = make_baseline(kind, shapes)
    assert isinstance(model, Backbone)
    result = joint(model, collate(make_utterances(lengths)))
    assert result.shape == (len(lengths), model.width)
    assert result.isfinite().all()
    assert torch.pdist(result).min() > 1e-4


@KINDS
@pytest.mark.parametrize("extra", [(1, 0, 0), (0, 2, 0), (0, 0, 3), (1, 2, 3)])
def test_padding_changes_nothing(kind, extra):
    lengths = [(min(a, 8), min(b, 12), min(c, 8)) for a, b, c in LENGTHS]
    model, rows = make_baseline(kind), make_utterances(lengths)
    assert_close(joint(model, collate(rows, extra=extra, junk=100.0)), joint(model, collate(rows)))


@KINDS
@CASES
def test_order_and_company_change_nothing(kind, shapes, lengths):
    model, rows = make_baseline(kind, shapes), make_utterances(lengths)
    together = joint(model, collate(rows))
    assert_close(joint(model, collate(rows[::-1])), together.flip(0))
    assert_close(torch.cat([joint(model, collate([row])) for row in rows]), together)


@KINDS
def test_company_changes_nothing_when_modalities_are_lost(kind):
    model, batch = make_baseline(kind), lossy(collate(make_utterances(LENGTHS)), pattern=rmm)
    rows = []
    for i in range(len(batch)):
        whole = dataclasses.asdict(batch)
        alone = {
            name: value[i : i + 1, : whole[f"{name}_mask"][i].sum()]
            for name, value in (("audio", batch.audio), ("vision", batch.vision))
        }
        alone |= {
            f"{name}_mask": torch.ones(alone[name].shape[:2], dtype=torch.bool)
            for name in ("audio", "vision")
        }
        pieces = int(batch.text_mask[i].sum())
        alone["input_ids"] = batch.input_ids[i : i + 1, :pieces]
        alone["text_mask"] = batch.text_mask[i : i + 1, :pieces]
        rows.append(
            joint(
                model,
                dataclasses.replace(
                    batch, label=batch.label[i : i + 1], index=batch.index[i : i + 1], **alone
                ),
            )
        )
    assert_close(torch.cat(rows), joint(model, batch))


@KINDS
def test_every_modality_has_a_say(kind):
    model, batch = make_baseline(kind), collate(make_utterances(LENGTHS))
    before = joint(model, batch)
    for name, mask in (("audio", batch.audio_mask), ("vision", batch.vision_mask)):
        changed = dataclasses.replace(batch, **{name: -getattr(batch, name)})
        moved = (joint(model, changed) - before).abs().amax(dim=1) > 1e-5
        assert torch.equal(moved, mask.any(dim=1)), name
    words = dataclasses.replace(batch, input_ids=torch.where(batch.input_ids > 4, 5, batch.input_ids))
    moved = (joint(model, words) - before).abs().amax(dim=1) > 1e-5
    assert torch.equal(moved, batch.text_mask.sum(dim=1) > 2)


@KINDS
def test_without_frames_the_batch_may_have_no_frame_axis(kind):
    batch = collate(make_utterances([(4, 0, 0), (2, 0, 0)]))
    assert batch.audio.shape == (2, 0, 2)
    assert joint(make_baseline(kind), batch).isfinite().all()


@KINDS
@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_no_missing_rate_makes_gradients_infinite(kind, rate):
    model, batch = make_baseline(kind).train(), lossy(collate(make_utterances(LENGTHS)), rate)
    model.encode(batch).joint.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@KINDS
def test_all_losses_reach_every_parameter(kind):
    lengths = [(9, 12, 11), (7, 14, 9), (8, 13, 10), (6, 9, 8), (9, 10, 11), (8, 12, 7), (7, 9, 9)]
    model, batch = make_baseline(kind).train(), collate(make_utterances(lengths))
    batch = with_every_loss(batch)
    head, classes = torch.nn.Linear(model.width, 3), torch.tensor([0, 1, 2, 0, 1, 2, 2])
    representation = model.encode(batch)
    loss = functional.cross_entropy(head(representation.joint), classes)
    if hasattr(model, "auxiliary_loss"):
        loss = loss + model.auxiliary_loss(representation, batch, classes)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # A bias of the keys shifts all logits of a row alike, which no softmax sees.
        assert (parameter.grad != 0).any() or name.endswith("key.bias"), name


def with_every_loss(batch):
    """One utterance of each kind: complete, one modality lost, two lost."""
    text = torch.tensor([0, 1, 0, 0, 1, 1, 0], dtype=torch.bool)
    audio = torch.tensor([0, 0, 1, 0, 1, 0, 1], dtype=torch.bool)
    vision = torch.tensor([0, 0, 0, 1, 0, 1, 1], dtype=torch.bool)
    return dataclasses.replace(
        batch,
        input_ids=torch.where(text.unsqueeze(1) & (batch.input_ids > 4), SPECIAL.unk, batch.input_ids),
        audio=batch.audio.masked_fill(audio.view(-1, 1, 1), 0.0),
        vision=batch.vision.masked_fill(vision.view(-1, 1, 1), 0.0),
    )


@KINDS
def test_half_precision_is_near_and_has_finite_gradients(kind):
    """Training casts as CIDer's does: encoding in bf16, the auxiliary loss in float32."""
    model, batch = make_baseline(kind), collate(make_utterances(LENGTHS))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model.encode(batch).joint
    torch.testing.assert_close(half.float(), joint(model, batch), rtol=0, atol=0.05)
    half.float().square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@KINDS
def test_dropout_is_off_in_evaluation_alone(kind):
    model, batch = make_baseline(kind), collate(make_utterances(LENGTHS))
    assert torch.equal(joint(model, batch), joint(model, batch))
    model.train()
    assert not torch.equal(joint(model, batch), joint(model, batch))


@KINDS
def test_heads_that_do_not_divide_the_width_are_refused(kind):
    with pytest.raises(ValueError, match="4 heads do not divide the width 6"):
        type(SMALL[kind])(width=6, heads=4)


@KINDS
def test_a_representation_is_tensors_by_utterance(kind):
    """What is cut into parts, and shared among processes, is cut by utterance."""
    representation = make_baseline(kind).encode(collate(make_utterances(LENGTHS)))
    assert isinstance(representation, JointRepresentation)
    assert all(len(tensor) == len(LENGTHS) for tensor in representation.extras.values())
