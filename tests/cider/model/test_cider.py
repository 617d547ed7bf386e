import dataclasses

import pytest
import torch
from utterance_builders import (
    SPECIAL,
    UNALIGNED,
    UNALIGNED_LENGTHS,
    TinyEncoder,
    assert_close,
    collate,
    make_utterances,
)

from cider.debiasing.causal_head import CausalHead, PlainHead
from cider.model.architecture import Architecture, FeatureShapes
from cider.model.cider import CIDer
from cider.models.backbone_model import causal_parameter_count, count_parameters, parameter_groups
from cider.training import losses as objectives
from mer_data.errors import MerDataError, StatisticsError
from mer_data.torch_data.missing import ValidMask, apply, rmfm

ALIGNED = dataclasses.replace(UNALIGNED, audio_length=9, vision_length=9, aligned=True)
SMALL = Architecture(
    width=8, layers=2, heads=2, attention_dropout=0.0, embedding_dropout=0.0, output_dropout=0.0
)
QUIET = SMALL.model_copy(update={"relu_dropout": 0.0, "residual_dropout": 0.0})
ALIGNED_LENGTHS = [(7, 7, 7), (2, 2, 2), (5, 0, 5), (8, 8, 0), (3, 0, 0)]


def make_model(shapes, architecture=SMALL, num_classes=3, **options):
    torch.manual_seed(0)
    model = CIDer(
        TinyEncoder(shapes.text_width),
        shapes=shapes,
        architecture=architecture,
        num_classes=num_classes,
        special=SPECIAL,
        **options,
    )
    if isinstance(model.head, CausalHead):
        model.head.set_statistics(
            priors=torch.arange(1.0, num_classes + 1) / sum(range(num_classes + 1)),
            text=torch.randn(num_classes, shapes.text_width),
            audio=torch.randn(num_classes, shapes.audio_width),
            vision=torch.randn(num_classes, shapes.vision_width),
        )
    return model.eval()


CASES = pytest.mark.parametrize(
    ("shapes", "lengths"),
    [(UNALIGNED, UNALIGNED_LENGTHS), (ALIGNED, ALIGNED_LENGTHS)],
    ids=["unaligned", "aligned"],
)


def predict(model, batch):
    with torch.no_grad():
        return model(batch).log_probabilities


# --- a function of the utterance alone ---


@CASES
def test_predictions_are_distributions(shapes, lengths):
    result = predict(make_model(shapes), collate(make_utterances(lengths)))
    assert result.shape == (5, 3)
    assert_close(result.exp().sum(dim=1), torch.ones(5))


@CASES
def test_predictions_differ_between_utterances(shapes, lengths):
    result = predict(make_model(shapes), collate(make_utterances(lengths)))
    assert torch.pdist(result).min() > 1e-4


@pytest.mark.parametrize(
    ("shapes", "lengths", "extra"),
    [
        (UNALIGNED, UNALIGNED_LENGTHS, (1, 0, 0)),
        (UNALIGNED, UNALIGNED_LENGTHS, (0, 2, 1)),
        (UNALIGNED, UNALIGNED_LENGTHS, (1, 1, 2)),
        (ALIGNED, ALIGNED_LENGTHS, (1, 0, 0)),
        (ALIGNED, ALIGNED_LENGTHS, (1, 1, 2)),
    ],
)
def test_padding_changes_nothing(shapes, lengths, extra):
    model, rows = make_model(shapes), make_utterances(lengths)
    assert_close(predict(model, collate(rows, extra=extra, junk=100.0)), predict(model, collate(rows)))


@CASES
def test_order_changes_nothing(shapes, lengths):
    model, rows = make_model(shapes), make_utterances(lengths)
    order = [3, 1, 4, 0, 2]
    assert_close(predict(model, collate([rows[i] for i in order])), predict(model, collate(rows))[order])


@CASES
def test_company_changes_nothing(shapes, lengths):
    model, rows = make_model(shapes), make_utterances(lengths)
    alone = torch.cat([predict(model, collate([row])) for row in rows])
    assert_close(alone, predict(model, collate(rows)))


