import torch

from cider.model.architecture import FeatureShapes
from cider.model.reconstruction import FrameReconstruction, ReconstructionHeads

SHAPES = FeatureShapes(
    text_width=6, audio_width=2, vision_width=3, text_length=5, audio_length=9, vision_length=7, aligned=False
)


def test_shapes_follow_the_data():
    heads = ReconstructionHeads(4, SHAPES, (5, 5, 5))
    result = heads(tuple(torch.randn(2, 3, 4) for _ in range(3)))
    assert result.text.shape == (2, 3, 6)
    assert result.audio.shape == (2, 9, 2)
    assert result.vision.shape == (2, 7, 3)


def test_text_is_linear_and_modalities_use_their_own_steps():
    torch.manual_seed(0)
    heads = ReconstructionHeads(4, SHAPES, (5, 5, 5))
    fused = tuple(torch.randn(2, 3, 4) for _ in range(3))
    result = heads(fused)
    torch.testing.assert_close(result.text, fused[0] @ heads.text.weight.T + heads.text.bias)
    torch.testing.assert_close(result.audio, heads.audio(fused[1]))
    torch.testing.assert_close(result.vision, heads.vision(fused[2]))


def test_frames_are_linear_over_time_then_relu_then_linear():
    torch.manual_seed(0)
    head = FrameReconstruction(4, steps=5, length=9, frame_width=2)
    fused = torch.randn(2, 3, 4)
    weight = head.over_time.weight[:, :3]  # the missing steps are zeros
    over_time = torch.einsum("st,btd->bsd", weight, fused) + head.over_time.bias[:, None]
    expected = over_time.clamp(min=0) @ head.to_frame.weight.T + head.to_frame.bias
    torch.testing.assert_close(head(fused), expected)


def test_zero_steps_at_the_end_change_nothing():
    torch.manual_seed(0)
    head = FrameReconstruction(4, steps=5, length=9, frame_width=2)
    fused = torch.randn(1, 3, 4)
    longer = torch.cat([fused, torch.zeros(1, 2, 4)], dim=1)
    torch.testing.assert_close(head(fused), head(longer))
