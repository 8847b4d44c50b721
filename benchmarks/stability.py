"""What stability and the path cost beside the descriptor pass, on a demo.

    vebi demo --out demo && python benchmarks/stability.py demo [--rounds 3] [--json]

In turns, in one process: the descriptor pass over the pictures that the network learned from, the 50 half samples with
the sums that they need, and the path with its five folds. Printed are medians, and their ratios to the pass.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from vebi.activations.layers import choose_layers
from vebi.activations.table import tabulate
from vebi.data.collections import Subset
from vebi.data.sources import open_images
from vebi.datasets.flowers.training import split
from vebi.demo import FOLD, MU
from vebi.interpretation.fit import selected
from vebi.interpretation.mu_path import mu_path
from vebi.interpretation.partition import Split
from vebi.interpretation.stability import stability
from vebi.lasso import solve_all
from vebi.models.load import load_classifier


def measure(demo: Path, rounds: int) -> dict[str, float]:
    classifier = load_classifier(demo / "network.safetensors")
    images = open_images(demo / "flowers", classifier.class_names)
    learnt = Subset(images, split(images, FOLD)[0])
    layers = choose_layers(classifier)
    seconds: dict[str, list[float]] = {"pass": [], "stability": [], "path": []}
    for _ in range(rounds + 1):  # the first warms up
        with tempfile.TemporaryDirectory() as scratch:
            started = time.perf_counter()
            table = tabulate(classifier, learnt, layers, Path(scratch))
            seconds["pass"].append(time.perf_counter() - started)
            sums = table.sums(len(classifier.class_names))
            chosen = selected(table, solve_all(sums.gram, sums.b, sums.e, MU))
            started = time.perf_counter()
            stability(Split(table, sums, "predictions"), MU, chosen["columns"], chosen["weights"])
            seconds["stability"].append(time.perf_counter() - started)
            started = time.perf_counter()
            mu_path(Split(table, sums, "predictions"), MU)
            seconds["path"].append(time.perf_counter() - started)
    return {name: statistics.median(some[1:]) for name, some in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.demo, options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    for name, seconds in found.items():
        print(f"{name:10} {seconds:6.2f} s, {100 * seconds / found['pass']:4.0f} % of the descriptor pass")


if __name__ == "__main__":
    main()