@CASES
def test_what_distillation_compares_does_not_depend_on_padding(shapes, lengths):
    model, rows = make_model(shapes), make_utterances(lengths)
    short = model(collate(rows), for_distillation=True)
    long = model(collate(rows, extra=(1, 1, 1)), for_distillation=True)
    assert_close(long.joint, short.joint)
    assert_close(long.text_features[:, :8], short.text_features)
    for after, before in zip(long.fused, short.fused, strict=True):
        assert_close(after[:, :8], before)
        assert (after[:, 8:] == 0).all()
    before, after = model.reconstruct(short), model.reconstruct(long)
    assert_close(after.text[:, :8], before.text)
    assert_close(after.audio, before.audio)
    assert_close(after.vision, before.vision)


@CASES
def test_every_modality_has_a_say(shapes, lengths):
    model, rows = make_model(shapes), make_utterances(lengths)
    batch = collate(rows)
    before = predict(model, batch)
    for name, mask in (("audio", batch.audio_mask), ("vision", batch.vision_mask)):
        changed = dataclasses.replace(batch, **{name: -getattr(batch, name)})
        moved = (predict(model, changed) - before).abs().amax(dim=1) > 1e-5
        # Unaligned frames come in through words: the second utterance has none.
        expected = mask.any(dim=1) & torch.tensor([True, shapes.aligned, True, True, True])
        assert torch.equal(moved, expected), name
    words = dataclasses.replace(batch, input_ids=torch.where(batch.input_ids > 4, 5, batch.input_ids))
    moved = (predict(model, words) - before).abs().amax(dim=1) > 1e-5
    assert torch.equal(moved, torch.tensor([True, False, True, True, True]))


def test_without_frames_the_batch_may_have_no_frame_axis():
    model, rows = make_model(UNALIGNED), make_utterances([(4, 0, 0), (3, 0, 0)])
    batch = collate(rows)
    assert batch.audio.shape == (2, 0, 2)
    assert predict(model, batch).isfinite().all()


# --- parts ---


