"""What explanations cost: 50 test pictures of CIFAR-10, explained and led through the bare network, in turns.

    python benchmarks/cifar10.py cifar10.zip weights.safetensors [--run DIR] [--rounds 5] [--json]

The zip and the weights are those of examples/cifar10.py. Fits on the training pictures (with --run into DIR, where a
finished fit is used again), then explains five test pictures of each class on 2 threads. The floor is what nothing can
do without: one forward pass of the same pictures, and three plain backward passes from the features' layers. Prints the
median seconds of both, the median ratio of the pairs, and the seconds of the fit.
"""

import argparse
import json
import statistics
import tempfile
import time
import zipfile
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F

import vebi
from vebi.data.decode import decode

EXAMPLE = Path(__file__).parents[1] / "examples" / "cifar10.py"
BATCH = 32  # as vebi has it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    torch.set_num_threads(2)
    classifier = vebi.load_classifier(f"{EXAMPLE}:resnet20", options.weights)
    with tempfile.TemporaryDirectory() as scratch:
        zipfile.ZipFile(options.pictures).extractall(scratch)
        run = options.run or Path(scratch) / "run"
        fitted = (run / "interpretation.json").exists()
        started = time.perf_counter()
        interpretation = vebi.interpret(classifier, Path(scratch) / "train", mu=10, out=run)
        rows = [] if fitted else [{"what": "fit", "seconds": time.perf_counter() - started}]

        folders = sorted((Path(scratch) / "test").iterdir())
        paths = [path for folder in folders for path in sorted(folder.iterdir())[:5]]
        inputs = torch.stack([classifier.preprocess.prepare(decode(path)) for path in paths])
        names = [layer.name for layer in vebi.list_layers(classifier) if layer.default]
        features = [[e.feature for e in explanation.evidence] for explanation in vebi.explain(interpretation, paths)]
        pairs = []
        for _ in range(options.rounds + 1):
            bare = seconds(lambda: floor(classifier.module, names, inputs, features))
            pairs.append((bare, seconds(lambda: vebi.explain(interpretation, paths))))
    pairs = pairs[1:]  # the first round warms up
    rows += [
        {"what": "floor", "seconds": statistics.median(a for a, _ in pairs)},
        {"what": "explanations", "seconds": statistics.median(b for _, b in pairs)},
    ]
    ratio = statistics.median(b / a for a, b in pairs)
    if options.json:
        print(json.dumps({"rows": rows, "ratio": ratio}))
    else:
        for row in rows:
            print(f"{row['what']:12} {row['seconds']:.3f} s")
        print(f"{'ratio':12} {ratio:.3f}")


def floor(module: torch.nn.Module, names: list[str], inputs: torch.Tensor, features: list[list[vebi.Feature]]) -> None:
    """A forward pass, and for each rank of features a backward pass from their activations, all others being 0."""
    relu = F.relu
    for start in range(0, len(inputs), BATCH):
        x = inputs[start : start + BATCH].clone().requires_grad_()
        outputs: list[torch.Tensor] = []
        with patch.object(F, "relu", lambda y, kept=outputs: kept.append(relu(y)) or kept[-1]):
            module(x)
        activations = dict(zip(names, outputs, strict=True))
        for rank in range(3):
            seeds: dict[str, torch.Tensor] = {}
            for n, chosen in enumerate(features[start : start + BATCH]):
                if rank < len(chosen):
                    layer, channel = chosen[rank].layer, chosen[rank].channel
                    seed = seeds.setdefault(layer, torch.zeros_like(activations[layer]))
                    seed[n, channel] = activations[layer][n, channel].detach()
            if seeds:
                starts = [activations[layer] for layer in seeds]
                torch.autograd.grad(starts, x, list(seeds.values()), retain_graph=True)


def seconds(function) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
