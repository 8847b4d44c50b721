"""A small residual network for images of flowers: functional ReLUs, strided convolutions, batch normalisation."""

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and, around them, a strided 1 x 1 convolution as shortcut.

    Input N x in_channels x H x W, output N x out_channels x ceil(H / 2) x ceil(W / 2), zero or above. ReLU is called
    as a function, twice.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.

    Reference:
        He et al., Deep residual learning for image recognition, CVPR 2016, equation 2, with option B of section 3.3
        for the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=2, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """The residual and the shortcut, added and rectified."""
        residual = F.relu(self.norm1(self.conv1(x)))
        residual = self.norm2(self.conv2(residual))
        return F.relu(residual + self.shortcut_norm(self.shortcut(x)))


class FlowerResNet(nn.Module):
    """A strided convolution, three strided residual blocks, then a global mean and a linear layer.

    Input N x 3 x 112 x 112 (any size from 32 up works), output N x classes. Every stage strides instead of pooling,
    so that a grid can come from each of them in plain input gradients.

    Args:
        n_classes: The number of classes.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    size = 112

    def __init__(self, n_classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 5, stride=2, padding=2, bias=False)
        self.norm1 = nn.BatchNorm2d(24)
        self.block1 = ResidualBlock(24, 32)
        self.block2 = ResidualBlock(32, 48)
        self.block3 = ResidualBlock(48, 64)
        self.linear = nn.Linear(64, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores N x classes of inputs N x 3 x H x W."""
        x = F.relu(self.norm1(self.conv1(x)))
        x = self.block3(self.block2(self.block1(x)))
        scores: Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores
