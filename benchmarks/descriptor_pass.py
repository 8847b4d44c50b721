"""What descriptors cost: the descriptor pass against the forward pass alone over the same batches, in turns.

    python benchmarks/descriptor_pass.py [--batch-size 64] [--batches 8] [--rounds 9] [--json]

The images are random and in memory, so that only the passes are timed. Prints the median seconds of both and the
median ratio of the pairs.
"""

import argparse

import torch
from timing import report, seconds

from vebi.activations.descriptors import describe
from vebi.activations.layers import choose_layers
from vebi.models.classifier import Classifier
from vebi.models.flowernet import FlowerNet
from vebi.models.preprocess import Preprocess


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    torch.manual_seed(0)
    classifier = Classifier(
        FlowerNet(12).eval(), Preprocess(FlowerNet.size, FlowerNet.mean, FlowerNet.std), tuple("abcdefghijkl")
    )
    layers = choose_layers(classifier)
    batches = [torch.randn(options.batch_size, 3, FlowerNet.size, FlowerNet.size) for _ in range(options.batches)]

    def forward() -> None:
        with torch.inference_mode():
            for inputs in batches:
                classifier.model(inputs)

    def descriptor_pass() -> None:
        for inputs in batches:
            describe(classifier, layers, inputs)

    pairs = []
    for _ in range(options.rounds + 1):
        pairs.append((seconds(forward), seconds(descriptor_pass)))
    report(("forward", "descriptors"), pairs[1:], options.json)  # the first round warms up


if __name__ == "__main__":
    main()
