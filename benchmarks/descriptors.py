"""Forms of the descriptor compared on the tables of runs: what so many features per class tell of held-out images.

    python benchmarks/descriptors.py NAME=RUN[,MODEL][,IMAGES]... [--features 2 3 5] [--out benchmarks/descriptors.md]
                                     [--keep]    keeps the networks of the table that is there, and adds these

RUN is a folder that `vebi fit` or `vebi bench` wrote, whatever its options: its table holds what every form is made of.
MODEL is its network, where that is a Python file, as FILE.py:FUNCTION; IMAGES the folder of its images, where the run
does not name it. What is measured stands in the table that is written; its numbers lie beside it as JSON.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from switch_off import SwitchBoard, open_switch_board

from vebi import provenance
from vebi.activations.descriptors import Descriptor
from vebi.activations.table import DescriptorTable
from vebi.interpretation.held_out import cross_validate
from vebi.interpretation.partition import FOLDS, PartitionedTable
from vebi.interpretation.run_folder import open_table, read_settings
from vebi.interpretation.stability import compute_stability
from vebi.lasso import Bound, solve_all

#: The form of the paper, those that differ from it in one respect, and the default.
FORMS = {
    "paper": Descriptor.paper(),
    "squared, centred": Descriptor("squared", False, "centred"),
    "squared, standardised": Descriptor("squared", False, "standardised"),
    "l2, centred": Descriptor("l2", False, "centred"),
    "l2, standardised (default)": Descriptor(),
    "squared, log": Descriptor("squared", False, "log"),
    "squared, clr": Descriptor("squared", False, "clr"),
}
#: A column that varies by less than this share of its mean hardly varies.
NEAR_CONSTANT = 0.2
#: Contributions of an image that are looked at, as an explanation shows them.
SHOWN = 3
#: What stands in the table.
MEANING = """\
For each form and number of features per class: **R2** and **fidelity** on held-out images, in five folds (scales and
weights are those of the other folds); the share of the three largest contributions to an image that is **early**, from
the first half of the layers, and that is **steady**, from features that hardly vary (a standard deviation below 0.2 of
the mean in the paper's form); how often the **first** feature of a class is selected from half of the images, over 50
subsamples; and what it costs to switch the features of its class **off** in an image, all of them at once: how much of
the probability of the class is lost, and, behind the slash, with as many other features of the same layers (three draws
of them). Percent, but for R2."""


@dataclass(frozen=True)
class Row:
    """What one form gives with one number of features per class; shares in [0, 1]."""

    network: str
    images: int
    columns: int
    form: str
    features: int
    r2: float
    fidelity: float
    early: float
    near_constant: float
    selection_probability: float
    switched_off: float
    others_off: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN[,MODEL][,IMAGES]")
    parser.add_argument("--features", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    numbers = options.out.with_suffix(".json")
    kept = json.loads(numbers.read_text())["rows"] if options.keep and numbers.exists() else []
    named = [text.partition("=")[0] for text in options.runs]
    rows = [Row(**row) for row in kept if row["network"] not in named]
    for text in options.runs:
        name, _, source = text.partition("=")
        folder, *more = source.split(",")
        model, images = (next((m for m in more if (".py:" in m) == is_model), None) for is_model in (True, False))
        board = open_switch_board(Path(folder), model, images)
        for form, descriptor in FORMS.items():
            rows += measure(name, Path(folder), board, form, descriptor, options.features)
            for row in rows[-len(options.features) :]:
                print(f"{row.network}, {row.form}, {row.features}: {row.fidelity:.3f}", flush=True)
    found = {"rows": [asdict(row) for row in rows], "versions": provenance.versions(), "created": provenance.now()}
    numbers.write_text(json.dumps(found, indent=1) + "\n")
    options.out.write_text(render(rows))


def measure(
    network: str, run: Path, board: SwitchBoard, form: str, descriptor: Descriptor, counts: Sequence[int]
) -> list[Row]:
    settings = read_settings(run)
    table = open_table(run, settings, descriptor)
    parts = PartitionedTable(table, table.problem(len(settings.class_names)), "predictions")
    held_out = hold_out(parts, counts)
    return [
        Row(
            network,
            len(parts.part_of_row),
            len(table.features),
            form,
            count,
            *held_out[count],
            *select(parts, board, count),
        )
        for count in counts
    ]


def hold_out(parts: PartitionedTable, counts: Sequence[int]) -> dict[int, tuple[float, float]]:
    """Number of features -> R2, the mean over folds and classes, and fidelity over all images."""

    def bounds_of(gram: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.array([Bound(features=count).of_class(gram, b) for count in counts])

    scores, fidelity = cross_validate(parts, bounds_of, len(counts))
    sizes = np.bincount(parts.part_of_row % FOLDS)
    return {
        count: (float(np.nanmean(scores[:, k])), float(np.average(fidelity[:, k], weights=sizes)))
        for k, count in enumerate(counts)
    }


def select(parts: PartitionedTable, board: SwitchBoard, count: int) -> tuple[float, ...]:
    """What all images select: the fields of a row from ``early`` on."""
    bound, problem = Bound(features=count), parts.problem
    solutions = solve_all(problem.gram, problem.b, problem.energy, bound.mus(problem))
    weights = np.stack([solution.weights for solution in solutions])
    columns = np.flatnonzero(weights.any(axis=0))
    weights = weights[:, columns]
    x = parts.table.columns(columns.tolist())
    z, predictions = problem.scaling.columns(columns).apply(x), parts.table.column("predictions")
    depth = {layer: k for k, layer in enumerate(dict.fromkeys(f.layer for f in parts.table.features))}
    early = np.array([depth[parts.table.features[c].layer] < len(depth) // 2 for c in columns])
    steady = variation(parts.table, columns) < NEAR_CONSTANT
    contributions = z * weights[predictions]
    shown = np.argsort(-contributions, axis=1)[:, :SHOWN]
    positive = np.take_along_axis(contributions, shown, axis=1) > 0
    stability = compute_stability(parts, bound, columns.tolist(), weights)
    assert stability is not None
    chosen = weights.any(axis=1)
    first = stability.selection_probability[np.flatnonzero(chosen), weights[chosen].argmax(axis=1)]
    features = [parts.table.features[c] for c in columns]
    off = board.lost([[features[k] for k in np.flatnonzero(row)] for row in weights])
    return float(early[shown][positive].mean()), float(steady[shown][positive].mean()), float(first.mean()), *off


def variation(table: DescriptorTable, columns: np.ndarray) -> np.ndarray:
    """The coefficient of variation of columns of the paper's form, whatever the form that is measured."""
    plain = replace(table, descriptor=Descriptor.paper()).columns(columns.tolist())
    return plain.std(axis=0) / np.maximum(plain.mean(axis=0), 1e-30)


def render(rows: Sequence[Row]) -> str:
    """The rows as Markdown, a table per network."""
    lines = ["# Forms of the descriptor", "", f"Made by `python benchmarks/{Path(__file__).name}`.", "", MEANING]
    for network in dict.fromkeys(row.network for row in rows):
        own = [row for row in rows if row.network == network]
        lines += ["", f"## {network}: {own[0].images:,} images, {own[0].columns:,} columns", ""]
        counts = list(dict.fromkeys(row.features for row in own))
        lines += ["| form | " + " | ".join(f"{k} features: R2, fidelity, early, steady, first, off" for k in counts)]
        lines[-1] += " |"
        lines += ["|---" * (1 + len(counts)) + "|"]
        for form in dict.fromkeys(row.form for row in own):
            cells = [cell(row) for row in own if row.form == form]
            lines += [f"| {form} | " + " | ".join(cells) + " |"]
    return "\n".join(lines) + "\n"


def cell(row: Row) -> str:
    shares = (row.fidelity, row.early, row.near_constant, row.selection_probability)
    off = f"{100 * row.switched_off:.1f} / {100 * row.others_off:.1f}"
    return f"{row.r2:.2f}, " + ", ".join([*(f"{100 * share:.1f}" for share in shares), off])


if __name__ == "__main__":
    main()