def test_special_rows_of_the_aligned_audio_come_from_nothing():
    model, batch = make_model(UNALIGNED), collate(make_utterances(UNALIGNED_LENGTHS))
    seen = []
    model.alignments[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    predict(model, batch)
    nothing = (seen[0] == model.alignments[0].out.bias).all(dim=-1)
    words = batch.text_mask & (batch.input_ids != SPECIAL.cls) & (batch.input_ids != SPECIAL.sep)
    assert torch.equal(nothing, ~(words & batch.audio_mask.any(dim=1, keepdim=True)))


def test_aligned_data_need_no_alignment():
    assert len(make_model(ALIGNED).alignments) == 0


def test_distillation_output_is_optional_and_what_it_says():
    model, batch = make_model(UNALIGNED), collate(make_utterances(UNALIGNED_LENGTHS))
    plain, full = model(batch), model(batch, for_distillation=True)
    assert not hasattr(plain, "text_features")
    assert not hasattr(plain, "attention_logits")
    assert torch.equal(plain.log_probabilities, full.log_probabilities)
    assert plain.joint.shape == (5, 24)
    encoded = model.text_encoder(batch.input_ids, batch.text_mask)
    assert torch.equal(full.text_features, encoded * batch.text_mask.unsqueeze(-1))
    assert full.attention_logits.matrix().shape == (5, 2, 24, 24)
    assert [block.shape for block in full.fused] == [(5, 8, 8)] * 3
    heads = model.reconstruct(full)
    assert (heads.text.shape, heads.audio.shape, heads.vision.shape) == ((5, 8, 6), (5, 14, 2), (5, 11, 3))


def test_text_features_for_distillation_are_before_dropout():
    model = make_model(UNALIGNED, QUIET.model_copy(update={"embedding_dropout": 0.5})).train()
    batch = collate(make_utterances(UNALIGNED_LENGTHS))
    first, second = (model(batch, for_distillation=True) for _ in range(2))
    assert torch.equal(first.text_features, second.text_features)
    assert not torch.equal(first.joint, second.joint)


def test_the_mode_chooses_the_intervention():
    model, batch = make_model(UNALIGNED, QUIET), collate(make_utterances(UNALIGNED_LENGTHS))
    for mode, intervention in ((True, "training"), (False, "test")):
        output = model.train(mode)(batch)
        expected = model.head(output.joint, intervention=intervention)
        assert torch.equal(output.log_probabilities, expected)


def test_without_label_debiasing_the_head_is_plain():
    model = make_model(UNALIGNED, label_debiasing=False)
    assert isinstance(model.head, PlainHead)
    output = model(collate(make_utterances(UNALIGNED_LENGTHS)))
    assert_close(output.log_probabilities, model.head.classifier(output.joint).log_softmax(dim=1))
    assert causal_parameter_count(model) == 0


@CASES
def test_all_losses_reach_every_parameter(shapes, lengths):
    everything = Architecture(width=8, layers=2, heads=2, attention_dropout=0.2)
    model, batch = make_model(shapes, everything).train(), collate(make_utterances(lengths))
    generator = torch.Generator().manual_seed(0)
    removed = rmfm(ValidMask.from_batch(batch, SPECIAL), torch.full((5,), 0.5), generator)
    teacher = model(batch, for_distillation=True)
    student = model(apply(batch, removed, SPECIAL), for_distillation=True)
    loss = (
        objectives.classification(student.log_probabilities, torch.tensor([0, 1, 2, 0, 1]))
        + objectives.reconstruction(
            model.reconstruct(student), (teacher.text_features, batch.audio, batch.vision), removed
        )
        + objectives.attention_divergence(teacher.attention_logits, student.attention_logits, batch.text_mask)
        + objectives.joint_distance(teacher.joint, student.joint)
    )
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # A bias of the keys shifts all logits of a row alike, which no softmax sees.
        assert (parameter.grad != 0).any() or name.endswith("key.bias"), name


# --- parameter counts ---


@pytest.mark.parametrize(("num_classes", "causal", "total"), [(3, 33_545, 244_086), (7, 41_265, 251_806)])
def test_parameter_counts_are_the_papers(num_classes, causal, total):
    mosi = FeatureShapes(
        text_width=768,
        audio_width=5,
        vision_width=20,
        text_length=50,
        audio_length=375,
        vision_length=500,
        aligned=False,
    )
    model = CIDer(
        TinyEncoder(768),
        shapes=mosi,
        architecture=Architecture(width=32, layers=2),
        num_classes=num_classes,
        special=SPECIAL,
    )
    assert causal_parameter_count(model) == causal
    assert count_parameters(model, include_text_encoder=False) == total
    assert count_parameters(model, include_text_encoder=True) == total + 20 * 768 + 2 * 768


def test_parameter_groups_hold_every_parameter_once():
    model = make_model(UNALIGNED)
    groups = parameter_groups(model)
    grouped = [id(parameter) for group in groups.values() for parameter in group]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    encoder = model.text_encoder
    assert [id(x) for x in groups["text_encoder_decay"]] == [id(encoder.embedding.weight)]
    assert [id(x) for x in groups["text_encoder_plain"]] == [id(encoder.norm.weight), id(encoder.norm.bias)]


# --- state and bad input ---


def test_a_state_dict_brings_predictions_and_statistics():
    model, batch = make_model(UNALIGNED), collate(make_utterances(UNALIGNED_LENGTHS))
    torch.manual_seed(9)
    other = CIDer(TinyEncoder(), shapes=UNALIGNED, architecture=SMALL, num_classes=3, special=SPECIAL).eval()
    with pytest.raises(StatisticsError, match="no class statistics"):
        other(batch)
    other.load_state_dict(model.state_dict())
    assert torch.equal(predict(other, batch), predict(model, batch))


def test_batches_of_another_shape_are_refused():
    model, batch = make_model(UNALIGNED), collate(make_utterances([(4, 3, 3)]))
    wide = dataclasses.replace(batch, audio=torch.zeros(1, 3, 5))
    with pytest.raises(MerDataError, match=r"audio frames have another width .*: found 5, expected 2"):
        model(wide)
    wide = dataclasses.replace(batch, vision=torch.zeros(1, 3, 4))
    with pytest.raises(MerDataError, match=r"vision frames have another width .*: found 4, expected 3"):
        model(wide)
    with pytest.raises(MerDataError, match=r"more word pieces .*: found 10, expected at most 9"):
        model(collate(make_utterances([(10, 3, 3)])))
    with pytest.raises(
        MerDataError, match="more vision frames than word pieces: found 5 frames, expected at most 4"
    ):
        make_model(ALIGNED)(collate(make_utterances([(4, 4, 5)])))


def test_reconstruction_needs_an_output_for_distillation():
    model = make_model(UNALIGNED)
    with pytest.raises(ValueError, match="call the model with for_distillation=True"):
        model.reconstruct(model(collate(make_utterances([(4, 3, 3)]))))
