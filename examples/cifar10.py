"""What does a residual network look at in CIFAR-10?

    python examples/cifar10.py cifar10.zip cifar10_resnet20.safetensors out/cifar10

The zip holds train/<class>/ and test/<class>/ with 32 x 32 images, the weights are those of the ResNet-20 below.
Nothing here is special to it: with your own network and your own folders, change `resnet20`, the weights and the paths.

From the command line it is the same in three lines:

    vebi fit examples/cifar10.py:resnet20 cifar10/train --weights cifar10_resnet20.safetensors --out run
    vebi explain run cifar10/test/cat/ --model examples/cifar10.py:resnet20 --out explained
    vebi report run --images cifar10/test --model examples/cifar10.py:resnet20 --out report.html
"""

import sys
import zipfile
from pathlib import Path

import torch.nn.functional as F
from torch import nn

import vebi


class Block(nn.Module):
    """Two convolutions and a shortcut. The ReLUs are functions, not modules; vebi finds and names them all the same."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.stride, self.missing = stride, out - channels

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.missing:  # the shortcut takes every second pixel and adds channels of zeros
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.missing // 2, self.missing // 2))
        return F.relu(y + x)


class ResNet20(nn.Module):
    """He, Zhang, Ren and Sun, CVPR 2016, section 4.2: three stages of three blocks with 16, 32 and 64 channels."""

    # vebi reads the preprocessing (input size, mean and std of each channel) and the class names from the network.
    size, mean, std = 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))


def resnet20() -> nn.Module:
    """What `vebi fit examples/cifar10.py:resnet20` calls."""
    return ResNet20()


def main(archive: Path, weights: Path, out: Path) -> None:
    if not (out / "images").exists():
        zipfile.ZipFile(archive).extractall(out / "images")

    # 1. The model. Its layers: vebi.list_layers(classifier), or `vebi layers`.
    classifier = vebi.load_classifier(f"{__file__}:resnet20", weights)

    # 2. What it has learned: the few features that tell each class apart. A fit that was stopped resumes.
    interpretation = vebi.interpret(classifier, out / "images" / "train", out=out / "run")
    for name in interpretation.class_names:
        features = [f"{feature} ({weight:.3g})" for feature, weight in interpretation.select_features(name)]
        print(f"{name:>12}: ", *features)

    # 3. Why it decides as it does: five test images per class, with a heatmap for each feature that contributed.
    paths = [path for folder in sorted((out / "images" / "test").iterdir()) for path in sorted(folder.iterdir())[:5]]
    vebi.write_gallery(interpretation, paths, out / "explained")

    # 4. All of it on one page.
    title = "What a ResNet-20 learned from CIFAR-10"
    assessment = vebi.write_report(interpretation, out / "report.html", images=out / "images" / "test", title=title)
    print(f"accuracy {assessment.accuracy:.1%} on {assessment.looked_at} test images; report: {out / 'report.html'}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
