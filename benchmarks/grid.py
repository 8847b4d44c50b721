"""How much of a heatmap is grid, without and with the stride fix:  python benchmarks/grid.py DEMO [--json] [--alexnet]

DEMO is the folder of a finished `vebi demo`. For its reference network (stride 2, then max pooling) and for a network
that begins with an 11 x 11 convolution of stride 4, trained here on the same flowers: the share of energy at the
non-zero multiples of 1/s of the strided convolution and of the cumulative strides behind it, over held-out flowers and
the features of every layer, and the correlation of what lies below the grid with and without the fix. The cumulative
shares contain those of the strides before, and ever more ordinary detail: read them beside the share of white noise.
With --alexnet the same, in a minute, for torchvision's AlexNet at 224 px with random weights (extra [models]).
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vebi import load, load_classifier
from vebi.activations.layers import Feature
from vebi.backprop.feature_maps import feature_maps
from vebi.data.collections import ImageCollection, Subset
from vebi.data.loader import batches
from vebi.data.sources import open_images
from vebi.datasets.flowers.folds import split
from vebi.metrics.grid_artifact import grid_energy, low_pass_correlation, white_noise
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

FIXES = (None, "centred", "nearest")


class Coarse(nn.Module):
    """AlexNet's beginning: an 11 x 11 convolution of stride 4, then pooling of stride 2."""

    def __init__(self, classes: int):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 32, 11, stride=4, padding=2), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(32, 48, 5, padding=2), nn.ReLU()
        self.linear = nn.Linear(48, classes)

    def forward(self, x):
        x = F.max_pool2d(self.relu1(self.conv1(x)), 3, 2)
        return self.linear(self.relu2(self.conv2(x)).mean(dim=(2, 3)))


def train(net: nn.Module, images: ImageCollection, preprocess: Preprocess, epochs: int = 6) -> float:
    """Trains in place; returns the accuracy on the same images."""
    (batch,) = batches(images, range(len(images)), preprocess.prepare, len(images))
    inputs, labels = batch.inputs, torch.tensor(batch.labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(32):
            optimizer.zero_grad()
            F.cross_entropy(net(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((net(inputs).argmax(dim=1) == labels).float().mean())


def compare(
    classifier: Classifier, images: ImageCollection, features: list[Feature], stride: int, cumulative: tuple[int, ...]
) -> dict:
    size = classifier.preprocess.size
    by_fix = [feature_maps(classifier, images, features, stride_fix=fix).reshape(-1, size, size) for fix in FIXES]
    fires = np.all([maps.any(axis=(1, 2)) for maps in by_fix], axis=0)
    by_fix = [maps[fires] for maps in by_fix]
    energy = {s: [float(grid_energy(maps, s).mean()) for maps in by_fix] for s in (stride, *cumulative)}
    correlation = [float(low_pass_correlation(by_fix[0], maps, stride).mean()) for maps in by_fix[1:]]
    return {
        "maps": int(fires.sum()),
        "stride": stride,
        "without_fix": energy[stride][0],
        "with_fix": energy[stride][1],
        "falls_by": energy[stride][0] / energy[stride][1],
        "low_pass_correlation": correlation[0],
        "nearest": {"with_fix": energy[stride][2], "low_pass_correlation": correlation[1]},
        "cumulative": {s: [*energy[s][:2], white_noise(size, size, s)] for s in cumulative},
    }


def alexnet() -> Classifier:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from support import import_torchvision

    torch.manual_seed(0)
    net = import_torchvision().models.alexnet(weights=None).eval()
    return Classifier(net, Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alexnet", action="store_true")
    options = parser.parse_args()
    classifier = load_classifier(options.demo / "network.safetensors")
    run = load(options.demo / "run", classifier)
    images = open_images(options.demo / "flowers", classifier.class_names)
    training_images, held_out = split(images, 0)
    shown = Subset(images, held_out[::6])
    rows = {}
    for layer in dict.fromkeys(feature.layer for feature in run.features):
        features = [feature for feature in run.features if feature.layer == layer]
        rows[f"reference network, {layer}"] = compare(classifier, shown, features, 2, (4, 8, 16))
    torch.manual_seed(0)
    net = Coarse(len(classifier.class_names))
    accuracy = train(net, Subset(images, training_images), classifier.preprocess)
    coarse = Classifier(net.eval(), classifier.preprocess, classifier.class_names)
    for layer, channels in (("relu1", 32), ("relu2", 48)):
        features = [Feature(layer, c) for c in range(0, channels, 4)]
        rows[f"11 x 11, stride 4, {layer}"] = compare(coarse, shown, features, 4, (8,))
    if options.alexnet:
        wide = alexnet()
        few = Subset(images, held_out[::24])
        for layer in ("features.1", "features.4", "features.7", "features.9", "features.11"):
            features = [Feature(layer, c) for c in range(0, 64, 8)]
            rows[f"AlexNet, random weights, {layer}"] = compare(wide, few, features, 4, (8, 16))
    if options.json:
        print(json.dumps({"rows": rows, "coarse_accuracy": accuracy}))
        return
    print(f"the 11 x 11 network: accuracy {accuracy:.1%} on its {len(training_images)} training images")
    for name, row in rows.items():
        cumulative = ", ".join(
            f"1/{s}: {a:.3f} -> {b:.3f} (noise {c:.3f})" for s, (a, b, c) in row["cumulative"].items()
        )
        print(
            f"{name}: {row['maps']} maps, at 1/{row['stride']}: {row['without_fix']:.4f} -> {row['with_fix']:.5f}, "
            f"{row['falls_by']:.0f} times less; below the grid r = {row['low_pass_correlation']:.3f}; {cumulative}; "
            f"nearest: {row['nearest']['with_fix']:.5f}, r = {row['nearest']['low_pass_correlation']:.3f}"
        )


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
