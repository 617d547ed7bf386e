import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from utterance_builders import assert_close

from cider.models.dlf.losses import margin_loss, orthogonality, restored
from cider.models.shared.steps import Steps


def margin_by_pairs(vectors, classes, margin):
    """The definition, pair by pair."""
    cosine = [[torch.cosine_similarity(a, b, dim=0).item() for b in vectors] for a in vectors]
    anchors = []
    everybody = range(len(classes))
    for i in everybody:
        costs = [
            max(0.0, margin * abs(classes[i] - classes[n]) - cosine[i][p] + cosine[i][n])
            for p in everybody
            if p != i and classes[p] == classes[i]
            for n in everybody
            if classes[n] != classes[i]
        ]
        if costs:
            anchors.append(sum(costs) / len(costs))
    return sum(anchors) / len(anchors) if anchors else 0.0


@settings(max_examples=50, deadline=None)
@given(
    classes=st.lists(st.integers(0, 6), min_size=1, max_size=9),
    margin=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_margin_is_its_definition(classes, margin, seed):
    vectors = torch.randn(len(classes), 3, generator=torch.Generator().manual_seed(seed))
    found = margin_loss(vectors, torch.tensor(classes), margin).item()
    assert math.isclose(found, margin_by_pairs(vectors, classes, margin), rel_tol=1e-5, abs_tol=1e-5)


def test_margin_gradient_is_that_of_the_pairs():
    torch.manual_seed(0)
    vectors = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    classes = torch.tensor([0, 1, 1, 2, 0, 2, 2])
    assert torch.autograd.gradcheck(lambda x: margin_loss(x, classes, 0.15), vectors)


@pytest.mark.parametrize("classes", [[1, 1, 1], [0, 1, 2], [2]])
def test_without_pairs_the_margin_is_zero_and_its_gradient_finite(classes):
    vectors = torch.randn(len(classes), 3, requires_grad=True)
    loss = margin_loss(vectors, torch.tensor(classes), 0.15)
    loss.backward()
    assert loss.item() == 0
    assert (vectors.grad == 0).all()


def test_orthogonality_is_the_positive_cosine_of_steps():
    one = Steps(torch.tensor([[[1.0, 0], [1, 1], [0, 0]], [[1, 0], [0, 0], [0, 0]]]), torch.tensor([2, 1]))
    other = Steps(torch.tensor([[[1.0, 0], [0, 1], [5, 5]], [[-1, 0], [5, 5], [5, 5]]]), torch.tensor([2, 1]))
    assert_close(orthogonality(one, other), torch.tensor(((1 + 0.5**0.5) / 2 + 0) / 2))


def test_what_is_restored_is_measured_per_utterance():
    found = Steps(torch.tensor([[[1.0, 3], [0, 0]], [[2, 2], [4, 0]]]), torch.tensor([1, 2]))
    wanted = Steps(torch.zeros(2, 2, 2), torch.tensor([1, 2]))
    assert_close(restored(found, wanted), torch.tensor(((1 + 9) / 2 + (4 + 4 + 16 + 0) / 4) / 2))
