import pytest
import torch
from torch import nn

from vebi.models.flower_resnet import FlowerResNet, ResidualBlock


@pytest.mark.parametrize("size", [32, 112])
def test_scores(size):
    assert FlowerResNet(7)(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_a_residual_is_added_to_its_shortcut_and_rectified():
    """Of x the residual is max(x, 0) and the shortcut -x / 2, so their sum is x / 2 above 0 and -x / 2 below it."""
    block = ResidualBlock(1, 1).eval()
    with torch.no_grad():
        for kernel, centre in ((block.conv1.weight, 1.0), (block.conv2.weight, 1.0), (block.shortcut.weight, -0.5)):
            kernel.zero_()[0, 0, kernel.shape[2] // 2, kernel.shape[3] // 2] = centre
        x = torch.tensor([[1.0, 9, -2, 9], [9, 9, 9, 9], [-4, 9, 0, 9], [9, 9, 9, 9]])
        expected = torch.tensor([[0.5, 1], [2, 0]])  # of every other row and column
        torch.testing.assert_close(block(x[None, None])[0, 0], expected, rtol=1e-4, atol=0)  # batch norm adds 1e-5


def test_it_has_no_relu_of_its_own_no_pooling_and_a_stride_in_every_stage():
    net = FlowerResNet(6)
    parts = list(net.modules())
    assert not any(isinstance(part, nn.ReLU | nn.MaxPool2d | nn.AvgPool2d) for part in parts)
    strides = {name: part.stride[0] for name, part in net.named_modules() if isinstance(part, nn.Conv2d)}
    assert {name for name, stride in strides.items() if stride == 2} == {
        "conv1",
        *(f"block{k}.{name}" for k in (1, 2, 3) for name in ("conv1", "shortcut")),
    }
    assert sum(isinstance(part, nn.BatchNorm2d) for part in parts) == len(strides) == 10
