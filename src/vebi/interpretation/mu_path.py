"""What is selected along mu, and how well it holds on held-out images."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int

from vebi.interpretation.held_out import cross_validate
from vebi.interpretation.partition import PartitionedTable, is_truncated
from vebi.lasso.bound import Bound
from vebi.lasso.cross_validation import finite_folds, mean_and_se, one_standard_error_index
from vebi.lasso.path import Knot, interpolate_path
from vebi.progress import Progress

#: Values of mu that are tried: ten per decade, over three decades at most.
PER_DECADE, DECADES = 10, 3
#: ... and up to so many times the value at which the path of the median class ends: little happens there.
BEYOND = 3


@dataclass(frozen=True, eq=False)
class MuPath:
    """The regularization path: what each class selects at each mu of a grid, and how well it holds on held-out images.

    Scores are those of a 5-fold cross-validation, in which the held-out images have no part in the fit. All else is
    selected from all images. `vebi path` prints and draws it.

    Attributes:
        mus: The m values of mu of the grid, ascending.
        candidates: For each value whether ``mu="auto"`` can choose it; another one is there because it was asked for.
        r2: folds x m x classes: R² of the targets of a class on held-out images, at most 1; NaN where the fold, or all
            others, have no image of the class, or no other.
        fidelity: folds x m: share of the held-out images whose predicted class is the one with the largest score, see
            ``Interpretation.scaling``.
        class_index: Class of each row. There is a row for each class and feature that the class selects at some mu, in
            the order in which they enter the path.
        columns: Column of the feature of each row in the descriptor.
        entry_mu: The ||w||_1 at which the feature of each row first enters.
        weights: rows x m: its weight at each value; all 0 for a feature that enters and leaves between two of them.
        fit_r2: folds x classes: R² of each class at the bound of the fit, which can be another one for every class.
        fit_fidelity: folds: fidelity at these bounds.
        end_mu: The ||w||_1 at which the path of each class ends, in the least squares solution; infinity where it was
            not followed so far.

    Reference:
        Osborne, Presnell and Turlach, "A new approach to variable selection in least squares problems", IMA Journal of
        Numerical Analysis 20, 2000 (the path). Breiman et al., "Classification and Regression Trees", 1984 (the rule
        of one standard error).

    Example:
        >>> path = interpretation.mu_path
        >>> path.r2.shape == (5, len(path.mus), 3)
        True
        >>> bool(path.one_se_mu <= path.best)
        True
    """

    mus: Float[np.ndarray, " m"]
    candidates: Bool[np.ndarray, " m"] = field(repr=False)
    r2: Float[np.ndarray, "folds m classes"] = field(repr=False)
    fidelity: Float[np.ndarray, "folds m"] = field(repr=False)
    class_index: Int[np.ndarray, " rows"] = field(repr=False)
    columns: Int[np.ndarray, " rows"] = field(repr=False)
    entry_mu: Float[np.ndarray, " rows"] = field(repr=False)
    weights: Float[np.ndarray, "rows m"] = field(repr=False)
    fit_r2: Float[np.ndarray, "folds classes"] = field(repr=False)
    fit_fidelity: Float[np.ndarray, " folds"] = field(repr=False)
    end_mu: Float[np.ndarray, " classes"] = field(repr=False)

    @property
    def validated(self) -> bool:
        """Whether there were enough images for a cross-validation."""
        return len(finite_folds(self.scores)) > 0

    @property
    def scores(self) -> Float[np.ndarray, "folds m"]:
        """R² of each fold at each value, the mean over the classes that have one."""
        return _mean_over_classes(self.r2)

    @property
    def fit_scores(self) -> Float[np.ndarray, " folds"]:
        """The same at the bounds of the fit."""
        return _mean_over_classes(self.fit_r2)

    @property
    def best(self) -> float:
        """The candidate with the best R² on held-out images, the mean over the folds."""
        return float(self.mus[self.candidates][int(mean_and_se(self.scores)[0][self.candidates].argmax())])

    @property
    def one_se_mu(self) -> float:
        """The smallest candidate whose mean R² is within one standard error of the best: what ``mu="auto"`` chooses."""
        return float(self.mus[self.candidates][one_standard_error_index(self.scores[:, self.candidates])])

    @property
    def best_at_edge(self) -> bool:
        """Whether the best candidate is the largest and some path goes on: a larger mu might be better."""
        return bool(self.best == self.mus[self.candidates][-1] and np.isinf(self.end_mu).any())

    def nearest(self, mu: float) -> int:
        """The index of the value nearest to ``mu``, which is that value itself where the constraint can bind."""
        return int(np.abs(np.log(self.mus / mu)).argmin())

    def span(self, class_index: int, column: int) -> tuple[float, float] | None:
        """The lowest and the highest value of the grid at which a class selects a feature.

        Args:
            class_index: Index of the class.
            column: Column of the feature in the descriptor.

        Returns:
            Both values, or None where the class selects the feature at none.
        """
        rows = (self.class_index == class_index) & (self.columns == column)
        selected = np.flatnonzero(self.weights[rows].any(axis=0))
        return (float(self.mus[selected[0]]), float(self.mus[selected[-1]])) if len(selected) else None

    def counts(self) -> Int[np.ndarray, "m classes"]:
        """The number of features that each class selects at each value."""
        counts = np.zeros((len(self.mus), len(self.end_mu)), np.int64)
        for class_index, weights in zip(self.class_index, self.weights, strict=True):
            counts[:, class_index] += weights != 0
        return counts


def _mean_over_classes(r2: Float[np.ndarray, "*_ classes"]) -> Float[np.ndarray, "*_"]:
    """The mean over the classes that have a score; NaN where none has."""
    finite = np.isfinite(r2)
    count = finite.sum(axis=-1)
    return np.where(count > 0, np.where(finite, r2, 0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def compute_mu_path(table: PartitionedTable, bound: Bound | None = None, progress: Progress | None = None) -> MuPath:
    """The path of a table, with the scores of a 5-fold cross-validation.

    Args:
        table: The table, in parts.
        bound: The bound of the fit; None where the one-standard-error rule is to choose it. A mu is to be among the
            values of the grid, where the constraint can bind.
        progress: Called with (steps done, steps).

    Returns:
        The path; its scores are NaN where there are too few images for five folds.
    """
    mus, candidates = mu_grid(table.truncated_paths, None if bound is None else bound.mu)
    extra = None if bound is None or bound.mu in mus.tolist() else bound  # behind the values of the grid

    def bounds_of(gram: np.ndarray, b: np.ndarray) -> np.ndarray:
        return mus if extra is None else np.append(mus, extra.of_class(gram, b, signed=table.signed))

    scores, fidelity = cross_validate(table, bounds_of, len(mus) + (extra is not None), progress)
    path = MuPath(
        mus=mus,
        candidates=candidates,
        r2=scores[:, : len(mus)],
        fidelity=fidelity[:, : len(mus)],
        **_selection_on_all_rows(table, mus),
        fit_r2=scores[:, -1],
        fit_fidelity=fidelity[:, -1],
        end_mu=np.array([np.inf if is_truncated(path) else path[-1].norm for path in table.truncated_paths]),
    )
    if extra is not None or not path.validated:
        return path
    chosen = path.nearest(path.one_se_mu if bound is None or bound.mu is None else bound.mu)
    return replace(path, fit_r2=scores[:, chosen], fit_fidelity=fidelity[:, chosen])


def mu_grid(
    paths: Sequence[Sequence[Knot]], mu: float | None = None
) -> tuple[Float[np.ndarray, " m"], Bool[np.ndarray, " m"]]:
    """The values of mu of the grid, two digits each, and which of them are candidates.

    Candidates reach from where the median class selects its second feature, over three decades at most, to where the
    paths have ended, or a class has more features than anybody looks at.

    Args:
        paths: The path of each class, see ``PartitionedTable.truncated_paths``.
        mu: A value that is to be in the grid, and within its range, where the constraint can bind.

    Returns:
        The values, ascending, and for each whether it is a candidate.
    """
    firsts = [min(norms) for path in paths if (norms := [knot.norm for knot in path if knot.norm > 0])]
    if not firsts:
        return np.array([mu or 1.0]), np.array([True])
    end_mu = np.array([np.inf if is_truncated(path) else path[-1].norm for path in paths if path[-1].norm > 0])
    reached = min((path[-1].norm for path in paths if is_truncated(path) and path[-1].norm > 0), default=np.inf)
    top = min(reached, float(end_mu.max()), BEYOND * float(np.median(end_mu)))
    low = min(top, max(float(np.median(firsts)), top / 10**DECADES))
    first = last = math.floor(PER_DECADE * math.log10(low))
    while _rounded_mu(last) < top:
        last += 1
    candidates = {_rounded_mu(k) for k in range(first, last + 1)}
    values = set(candidates)
    if mu is not None and mu <= end_mu.max():
        while _rounded_mu(first) > mu:
            first -= 1
        while _rounded_mu(last) < mu:
            last += 1
        values = {_rounded_mu(k) for k in range(first, last + 1)} | {mu}
    mus = np.array(sorted(values))
    return mus, np.isin(mus, list(candidates))


def _rounded_mu(k: int) -> float:
    return float(f"{10 ** (k / PER_DECADE):.2g}")


class _Rows(TypedDict):
    """The fields of a ``MuPath`` that have a row for each class and feature."""

    class_index: Int[np.ndarray, " rows"]
    columns: Int[np.ndarray, " rows"]
    entry_mu: Float[np.ndarray, " rows"]
    weights: Float[np.ndarray, "rows m"]


def _selection_on_all_rows(table: PartitionedTable, mus: np.ndarray) -> _Rows:
    """What each class selects along ``mus`` from all images: its features in the order in which they enter."""
    class_index, columns, entry_mu, weights = [], [], [], []
    for j, truncated in enumerate(table.truncated_paths):
        longer = is_truncated(truncated) and truncated[-1].norm < mus[-1]
        path = table.path_of_class(j, mus[-1]) if longer else truncated
        entries: dict[int, float] = {}
        for before, knot in itertools.pairwise(path):
            for column in knot.columns.tolist():
                entries.setdefault(column, before.norm)
        w = interpolate_path(path, mus, table.features)
        for column, norm in entries.items():
            class_index.append(j)
            columns.append(column)
            entry_mu.append(norm)
            weights.append(w[:, column])
    return _Rows(
        class_index=np.array(class_index, np.int64),
        columns=np.array(columns, np.int64),
        entry_mu=np.array(entry_mu, np.float64),
        weights=np.array(weights, np.float64).reshape(-1, len(mus)),
    )
