"""A table dealt into parts, and the features that are considered where there are too many for all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from vebi.activations.table import DescriptorTable
from vebi.lasso.cross_validation import deal
from vebi.lasso.gram import Sums
from vebi.lasso.path import Knot, trace

PARTS, FOLDS = 20, 5
#: A path is followed over so many knots at most, beyond which a class has more features than anybody looks at.
KNOTS = 200
#: Features considered at a time when parts are solved; of more those that are nearest to being selected.
CONSIDERED, NEAREST = 2048, 256


@dataclass(frozen=True)
class Group:
    """Classes and the ``columns`` that are considered for them; of the fold and class in ``screened`` only those at the
    places given there, which were found without the labels of the fold."""

    classes: list[int]
    columns: Int[np.ndarray, " k"] = field(repr=False)
    screened: dict[tuple[int, int], Int[np.ndarray, " s"]] = field(repr=False)


class Split:
    """A table and its ``sums`` over ``labels`` (``predictions`` or ``labels``), dealt into parts."""

    def __init__(self, table: DescriptorTable, sums: Sums, labels: str, *, signed: bool = False):
        self.table, self.sums, self.labels, self.signed = table, sums, labels, signed
        self.classes, self.features = len(sums.e), len(sums.gram)
        given = table.column(labels)
        self.of = deal(given, min(PARTS, len(given)))
        self.parts = int(self.of.max(initial=-1)) + 1
        self._held: tuple[Group | None, list[Sums]] = (None, [])

    def trace(self, j: int, mu: float = np.inf, most: int | None = None) -> list[Knot]:
        """The path of a class over the whole table."""
        return trace(self.sums.gram, self.sums.b[:, j], mu, signed=self.signed, most=most)

    @cached_property
    def beginnings(self) -> list[list[Knot]]:
        """The path of every class as far as ``KNOTS``."""
        return [self.trace(j, most=KNOTS) for j in range(self.classes)]

    def groups(self) -> Iterator[tuple[Group, list[Sums]]]:
        """Groups of classes, each with the sums of every part over its columns."""
        for group in self._groups:
            if self._held[0] is not group:
                self._held = (None, [])  # before the next ones are made: they are large
                parts = self.table.part_sums(self.of, group.columns, group.classes, self.labels)
                self._held = (group, parts)
            yield group, self._held[1]

    @cached_property
    def _groups(self) -> list[Group]:
        if self.features <= CONSIDERED:
            return [Group(list(range(self.classes)), np.arange(self.features), {})]
        whole, of_folds = self.sums.b.T, self.table.label_sums(self.of % FOLDS, FOLDS, self.classes, self.labels)
        found: list[tuple[list[int], set[int], dict[tuple[int, int], set[int]]]] = []
        for j in range(self.classes):
            # the path that a fold's rest would have with the G of all: what was held out must not have a say in what is
            # considered, and only labels could
            own = {(f, j): self._nearest((whole[j] - of_folds[f, j]) * FOLDS / (FOLDS - 1)) for f in range(FOLDS)}
            columns = self._nearest(whole[j]).union(*own.values())
            if not found or len(found[-1][1] | columns) > CONSIDERED:
                found.append(([], set(), {}))
            found[-1][0].append(j)
            found[-1][1].update(columns)
            found[-1][2].update(own)
        return [
            Group(
                classes,
                (held := np.array(sorted(columns))),
                {k: np.searchsorted(held, sorted(v)) for k, v in own.items()},
            )
            for classes, columns, own in found
        ]

    def _nearest(self, b: Float[np.ndarray, " p"]) -> set[int]:
        """The columns that a path with these sums selects anywhere, and those that are nearest to it where it ends."""
        path = trace(self.sums.gram, b, signed=self.signed, most=KNOTS)
        selected = {int(column) for knot in path for column in knot.columns}
        left = b - path[-1].weights @ self.sums.gram[path[-1].columns]
        order = np.argsort(-(np.abs(left) if self.signed else left), kind="stable")
        return selected | set(order[: max(NEAREST, 2 * len(selected))].tolist())


def goes_on(path: Sequence[Knot]) -> bool:
    """Whether a beginning is not the whole path."""
    return len(path) == KNOTS and path[-1].penalty > 0
