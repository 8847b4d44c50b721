"""Look-ups by class and by feature in an interpretation.

A page asks for every class and every feature that it shows; each look-up here takes the same time whatever the number
of classes and features is, since each table behind it is made once, in one pass over the weights or over the mu path.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from vebi.interpretation.result import Interpretation


@dataclass(frozen=True, eq=False)
class PathRows:
    """What one class selects along mu: one row per feature, in the order of entry.

    Attributes:
        columns: Columns of the descriptor.
        entry_mu: ||w||_1 at which each feature first enters.
        weights: rows x m, at the values of mu of the path.
    """

    columns: Int[np.ndarray, " rows"]
    entry_mu: Float[np.ndarray, " rows"]
    weights: Float[np.ndarray, "rows m"]


class SelectionIndex:
    """Look-ups by class and by feature; a class or a feature is named by its index in the interpretation.

    Args:
        interpretation: What is looked up.
    """

    def __init__(self, interpretation: Interpretation):
        self.interpretation = interpretation
        self.class_index = {name: j for j, name in enumerate(interpretation.class_names)}
        self.feature_index = {feature: i for i, feature in enumerate(interpretation.features)}

    def selected(self, j: int) -> list[tuple[int, float]]:
        """The features of class ``j`` with their weights, the largest absolute weight first."""
        row = self.interpretation.weights[j]
        columns = self._features_of_class[j]
        order = columns[np.argsort(-np.abs(row[columns]), kind="stable")]
        return list(zip(order.tolist(), row[order].tolist(), strict=True))

    def classes_of_feature(self, i: int) -> Int[np.ndarray, " k"]:
        """The classes that select feature ``i``, the largest weight first."""
        return self._classes_of_feature[i]

    def path_rows(self, j: int) -> PathRows:
        """What class ``j`` selects along mu."""
        path, rows = self.interpretation.mu_path, self._rows_of_class[j]
        return PathRows(path.columns[rows], path.entry_mu[rows], path.weights[rows])

    def mu_range(self, j: int, i: int) -> tuple[float, float] | None:
        """The lowest and the highest mu of the path at which class ``j`` selects feature ``i``; None: at none."""
        return self._mu_ranges.get((j, self.interpretation.columns[i]))

    @cached_property
    def _features_of_class(self) -> list[Int[np.ndarray, " k"]]:
        classes, features = np.nonzero(self.interpretation.weights)
        return _split(features, classes, len(self.class_index))

    @cached_property
    def _classes_of_feature(self) -> list[Int[np.ndarray, " k"]]:
        weights = self.interpretation.weights
        classes, features = np.nonzero(weights)
        order = np.lexsort((classes, -weights[classes, features], features))
        return _split(classes[order], features[order], len(self.feature_index))

    @cached_property
    def _rows_of_class(self) -> list[Int[np.ndarray, " rows"]]:
        class_index = self.interpretation.mu_path.class_index
        order = np.argsort(class_index, kind="stable")
        return _split(order, class_index[order], len(self.class_index))

    @cached_property
    def _mu_ranges(self) -> dict[tuple[int, int], tuple[float, float]]:
        """(class, column) -> lowest and highest mu."""
        path = self.interpretation.mu_path
        rows = np.flatnonzero((path.weights != 0).any(axis=1))
        selected = path.weights[rows] != 0
        lowest = path.mus[selected.argmax(axis=1)]
        highest = path.mus[len(path.mus) - 1 - selected[:, ::-1].argmax(axis=1)]
        pairs = zip(path.class_index[rows].tolist(), path.columns[rows].tolist(), strict=True)
        return dict(zip(pairs, zip(lowest.tolist(), highest.tolist(), strict=True), strict=True))


def _split(values: Int[np.ndarray, " n"], groups: Int[np.ndarray, " n"], count: int) -> list[Int[np.ndarray, " k"]]:
    """The values of each of ``count`` groups; ``groups`` is sorted."""
    return np.split(values, np.searchsorted(groups, np.arange(1, count)))
