"""What explanations cost: 50 test images of CIFAR-10, explained and passed through the network alone, in turns.

    python benchmarks/cifar10.py cifar10.zip weights.safetensors [--run DIR] [--rounds 5] [--json]

The zip and the weights are those of examples/cifar10.py. Fits on the training images (with --run into DIR, where a
finished fit is used again), then explains five test images of each class on 2 threads. The floor is what nothing can
do without: one forward pass of the same images, and three plain backward passes from the features' layers. Prints the
median seconds of both, the median ratio of the pairs, and the seconds of the fit.
"""

import argparse
import tempfile
import time
import zipfile
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from timing import report, seconds

import vebi
from vebi.data.decode import decode

EXAMPLE = Path(__file__).parents[1] / "examples" / "cifar10.py"
BATCH = 32  # the default of vebi


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    torch.set_num_threads(2)
    classifier = vebi.load_classifier(f"{EXAMPLE}:resnet20", options.weights)
    with tempfile.TemporaryDirectory() as scratch:
        zipfile.ZipFile(options.archive).extractall(scratch)
        run = options.run or Path(scratch) / "run"
        fitted = (run / "interpretation.json").exists()
        started = time.perf_counter()
        interpretation = vebi.interpret(classifier, Path(scratch) / "train", out=run)
        rows = [] if fitted else [{"what": "fit", "seconds": time.perf_counter() - started}]

        folders = sorted((Path(scratch) / "test").iterdir())
        paths = [path for folder in folders for path in sorted(folder.iterdir())[:5]]
        inputs = torch.stack([classifier.preprocess.prepare(decode(path)) for path in paths])
        names = [layer.name for layer in vebi.list_layers(classifier) if layer.is_activation]
        explanations = vebi.explain_each(interpretation, paths)
        features = [[evidence.feature for evidence in explanation.evidence] for explanation in explanations]
        pairs = []
        for _ in range(options.rounds + 1):
            floor_seconds = seconds(lambda: floor(classifier.model, names, inputs, features))
            pairs.append((floor_seconds, seconds(lambda: list(vebi.explain_each(interpretation, paths)))))
    # the first round warms up
    report(("floor", "explanations"), pairs[1:], options.json, rows)


def floor(module: torch.nn.Module, names: list[str], inputs: torch.Tensor, features: list[list[vebi.Feature]]) -> None:
    """A forward pass, and for each rank of features a backward pass from their activations, all others being 0."""
    relu = F.relu
    for start in range(0, len(inputs), BATCH):
        x = inputs[start : start + BATCH].clone().requires_grad_()
        outputs: list[torch.Tensor] = []
        with patch.object(F, "relu", lambda y, records=outputs: records.append(relu(y)) or records[-1]):
            module(x)
        activations = dict(zip(names, outputs, strict=True))
        for rank in range(3):
            seeds: dict[str, torch.Tensor] = {}
            for n, of_image in enumerate(features[start : start + BATCH]):
                if rank < len(of_image):
                    layer, channel = of_image[rank].layer, of_image[rank].channel
                    seed = seeds.setdefault(layer, torch.zeros_like(activations[layer]))
                    seed[n, channel] = activations[layer][n, channel].detach()
            if seeds:
                starts = [activations[layer] for layer in seeds]
                torch.autograd.grad(starts, x, list(seeds.values()), retain_graph=True)


if __name__ == "__main__":
    main()
