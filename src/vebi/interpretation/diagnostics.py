"""How far a fit can be trusted: accuracy, fidelity, certificates, and what a user should know.

Reference: J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960
(kappa).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vebi import lasso
from vebi.activations.table import DescriptorTable
from vebi.errors import join_names
from vebi.interpretation.checks import as_tuple
from vebi.lasso.scaling import Problem

#: Cohen's kappa of true and predicted classes, below which a model seems not to see what it was trained on.
NEAR_CHANCE = 0.1


@dataclass(frozen=True)
class Diagnostics:
    """How far a fit can be trusted, and what was noticed on the way.

    Attributes:
        accuracy: Share of the labelled images whose true class the network predicts, in [0, 1]; None where no image is
            labelled.
        fidelity: Share of the images of the fit whose predicted class is the one with the largest score, in [0, 1],
            see ``Interpretation.scaling``. That of held-out images is ``MuPath.fit_fidelity``, and is the one to quote.
        gaps: Duality gap of each class, relative to the objective at w = 0: how far its weights are from optimal. That
            objective is half the sum of the squared targets, less their mean where the columns are centred.
        violations: Largest violation of the optimality conditions of each class, relative to max |X'l|, where X are the
            columns as they were fitted and l the targets of the class.
        complete: For each class whether the constraint binds, so that ||w||_1 = mu; where not, its weights are the
            least squares solution.
        images_per_class: Number of images by the class that they were fitted to.
        skipped: Id of each image that could not be decoded, and the reason.
        notes: What a user should know, a sentence each.
        created: When the fit ended, in ISO 8601.
        versions: Versions of Python and the packages that can change a result.

    Example:
        >>> interpretation.diagnostics.accuracy
        1.0
        >>> interpretation.diagnostics.images_per_class
        {'blue': 24, 'green': 24, 'red': 24}
        >>> max(interpretation.diagnostics.gaps) < 1e-6
        True
    """

    accuracy: float | None
    fidelity: float = field(repr=False)
    gaps: tuple[float, ...] = field(repr=False)
    violations: tuple[float, ...] = field(repr=False)
    complete: tuple[bool, ...] = field(repr=False)
    images_per_class: dict[str, int] = field(repr=False)
    skipped: dict[str, str] = field(repr=False)
    notes: tuple[str, ...]
    created: str = field(repr=False)
    versions: dict[str, str] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The diagnostics as JSON takes them."""
        return vars(self) | {name: list(getattr(self, name)) for name in _LISTS}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Diagnostics":
        """The diagnostics that ``to_dict`` wrote; ``validation.validate`` says whether they can be.

        Args:
            plain: Content of a JSON file.

        Returns:
            The diagnostics, with the values as they were read.

        Raises:
            KeyError, TypeError: Something is missing or unknown, or is no list where one is needed.
        """
        lists: dict[str, Any] = {name: as_tuple(plain[name]) for name in _LISTS}
        return cls(**plain | lists)


_LISTS = ("gaps", "violations", "complete", "notes")


def certify(
    table: DescriptorTable,
    problem: Problem,
    solutions: Sequence[lasso.Solution],
    mus: Sequence[float],
    label: str,
    signed: bool,
) -> list[lasso.Certificate]:
    """The certificate of each solution: the worse of that from the rows of the table and that from its products.

    Args:
        table: The descriptors.
        problem: The mu-Lasso of the table.
        solutions: The solution of each class, with its certificate from the problem.
        mus: Bound on the l1 norm of each class.
        label: Column of the table that was fitted, ``predictions`` or ``labels``.
        signed: Whether negative weights are allowed.

    Returns:
        A certificate for each class.
    """
    weights, certificates = np.stack([solution.weights for solution in solutions]), []
    largest = float(np.diagonal(problem.gram).max(initial=0))
    for j, (solution, gradient) in enumerate(
        zip(solutions, table.gradients(weights, problem.scaling, label), strict=True)
    ):
        energy, b = float(problem.energy[j]), problem.b[:, j]
        rows = lasso.certificate_from_gradient(weights[j], gradient, b, largest, energy, mus[j], signed=signed)
        certificates.append(lasso.Certificate(max(rows.gap, solution.gap), max(rows.violation, solution.violation)))
    return certificates


