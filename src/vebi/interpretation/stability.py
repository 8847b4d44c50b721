"""How often the same features are selected from half of the images, and which others are correlated with them.

Reference: Meinshausen and Buehlmann, "Stability selection", JRSS B 72, 2010; Shah and Samworth, "Variable selection
with error control: another look at stability selection", JRSS B 75, 2013 (complementary pairs of subsamples).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from vebi.activations.layers import Feature
from vebi.interpretation.partition import PartitionedTable
from vebi.lasso.bound import Bound
from vebi.lasso.moments import Moments
from vebi.lasso.scaling import Problem
from vebi.lasso.subsampling import CORRELATED, N_SUBSAMPLES, correlations, subsample_masks, subsample_selections
from vebi.progress import Progress


@dataclass(frozen=True)
class FeatureStability:
    """How far the selection of one feature by one class can be trusted, from stability selection.

    With a high selection probability, the selection does not depend on which images were fitted. With a low one and a
    high group probability, the class selects one of several correlated features, and the images decide which.

    Attributes:
        selection_probability: Share of the subsamples in which the class selects the feature, in [0, 1]; None where it
            cannot be known, since the class, or all others together, have fewer than two images.
        group_probability: Share in which it selects the feature or any of its correlated features, likewise.
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

    selection_probability: float | None
    group_probability: float | None
    correlated_features: tuple[tuple[Feature, float], ...]


@dataclass(frozen=True, eq=False)
class Stability:
    """How far the selection of each feature by each class can be trusted.

    Attributes:
        n_subsamples: Number of subsamples, each of half the images.
        selection_probability: classes x features: share of the subsamples in which a class selects the feature, with
            the same mu or the same number of features, 0 where it does not select it from all images. Subsamples
            without an image of the class, or of the others, do not count; NaN in the row of a class of which, or of
            the others, there are fewer than two.
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

    def probabilities(self, class_index: int, feature_index: int) -> tuple[float | None, float | None]:
        """Both probabilities of a feature for a class; None where they cannot be known."""
        shares = (
            self.selection_probability[class_index, feature_index],
            self.group_probability[class_index, feature_index],
        )
        return (None, None) if np.isnan(shares[0]) else (float(shares[0]), float(shares[1]))


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
    unknown = np.zeros(len(weights), bool)
    done, steps = 0, N_SUBSAMPLES * table.classes
    for block, parts in table.blocks():
        classes = block.classes
        advance = progress and _part_of_progress(progress, done, len(classes), steps)
        selections = subsample_selections(
            parts, table.form, bound, floor=table.problem.floor, signed=table.signed, progress=advance
        )
        done += N_SUBSAMPLES * len(classes)
        counted, known = _subsamples_of_classes(parts)
        unknown[classes] = ~known
        index = {int(column): k for k, column in enumerate(block.columns)}
        for i, column in enumerate(columns):
            if column in index:
                members = [index[c] for c in (column, *(c for c, _ in correlated[i])) if c in index]
                alone[classes, i] = (selections[:, :, index[column]] & counted).sum(axis=0) / counted.sum(axis=0)
                group[classes, i] = (selections[:, :, members].any(axis=2) & counted).sum(axis=0) / counted.sum(axis=0)
    alone, group = (np.where(weights != 0, shares, 0) for shares in (alone, group))
    alone[unknown] = group[unknown] = np.nan
    return Stability(N_SUBSAMPLES, alone, group, correlated)


def _subsamples_of_classes(
    parts: Sequence[Moments],
) -> tuple[Bool[np.ndarray, "count classes"], Bool[np.ndarray, " classes"]]:
    """Which subsamples have images of a class and of others, and whether there are at least two of either.

    From the others nothing is selected, and from the same image always the same.
    """
    rows = np.array([part.rows for part in parts])
    images = np.stack([part.label_means * part.rows for part in parts]).round().astype(int)
    masks = subsample_masks(len(parts)).astype(int)
    inside, outside = masks @ images, masks @ (rows[:, None] - images)
    known = np.minimum(images.sum(axis=0), rows.sum() - images.sum(axis=0)) >= 2
    return (inside > 0) & (outside > 0) | ~known, known


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
