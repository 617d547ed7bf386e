import torch

from cider.model.pooling import AttentivePooling, JointHead


def test_pooling_is_a_softmax_over_the_valid_steps():
    torch.manual_seed(0)
    pool = AttentivePooling(4)
    x = torch.randn(2, 5, 4)
    lengths = [5, 2]
    pooled = pool(x, torch.arange(5) < torch.tensor(lengths).unsqueeze(1))
    for b, length in enumerate(lengths):
        scores = pool.score(torch.tanh(pool.hidden(x[b, :length])))[:, 0]
        expected = sum(weight * step for weight, step in zip(scores.softmax(0), x[b, :length], strict=True))
        torch.testing.assert_close(pooled[b], expected)


def test_pooling_nothing_gives_zeros_and_finite_gradients():
    x = torch.randn(1, 3, 4, requires_grad=True)
    pooled = AttentivePooling(4)(x, torch.zeros(1, 3).bool())
    assert (pooled == 0).all()
    (gradient,) = torch.autograd.grad(pooled.sum(), x)
    assert (gradient == 0).all()


def test_joint_head_is_a_residual_of_two_layers_with_dropout_between():
    torch.manual_seed(0)
    head = JointHead(6, dropout=0.5)
    g = torch.randn(3, 6)
    first, _, _, second = head.change
    expected = g + second(torch.relu(first(g)))
    assert not torch.allclose(head(g), expected)
    torch.testing.assert_close(head.eval()(g), expected)
