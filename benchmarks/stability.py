"""What stability selection and the path along mu cost, compared with the descriptor pass, on a demo.

    vebi demo --out demo && python benchmarks/stability.py demo [--rounds 3] [--json]

In turns, in one process: the descriptor pass over the training images of the network, the 50 subsamples with the sums
that they need, and the path with its five folds. Prints medians, and their ratios to the pass.
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
from vebi.datasets.flowers.folds import split
from vebi.demo import FOLD
from vebi.interpretation.fit import FEATURES_PER_CLASS
from vebi.interpretation.mu_path import compute_mu_path
from vebi.interpretation.partition import PartitionedTable
from vebi.interpretation.stability import compute_stability
from vebi.interpretation.table_fit import select_nonzero
from vebi.lasso import Bound, solve_all
from vebi.models.load import load_classifier

BOUND = Bound(features=FEATURES_PER_CLASS)


def measure(demo: Path, rounds: int) -> dict[str, float]:
    classifier = load_classifier(demo / "network.safetensors")
    images = open_images(demo / "flowers", classifier.class_names)
    training_images = Subset(images, split(images, FOLD)[0])
    layers = choose_layers(classifier)
    seconds: dict[str, list[float]] = {"pass": [], "stability": [], "path": []}
    for _ in range(rounds + 1):  # the first warms up
        with tempfile.TemporaryDirectory() as scratch:
            started = time.perf_counter()
            table = tabulate(classifier, training_images, layers, Path(scratch))
            seconds["pass"].append(time.perf_counter() - started)
            problem = table.problem(len(classifier.class_names))
            solutions = solve_all(problem.gram, problem.b, problem.energy, BOUND.mus(problem))
            selection = select_nonzero(table, problem, solutions)
            parts = PartitionedTable(table, problem, "predictions")
            started = time.perf_counter()
            compute_stability(parts, BOUND, selection.columns, selection.weights)
            seconds["stability"].append(time.perf_counter() - started)
            started = time.perf_counter()
            compute_mu_path(PartitionedTable(table, problem, "predictions"), BOUND)
            seconds["path"].append(time.perf_counter() - started)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    medians = measure(options.demo, options.rounds)
    if options.json:
        print(json.dumps(medians))
        return
    for name, seconds in medians.items():
        print(f"{name:10} {seconds:6.2f} s, {100 * seconds / medians['pass']:4.0f} % of the descriptor pass")


if __name__ == "__main__":
    main()
