"""The reference network for images of flowers: small, plain, with a strided first convolution."""

from torch import Tensor, nn


class FlowerNet(nn.Module):
    """Four convolutions with ReLU and pooling, then a global mean and a linear layer.

    Input N x 3 x 112 x 112 (any size from 64 up works), output N x classes. The first convolution has stride 2 and an
    odd kernel, which causes a grid in plain input gradients.

    Args:
        n_classes: The number of classes.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    size = 112

    def __init__(self, n_classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, stride=2, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(32, 48, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(48, 64, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.pool3 = nn.MaxPool2d(2)
        self.conv4 = nn.Conv2d(64, 64, 3, padding=1)
        self.relu4 = nn.ReLU()
        self.linear = nn.Linear(64, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores N x classes of inputs N x 3 x H x W."""
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.pool3(self.relu3(self.conv3(x)))
        x = self.relu4(self.conv4(x))
        scores: Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores
