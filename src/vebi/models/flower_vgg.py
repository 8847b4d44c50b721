"""A small network in the manner of VGG for images of flowers: max pooling, and fully connected layers at the end."""

from torch import Tensor, nn


class FlowerVgg(nn.Module):
    """Five 3 x 3 convolutions with batch normalisation, ReLU and mostly max pooling, then two fully connected layers.

    Input N x 3 x 112 x 112 and no other size, output N x classes. The fully connected layers see each of the 7 x 7
    positions apart, with a ReLU between them, so the derivatives of a score differ from position to position. Behind a
    global mean they are one number per channel, and Grad-CAM++ and LayerCAM are nearly the same map. There is no
    dropout, so that training depends on seed and data alone.

    Args:
        n_classes: The number of classes.

    Reference:
        Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR 2015,
        section 2.1.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    size = 112

    def __init__(self, n_classes: int):
        super().__init__()
        self.features = nn.Sequential(
            *(*_convolution(3, 16), nn.MaxPool2d(2)),
            *(*_convolution(16, 32), nn.MaxPool2d(2)),
            *(*_convolution(32, 48), nn.MaxPool2d(2)),
            *_convolution(48, 64),
            *(*_convolution(64, 64), nn.MaxPool2d(2)),
        )
        self.hidden = nn.Linear(64 * 7 * 7, 64)
        self.relu = nn.ReLU(inplace=True)
        self.linear = nn.Linear(64, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores N x classes of inputs N x 3 x 112 x 112."""
        x = self.relu(self.hidden(self.features(x).flatten(1)))
        scores: Tensor = self.linear(x)
        return scores


def _convolution(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    """A 3 x 3 convolution with batch normalisation and ReLU."""
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
