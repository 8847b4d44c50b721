"""How far a fit can be trusted: accuracy, fidelity, certificates, and what a user should know."""

from collections.abc import Sequence

import numpy as np

from vebi import lasso
from vebi.activations.table import DescriptorTable
from vebi.errors import listed
from vebi.lasso.gram import Sums

#: Cohen's kappa of true and predicted classes, below which a model seems not to see what it was trained on.
NEAR_CHANCE = 0.1


def _certify(
    table: DescriptorTable,
    sums: Sums,
    solutions: Sequence[lasso.Solution],
    mu: float,
    label: str,
    signed: bool,
) -> list[lasso.Certificate]:
    """From the rows of the table themselves, beside those that the solutions have from its sums: the worse of both."""
    weights, found = np.stack([solution.weights for solution in solutions]), []
    largest = float(np.diagonal(sums.gram).max(initial=0))
    for j, g in enumerate(table.gradients(weights, label)):
        own = lasso.judge(weights[j], g, sums.b[:, j], largest, float(sums.e[j]), mu, signed=signed)
        solution = solutions[j]
        found.append(lasso.Certificate(max(own.gap, solution.gap), max(own.violation, solution.violation)))
    return found


def _agreement(table: DescriptorTable, columns: Sequence[int], weights: np.ndarray) -> float:
    """The share of pictures for which the class with the largest x'w is the one that the network predicts."""
    same = total = 0
    for shard in table:
        guessed = (shard["descriptors"][:, list(columns)] @ weights.T).argmax(axis=1)
        same += int((guessed == shard["predictions"]).sum())
        total += len(guessed)
    return same / total


def _doubt(truth: np.ndarray, predictions: np.ndarray) -> list[str]:
    """A sentence where the model does little better on its pictures than guessing with the same frequencies would
    (Cohen's kappa below ``NEAR_CHANCE``): then mostly its input is not prepared as in training."""
    right = float((truth == predictions).mean()) if len(truth) else 1.0
    classes = np.union1d(truth, predictions)
    chance = float(sum((truth == c).mean() * (predictions == c).mean() for c in classes)) if len(truth) else 0.0
    if chance == 1 or (right - chance) / (1 - chance) >= NEAR_CHANCE:
        return []
    return [
        f"the model is right on {right:.1%} of these pictures, which is near chance ({chance:.1%}): "
        f"check its mean, std and size, its weights and the order of its class names"
    ]


def _notes(
    classes: Sequence[str],
    e: np.ndarray,
    solutions: Sequence[lasso.Solution],
    gaps: np.ndarray,
    labels: str,
    mu: float,
) -> list[str]:
    """Which classes got no features, and which solutions are not what was asked for: a sentence a kind."""
    absent, silent, off, loose = [], [], [], []
    for name, count, solution, gap in zip(classes, e, solutions, gaps, strict=True):
        if count == 0:
            absent.append(name)
        elif not solution.weights.any():
            silent.append(name)
        elif not gap <= lasso.TOLERANCE:
            off.append(f"{name} ({gap:.1e})")
        elif not solution.complete:
            loose.append(f"{name} ({np.abs(solution.weights).sum():.3g})")
    verb = "are never predicted" if labels == "predicted" else "have no pictures"
    kinds = (
        (absent, f"classes that {verb} get no features: {{}}"),
        (silent, "classes for which no feature speaks get none: {}"),
        (off, "solutions that are off, by this share of their objective at 0 at most: {}"),
        (loose, f"mu = {mu:g} does not bind where a smaller ||w||_1 is all that is of use: {{}}"),
    )
    return [sentence.format(listed(names)) for names, sentence in kinds if names]
