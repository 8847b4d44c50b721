"""What `vebi layers` takes of a network that is loaded:  python benchmarks/layers.py [--rounds 5]

Processor time on one thread of the list of all layers with their receptive fields, in forward passes of one image of
224 px in the same run: the median over the rounds, in which both take turns. Random weights, which do not change the
work. Needs the extra [models].
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import import_torchvision

from vebi.backprop.receptive_field import list_layers_with_fields
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

NETWORKS = ("resnet18", "vgg11", "squeezenet1_1", "densenet121", "mobilenet_v3_large", "efficientnet_b0")
SIZE = 224


def seconds(function: Callable[[], object]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    image = torch.zeros(1, 3, SIZE, SIZE)
    for name in NETWORKS:
        network = getattr(import_torchvision().models, name)(weights=None).eval()
        classifier = Classifier(network, Preprocess(SIZE, (0.5,) * 3, (0.5,) * 3))
        layers = list_layers_with_fields(classifier)  # the first asks the network how it ends, as loading does
        ratios = []
        for _ in range(options.rounds):
            with torch.inference_mode():
                forward = seconds(lambda network=network: network(image))
            ratios.append(seconds(lambda classifier=classifier: list_layers_with_fields(classifier)) / forward)
        print(f"{name}: {len(layers)} layers in {statistics.median(ratios):.1f} forward passes", flush=True)


if __name__ == "__main__":
    main()
