import math

import pytest
import torch
from plain_attention import plain_divergence

from cider.model.attention import AttentionLogits
from cider.model.reconstruction import Reconstruction
from cider.training.losses import attention_divergence, classification, joint_distance, reconstruction
from mer_data.errors import MerDataError
from mer_data.torch_data.missing import MissingMask


def smooth_l1(difference):
    size = abs(difference)
    return 0.5 * size * size if size < 1 else size - 0.5


# --- classification ---


def test_classification_is_the_mean_negative_log_probability():
    log_probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]).log()
    loss = classification(log_probabilities, torch.tensor([0, 2]))
    assert loss.item() == pytest.approx(-(math.log(0.7) + math.log(0.5)) / 2)


# --- reconstruction ---


def make_case():
    torch.manual_seed(0)
    predicted = Reconstruction(torch.randn(2, 4, 6), torch.randn(2, 9, 2), torch.randn(2, 7, 3))
    targets = (3 * torch.randn(2, 4, 6), 3 * torch.randn(2, 5, 2), 3 * torch.randn(2, 7, 3))
    removed = MissingMask(
        text=torch.tensor([[0, 1, 1, 0], [0, 1, 0, 0]]).bool(),
        audio=torch.tensor([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]).bool(),
        vision=torch.tensor([[0, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 1]]).bool(),
    )
    return predicted, targets, removed


def test_reconstruction_averages_over_removed_values_and_sums_the_modalities():
    predicted, targets, removed = make_case()
    expected = 0.0
    for name, target in zip(("text", "audio", "vision"), targets, strict=True):
        values = [
            smooth_l1((getattr(predicted, name)[b, t, d] - target[b, t, d]).item())
            for b, t in getattr(removed, name).nonzero().tolist()
            for d in range(target.shape[2])
        ]
        expected += sum(values) / len(values)
    assert reconstruction(predicted, targets, removed).item() == pytest.approx(expected, rel=1e-5)


def test_what_was_not_removed_does_not_count():
    predicted, targets, removed = make_case()
    before = reconstruction(predicted, targets, removed)
    changed = tuple(
        target + 5 * ~mask.unsqueeze(-1)
        for target, mask in zip(targets, (removed.text, removed.audio, removed.vision), strict=True)
    )
    assert torch.equal(reconstruction(predicted, changed, removed), before)


def test_a_modality_that_lost_nothing_adds_zero_with_finite_gradients():
    predicted, targets, removed = make_case()
    text_only = MissingMask(removed.text, torch.zeros(2, 5).bool(), torch.zeros(2, 7).bool())
    for tensor in (predicted.text, predicted.audio, predicted.vision):
        tensor.requires_grad_()
    loss = reconstruction(predicted, targets, text_only)
    difference = predicted.text[removed.text] - targets[0][removed.text]
    assert loss.item() == pytest.approx(
        sum(smooth_l1(x) for x in difference.flatten().tolist()) / difference.numel(), rel=1e-5
    )
    loss.backward()
    assert (predicted.audio.grad == 0).all()
    assert (predicted.vision.grad == 0).all()
    assert (predicted.text.grad[removed.text] != 0).all()

    nothing = MissingMask(torch.zeros(2, 4).bool(), text_only.audio, text_only.vision)
    assert reconstruction(predicted, targets, nothing).item() == 0


def test_a_batch_without_frames_adds_zero():
    predicted, targets, removed = make_case()
    empty = MissingMask(removed.text, torch.zeros(2, 0).bool(), torch.zeros(2, 7).bool())
    text_only = MissingMask(removed.text, torch.zeros(2, 5).bool(), torch.zeros(2, 7).bool())
    without = reconstruction(predicted, (targets[0], torch.zeros(2, 0, 2), targets[2]), empty)
    assert torch.equal(without, reconstruction(predicted, targets, text_only))


def test_targets_are_detached():
    predicted, targets, removed = make_case()
    predicted.text.requires_grad_()
    for target in targets:
        target.requires_grad_()
    reconstruction(predicted, targets, removed).backward()
    assert all(target.grad is None for target in targets)
    assert predicted.text.grad is not None


def test_more_steps_than_reconstructed_are_refused():
    predicted, targets, removed = make_case()
    longer = (targets[0], torch.randn(2, 10, 2), targets[2])
    with pytest.raises(MerDataError, match=r"audio has more steps .*: found 10, expected at most 9"):
        reconstruction(predicted, longer, removed)


# --- attention ---


def make_logits(scale=1.0, dtype=torch.float64):
    """Logits of teacher and student: 2 utterances, 3 x 4 steps, 3 heads of width 5."""
    random = torch.Generator().manual_seed(0)
    queries = scale * torch.randn(2, 2, 12, 3, 5, generator=random, dtype=dtype)
    keys = torch.randn(2, 2, 12, 3, 5, generator=random, dtype=dtype)
    return [AttentionLogits(query, key) for query, key in zip(queries, keys, strict=True)]


def changed_at(logits, rows, value):
    """With other queries and keys at some rows (B, 3T)."""
    return AttentionLogits(
        *(x.masked_fill(rows[:, :, None, None], value) for x in (logits.query, logits.key))
    )


