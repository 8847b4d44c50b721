"""A table in parts, and the columns that are considered where there are too many features for all of them.

Every part has its share of each class. Five groups of parts are the folds of the cross-validation; random halves of the
parts are the subsamples of stability selection.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from vebi.activations.table import DescriptorTable
from vebi.lasso.cross_validation import stratified_parts
from vebi.lasso.moments import Moments
from vebi.lasso.path import Knot, lasso_path
from vebi.lasso.scaling import Problem

PARTS, FOLDS = 20, 5
#: A path is followed over so many knots at most, beyond which a class has more features than anybody looks at.
KNOTS = 200
#: Features considered at a time when parts are solved; of more those that are nearest to being selected.
CONSIDERED, NEAREST = 2048, 256


@dataclass(frozen=True, eq=False)
class ClassBlock:
    """Classes that are solved over the same columns of the table.

    Attributes:
        classes: Indices of the classes.
        columns: The columns that are considered for them, in ascending order.
        screened: (fold, class) -> the indices into ``columns`` that are considered for the class when the fold is held
            out; they were chosen without the labels of the fold. Empty where all columns are considered.
    """

    classes: list[int]
    columns: Int[np.ndarray, " k"] = field(repr=False)
    screened: dict[tuple[int, int], Int[np.ndarray, " s"]] = field(repr=False)


class PartitionedTable:
    """A table and its problem, divided into parts with an equal share of each class.

    Args:
        table: The descriptors.
        problem: The mu-Lasso over all rows.
        labels: The column that is fitted, ``predictions`` or ``labels``.
        signed: Whether negative weights are allowed.

    Attributes:
        form: The form of the problem, see ``lasso.make_problem``.
        classes: Number of classes.
        features: Number of columns.
        parts: Number of parts.
        part_of_row: The part of each row of the table.
    """

    def __init__(self, table: DescriptorTable, problem: Problem, labels: str, *, signed: bool = False):
        self.table, self.problem, self.labels, self.signed = table, problem, labels, signed
        self.form = table.descriptor.form
        self.classes, self.features = len(problem.energy), len(problem.gram)
        label_of_row = table.column(labels)
        self.part_of_row = stratified_parts(label_of_row, min(PARTS, len(label_of_row)))
        self.parts = int(self.part_of_row.max(initial=-1)) + 1
        self._latest: tuple[ClassBlock | None, list[Moments]] = (None, [])

    def path_of_class(self, j: int, mu: float = np.inf, most: int | None = None) -> list[Knot]:
        """The path of class ``j`` over all rows, up to ``mu`` and ``most`` knots."""
        return lasso_path(self.problem.gram, self.problem.b[:, j], mu, signed=self.signed, most=most)

    @cached_property
    def truncated_paths(self) -> list[list[Knot]]:
        """The path of each class over all rows, its first ``KNOTS`` knots at most."""
        return [self.path_of_class(j, most=KNOTS) for j in range(self.classes)]

    def blocks(self) -> Iterator[tuple[ClassBlock, list[Moments]]]:
        """Yields each block of classes, with the moments of each part over its classes and columns."""
        for block in self._blocks:
            if self._latest[0] is not block:
                self._latest = (None, [])  # before the next ones are computed: they are large
                parts = self.table.part_moments(self.part_of_row, block.columns, block.classes, self.labels)
                self._latest = (block, parts)
            yield block, self._latest[1]

    @cached_property
    def _blocks(self) -> list[ClassBlock]:
        if self.features <= CONSIDERED:
            return [ClassBlock(list(range(self.classes)), np.arange(self.features), {})]
        folds = self.table.label_sums(self.part_of_row % FOLDS, FOLDS, self.problem.scaling, self.labels)
        blocks: list[_Screening] = []
        for j in range(self.classes):
            all_rows = self.problem.b.T[j]
            # the path that the rows outside a fold would have with the G of all rows: what is held out must not have a
            # say in what is considered, and only its labels could
            screened = {(f, j): self._nearest((all_rows - folds[f, j]) * FOLDS / (FOLDS - 1)) for f in range(FOLDS)}
            columns = self._nearest(all_rows).union(*screened.values())
            if not blocks or len(blocks[-1].columns | columns) > CONSIDERED:
                blocks.append(_Screening())
            blocks[-1].add(j, columns, screened)
        return [block.finish() for block in blocks]

    def _nearest(self, b: Float[np.ndarray, " p"]) -> set[int]:
        """The columns that a path with this b selects anywhere, and those that are nearest to it where it ends."""
        path = lasso_path(self.problem.gram, b, signed=self.signed, most=KNOTS)
        selected = {int(column) for knot in path for column in knot.columns}
        residual = b - path[-1].weights @ self.problem.gram[path[-1].columns]
        order = np.argsort(-(np.abs(residual) if self.signed else residual), kind="stable")
        return selected | set(order[: max(NEAREST, 2 * len(selected))].tolist())


class _Screening:
    """A block to which classes are added while their columns fit into it."""

    def __init__(self) -> None:
        self.classes: list[int] = []
        self.columns: set[int] = set()
        self.screened: dict[tuple[int, int], set[int]] = {}

    def add(self, j: int, columns: set[int], screened: dict[tuple[int, int], set[int]]) -> None:
        self.classes.append(j)
        self.columns |= columns
        self.screened |= screened

    def finish(self) -> ClassBlock:
        columns = np.array(sorted(self.columns))
        indices = {key: np.searchsorted(columns, sorted(subset)) for key, subset in self.screened.items()}
        return ClassBlock(self.classes, columns, indices)


def is_truncated(path: Sequence[Knot]) -> bool:
    """Whether a path of ``truncated_paths`` ends before the least squares solution."""
    return len(path) == KNOTS and path[-1].lam > 0
