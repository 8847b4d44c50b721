"""Which strokes does a small network look for in handwritten digits?

    python examples/mnist.py mnist.zip out/mnist

The zip holds train/<digit>/ and test/<digit>/ with 28 x 28 grey images. The network, a LeNet with 20, 50 and 500
channels, is trained here in a minute. To study your own: train it as you do, save its state_dict, and write the
function that builds it (`lenet` below); the rest stays as it is.

From the command line, once the weights are there:

    vebi fit examples/mnist.py:lenet mnist/train --weights lenet.safetensors --out run
    vebi explain run mnist/test/3/ --model examples/mnist.py:lenet --out explained
    vebi report run --images mnist/test --model examples/mnist.py:lenet --out report.html
"""

import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import vebi


class LeNet(nn.Module):
    """LeCun, Bottou, Bengio and Haffner 1998, in the size that is common today: 20, 50 and 500 channels."""

    # One mean and one std: the images are grey. The classes are named as the folders are.
    size, mean, std = 28, 0.1307, 0.3081
    class_names = tuple("0123456789")

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * 4 * 4, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def lenet() -> nn.Module:
    """What `vebi fit examples/mnist.py:lenet` calls."""
    return LeNet()


def train(images: Path, weights: Path, epochs: int = 5) -> None:
    """Any training will do; vebi sees only the weights."""
    paths = sorted(images.glob("*/*.png"))
    inputs = torch.from_numpy(np.stack([np.array(Image.open(path)) for path in paths]))[:, None].float()
    inputs = (inputs / 255 - LeNet.mean) / LeNet.std
    labels = torch.tensor([int(path.parent.name) for path in paths])
    torch.manual_seed(0)
    network = LeNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for batch in torch.randperm(len(labels)).split(64):
            loss = F.cross_entropy(network(inputs[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1} of {epochs}: loss {loss.item():.4f}")
    save_file(network.state_dict(), weights)


def main(archive: Path, out: Path) -> None:
    if not (out / "images").exists():
        zipfile.ZipFile(archive).extractall(out / "images")
    if not (out / "lenet.safetensors").exists():
        train(out / "images" / "train", out / "lenet.safetensors")

    # 1. The model.
    classifier = vebi.load_classifier(f"{__file__}:lenet", out / "lenet.safetensors")

    # 2. What it has learned. Only the two convolutions: fc1 sees whole digits, and its heatmaps show no parts.
    interpretation = vebi.interpret(classifier, out / "images" / "train", layers=["relu", "relu#2"], out=out / "run")

    # 3. Why it decides as it does: three test images per class.
    paths = [path for folder in sorted((out / "images" / "test").iterdir()) for path in sorted(folder.iterdir())[:3]]
    vebi.write_gallery(interpretation, paths, out / "explained")

    # 4. All of it on one page.
    title = "What a LeNet learned from MNIST"
    assessment = vebi.write_report(interpretation, out / "report.html", images=out / "images" / "test", title=title)
    print(f"accuracy {assessment.accuracy:.1%} on {assessment.looked_at} test images; report: {out / 'report.html'}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
