"""Shared by all tests: shapes and types are checked at run time, and a toy problem that trains in a second."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import install_import_hook
from PIL import Image
from torch import nn

CHECKED = (
    "backward classifier descriptors evaluation.iou exemplars explanation fitting flowernet heatmap images interpretation "
    "lasso loading receptive runs taps"
)
install_import_hook([f"vebi.{name}" for name in CHECKED.split()], "support.typecheck")

torch.set_num_threads(1)  # the networks here are tiny: more threads only wait for each other

SIZE = 32
COLOURS = {"blue": (40, 60, 220), "green": (40, 180, 60), "red": (220, 40, 40)}


def draw_square(rng: np.random.Generator, colour: tuple[int, int, int]) -> Image.Image:
    """A coloured square somewhere on a light, slightly noisy ground."""
    pixels = rng.normal(225, 6, (SIZE, SIZE, 3))
    y, x = rng.integers(2, SIZE - 12, 2)
    pixels[y : y + 10, x : x + 10] = rng.normal(colour, 8, (10, 10, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> Path:
    """A class-per-folder tree: 24 pictures of each of three classes, 32 x 32."""
    root = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir()
        for i in range(24):
            draw_square(rng, colour).save(root / name / f"{i:02d}.png")
    return root


class ToyNet(nn.Module):
    """Strided, with one ReLU as a module and one as a function."""

    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    size = SIZE
    class_names = tuple(COLOURS)

    def __init__(self, classes: int = 3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.linear = nn.Linear(12, classes)

    def forward(self, x):
        x = F.max_pool2d(self.relu1(self.conv1(x)), 2)
        return self.linear(F.relu(self.conv2(x)).mean(dim=(2, 3)))


@pytest.fixture(scope="session")
def toy_module(squares) -> ToyNet:
    """A ToyNet that tells the squares apart."""
    from vebi.classifier import Preprocess
    from vebi.images import batches, open_images

    torch.manual_seed(0)
    net = ToyNet()
    images = open_images(squares)
    (batch,) = batches(images, range(len(images)), Preprocess(SIZE, net.mean, net.std).prepare, len(images))
    labels = torch.tensor(batch.labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(batch.inputs), labels).backward()
        optimizer.step()
    net.eval()
    assert (net(batch.inputs).argmax(1) == labels).all()
    return net


@pytest.fixture
def toy(toy_module):
    """The toy network as a Classifier."""
    from vebi.classifier import Classifier, Preprocess

    return Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names)
