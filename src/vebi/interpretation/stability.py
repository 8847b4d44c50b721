"""How often the same features are selected from half of the images, and which others are correlated with them.

Reference: Meinshausen and Buehlmann, "Stability selection", JRSS B 72, 2010; Shah and Samworth, "Variable selection
with error control: another look at stability selection", JRSS B 75, 2013 (complementary pairs of subsamples).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from vebi.activations.layers import Feature
from vebi.interpretation.partition import PartitionedTable
from vebi.lasso.bound import Bound
from vebi.lasso.scaling import Problem
from vebi.lasso.subsampling import CORRELATED, N_SUBSAMPLES, correlations, subsample_selections
from vebi.progress import Progress


@dataclass(frozen=True)
class FeatureStability:
    """How far the selection of one feature by one class can be trusted, from stability selection.

    With a high selection probability, the selection does not depend on which images were fitted. With a low one and a
    high group probability, the class selects one of several correlated features, and the images decide which.

    Attributes:
        selection_probability: Share of the subsamples in which the class selects the feature, in [0, 1].
        group_probability: Share in which it selects the feature or any of its correlated features, in [0, 1].
        correlated_features: Features whose correlation with it over all images is above 0.95, and that correlation,
            the closest first.

    Reference:
        Meinshausen and Buehlmann, "Stability selection", JRSS B 72, 2010.

    Example:
        >>> feature, weight = interpretation.select_features("red")[0]
        >>> stability = interpretation.feature_stability("red", feature)
        >>> 0 <= stability.selection_probability <= stability.group_probability <= 1
        True
    """

    selection_probability: float
    group_probability: float
    correlated_features: tuple[tuple[Feature, float], ...]


@dataclass(frozen=True, eq=False)
class Stability:
    """How far the selection of each feature by each class can be trusted.

    Attributes:
        n_subsamples: Number of subsamples, each of half the images.
        selection_probability: classes x features: share of the subsamples in which a class selects the feature, with
            the same mu or the same number of features, 0 where it does not select it from all images.
        group_probability: classes x features: the same for the feature or any of its correlated features.
        correlated_features: For each feature the (column, correlation) of those correlated with it above 0.95, the
            closest first.

    Example:
        >>> interpretation.stability.n_subsamples
        50
        >>> interpretation.stability.selection_probability.shape == interpretation.weights.shape
        True
    """

    n_subsamples: int
    selection_probability: Float[np.ndarray, "classes features"] = field(repr=False)
    group_probability: Float[np.ndarray, "classes features"] = field(repr=False)
    correlated_features: tuple[tuple[tuple[int, float], ...], ...] = field(repr=False)


def compute_stability(
    table: PartitionedTable,
    bound: Bound,
    columns: Sequence[int],
    weights: Float[np.ndarray, "classes features"],
    progress: Progress | None = None,
) -> Stability | None:
    """Runs stability selection for the features that were selected from all images.

    Args:
        table: The table, in parts.
        bound: The bound on the l1 norm.
        columns: Columns of the selected features.
        weights: classes x features, their weights.
        progress: Called with (steps done, steps).

    Returns:
        The selection probabilities; None for a table of fewer than two images.
    """
    if table.parts < 2:
        return None
    correlated = _correlated_columns(table.problem, columns)
    alone, group = np.zeros(weights.shape), np.zeros(weights.shape)
    done, steps = 0, N_SUBSAMPLES * table.classes
    for block, parts in table.blocks():
        classes = block.classes
        advance = progress and _part_of_progress(progress, done, len(classes), steps)
        selections = subsample_selections(
            parts, table.form, bound, floor=table.problem.floor, signed=table.signed, progress=advance
        )
        done += N_SUBSAMPLES * len(classes)
        index = {int(column): k for k, column in enumerate(block.columns)}
        for i, column in enumerate(columns):
            if column in index:
                members = [index[c] for c in (column, *(c for c, _ in correlated[i])) if c in index]
                alone[classes, i] = selections[:, :, index[column]].mean(axis=0)
                group[classes, i] = selections[:, :, members].any(axis=2).mean(axis=0)
    selected = weights != 0
    return Stability(N_SUBSAMPLES, np.where(selected, alone, 0), np.where(selected, group, 0), correlated)


def _part_of_progress(progress: Progress, done: int, step: int, steps: int) -> Progress:
    """The progress of a block: each of its subsamples is ``step`` of all ``steps``, after those that are done."""
    return lambda k, _: progress(done + k * step, steps)


def _correlated_columns(problem: Problem, columns: Sequence[int]) -> tuple[tuple[tuple[int, float], ...], ...]:
    """For each column the others that are correlated with it, the closest first."""
    correlated = []
    for start in range(0, len(columns), 256):
        chunk = columns[start : start + 256]  # at a time, since each has a row over all features
        for column, row in zip(chunk, correlations(problem, chunk), strict=True):
            close = [int(c) for c in np.flatnonzero(row > CORRELATED) if c != column]
            close.sort(key=row.__getitem__, reverse=True)
            correlated.append(tuple((c, min(1.0, float(row[c]))) for c in close))
    return tuple(correlated)