def fidelity(
    table: DescriptorTable, problem: Problem, columns: Int[np.ndarray, " k"], weights: Float[np.ndarray, "classes k"]
) -> float:
    """The share of images for which the class with the largest score is the one that the network predicts, in [0, 1].

    Args:
        table: The descriptors.
        problem: The mu-Lasso of the table.
        columns: Columns of the selected features.
        weights: Their weights.
    """
    same, total, scaling = 0, 0, problem.scaling.columns(columns)
    for shard in table:
        scores = scaling.apply(shard["descriptors"][:, columns]) @ weights.T + scaling.constants
        largest = np.where(problem.absent, -np.inf, scores).argmax(axis=1)
        same += int((largest == shard["predictions"]).sum())
        total += len(largest)
    return same / total


def accuracy(labels: Int[np.ndarray, " n"], predictions: Int[np.ndarray, " n"]) -> float | None:
    """The share of labelled images that are predicted right, None where there are none."""
    return float((labels == predictions).mean()) if len(labels) else None


def near_chance_notes(labels: Int[np.ndarray, " n"], predictions: Int[np.ndarray, " n"]) -> list[str]:
    """A sentence where the network does hardly better than guessing, which mostly means wrong preprocessing.

    Args:
        labels: True class of each labelled image.
        predictions: Predicted class of each.

    Returns:
        The sentence where Cohen's kappa is below ``NEAR_CHANCE``, else nothing.
    """
    correct = accuracy(labels, predictions)
    if correct is None:
        return []
    classes = np.union1d(labels, predictions)
    chance = float(sum((labels == c).mean() * (predictions == c).mean() for c in classes))
    if chance == 1 or (correct - chance) / (1 - chance) >= NEAR_CHANCE:
        return []
    return [
        f"the accuracy of the model on these images is {correct:.1%}, near chance ({chance:.1%}): "
        f"check its mean, std and size, its weights and the order of its class names"
    ]


def solution_notes(
    class_names: Sequence[str],
    images_per_class: Sequence[int],
    solutions: Sequence[lasso.Solution],
    gaps: Sequence[float],
    labels: str,
    mus: Sequence[float],
) -> list[str]:
    """Which classes got no features, and which solutions are not what was asked for: one sentence for each kind.

    Args:
        class_names: Names of the classes.
        images_per_class: Images that were fitted to each class.
        solutions: The solution of each class.
        gaps: Relative duality gap of each.
        labels: ``predicted`` or ``true`` classes.
        mus: Bound on the l1 norm of each class.

    Returns:
        Up to four sentences.
    """
    absent, empty, inexact, slack = [], [], [], []
    for name, count, solution, gap in zip(class_names, images_per_class, solutions, gaps, strict=True):
        if count == 0:
            absent.append(name)
        elif not solution.weights.any():
            empty.append(name)
        elif not gap <= lasso.TOLERANCE:
            inexact.append(f"{name} ({gap:.1e})")
        elif not solution.complete:
            slack.append(f"{name} ({np.abs(solution.weights).sum():.3g})")
    verb = "are never predicted" if labels == "predicted" else "have no images"
    kinds = (
        (absent, f"classes that {verb} get no features: {{}}"),
        (empty, "classes for which every weight is 0: {}"),
        (inexact, "the duality gap, relative to the objective at w = 0, is too large for: {}"),
        (slack, f"mu = {mus[0]:g} does not bind, the least squares solution has a smaller ||w||_1, for: {{}}"),
    )
    return [sentence.format(join_names(names)) for names, sentence in kinds if names]
