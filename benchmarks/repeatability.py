"""How far a training can be repeated: the same seed in fresh processes, under other threads and processor instructions.

    vebi flowers flowers --images-per-class 100
    python benchmarks/repeatability.py flowers [--epochs 2] [--architecture flowernet] [--json]

Under each condition a reference network is trained twice. Rows: whether the two networks are equal to the bit, whether
they are equal to those of the first condition, their accuracy on the held-out fold, and the largest relative difference
between the weights and those of the first condition: of each tensor the largest difference, divided by the largest
absolute weight; of all tensors the largest.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from vebi.models.architectures import ARCHITECTURES

ONE, TWO = {"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"}
#: The first is what the others are compared with; all but the second differ from it in one variable.
CONDITIONS = {
    "1 thread": ONE,
    "2 threads": TWO,
    "ATEN_CPU_CAPABILITY=default": ONE | {"ATEN_CPU_CAPABILITY": "default"},
    "ATEN_CPU_CAPABILITY=avx2": ONE | {"ATEN_CPU_CAPABILITY": "avx2"},
    "ONEDNN_MAX_CPU_ISA=AVX2": ONE | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
}


@dataclass(frozen=True)
class Row:
    """What was seen under a condition."""

    condition: str
    repeated: bool
    equal_to_first: bool
    accuracy: float
    largest_relative_difference: float


def measure(data: Path, epochs: int, architecture: str) -> list[Row]:
    rows: list[Row] = []
    first: dict[str, Tensor] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for k, (condition, variables) in enumerate(CONDITIONS.items()):
            paths = [Path(scratch) / f"{k}-{again}.safetensors" for again in range(2)]
            accuracies = [train(data, path, epochs, architecture, variables) for path in paths]
            one, other = (load_file(path) for path in paths)
            first = first or one
            rows.append(
                Row(condition, equal(one, other), equal(one, first), accuracies[0], relative_difference(one, first))
            )
    return rows


def train(data: Path, out: Path, epochs: int, architecture: str, variables: dict[str, str]) -> float:
    """Trains in a process of its own, in which only these of the variables are set; returns the accuracy."""
    arguments = ["train", str(data), "--out", str(out), "--epochs", str(epochs), "--architecture", architecture]
    command = [sys.executable, "-c", "from vebi.cli.main import main; main()", *arguments, "--json"]
    names = {name for of_condition in CONDITIONS.values() for name in of_condition}
    environment = {name: value for name, value in os.environ.items() if name not in names} | variables
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    accuracy: float = json.loads(done.stdout)["accuracy"]
    return accuracy


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def relative_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max(
        float((one[name] - other[name]).abs().max() / other[name].abs().max())
        for name in one
        if other[name].is_floating_point()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), default="flowernet")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.data, options.epochs, options.architecture)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print(f"{options.architecture}, {options.epochs} epochs, {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'condition':28} twice the same  equal to the first  accuracy  largest relative difference")
    for row in rows:
        repeated, same = ("yes" if fact else "NO" for fact in (row.repeated, row.equal_to_first))
        print(
            f"{row.condition:28} {repeated:14}  {same:18}  {row.accuracy:8.2%}  {row.largest_relative_difference:.1e}"
        )


if __name__ == "__main__":
    main()