MASK = torch.tensor([[True, True, True, True], [True, True, False, False]])


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_attention_divergence_sums_rows_and_averages_batch_and_heads(scale):
    teacher, student = make_logits(scale)
    total = 0.0
    for b in range(2):
        valid = MASK[b].repeat(3)
        for head in range(3):
            for row in valid.nonzero()[:, 0]:
                log_p = teacher.matrix()[b, head, row, valid].log_softmax(0)
                log_q = student.matrix()[b, head, row, valid].log_softmax(0)
                total += (log_p.exp() * (log_p - log_q)).sum().item()
    assert attention_divergence(teacher, student, MASK).item() == pytest.approx(total / (2 * 3))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_attention_divergence_and_gradients_equal_those_of_whole_matrices(dtype, tolerance):
    teacher, student = make_logits(dtype=dtype)
    inputs = [student.query.requires_grad_(), student.key.requires_grad_()]
    ours = attention_divergence(teacher, student, MASK)
    expected = plain_divergence(teacher, student, MASK) / (2 * 3)
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)
    # Doubled, so that what comes from above is not taken to be one.
    torch.testing.assert_close(
        torch.autograd.grad(2 * ours, inputs),
        torch.autograd.grad(2 * expected, inputs),
        rtol=tolerance,
        atol=tolerance,
    )


def test_attention_divergence_with_a_mask_for_each_block_equals_that_of_whole_matrices():
    teacher, student = make_logits()
    mask = torch.arange(4) < torch.tensor([[2, 4, 1], [3, 0, 0]]).unsqueeze(-1)
    inputs = [student.query.requires_grad_(), student.key.requires_grad_()]
    ours = attention_divergence(teacher, student, mask)
    expected = plain_divergence(teacher, student, mask) / (2 * 3)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    found, wanted = (torch.autograd.grad(one, inputs) for one in (ours, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    each = MASK.unsqueeze(1).expand(-1, 3, -1)
    shared = attention_divergence(teacher, student, MASK)
    assert torch.equal(attention_divergence(teacher, student, each), shared)


def test_attention_divergence_in_half_precision_and_under_autocast():
    teacher, student = make_logits(dtype=torch.float32)
    expected = attention_divergence(teacher, student, MASK).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert attention_divergence(teacher, student, MASK).item() == expected
    half = [AttentionLogits(x.query.bfloat16(), x.key.bfloat16()) for x in (teacher, student)]
    half[1].query.requires_grad_()
    divergence = attention_divergence(*half, MASK)
    divergence.backward()
    assert divergence.item() == pytest.approx(expected, rel=0.05)
    assert half[1].query.grad.dtype == torch.bfloat16


def test_attention_divergence_remembers_nothing_as_large_as_the_logits():
    logits = AttentionLogits(*torch.randn(2, 16, 120, 8, 4, requires_grad=True).unbind())
    divergence = attention_divergence(logits, logits, torch.ones(16, 40).bool())
    saved = divergence.grad_fn.next_functions[0][0].saved_tensors
    assert sum(tensor.nbytes for tensor in saved) == 2 * 4 * 16 * 120 * 8 * 4


def test_equal_attention_has_no_divergence_and_other_has_some():
    teacher, student = make_logits()
    assert attention_divergence(teacher, teacher, MASK).item() == pytest.approx(0, abs=1e-12)
    assert attention_divergence(teacher, student, MASK) > 1


def test_padded_rows_and_keys_do_not_count():
    teacher, student = make_logits()
    before = attention_divergence(teacher, student, MASK)
    padded = ~MASK.repeat(1, 3)
    after = attention_divergence(changed_at(teacher, padded, 7.0), changed_at(student, padded, -90.0), MASK)
    assert torch.equal(before, after)


def test_attention_teacher_is_detached_and_gradients_are_finite():
    teacher, student = make_logits(40.0)
    inputs = [x.requires_grad_() for x in (teacher.query, teacher.key, student.query, student.key)]
    attention_divergence(teacher, student, torch.tensor([[True] * 4, [False] * 4])).backward()
    assert inputs[0].grad is None
    assert inputs[1].grad is None
    for x in inputs[2:]:
        assert x.grad.isfinite().all()
        assert (x.grad[0] != 0).any()
        assert (x.grad[1] == 0).all()


# --- joint representation ---


def test_joint_distance_is_one_minus_the_mean_cosine():
    teacher, student = torch.tensor([[1.0, 0.0], [2.0, 2.0]]), torch.tensor([[0.0, 3.0], [1.0, 1.0]])
    assert joint_distance(teacher, student).item() == pytest.approx((1 + 0) / 2, abs=1e-6)
    assert joint_distance(teacher, -teacher).item() == pytest.approx(2, abs=1e-6)


def test_joint_teacher_is_detached():
    teacher, student = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    joint_distance(teacher, student).backward()
    assert teacher.grad is None
    assert (student.grad != 0).any()


def test_a_zero_joint_representation_has_finite_gradients():
    student = torch.zeros(1, 4, requires_grad=True)
    loss = joint_distance(torch.ones(1, 4), student)
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert student.grad.isfinite().all()
