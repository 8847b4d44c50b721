"""What the mu-Lasso needs of a table: means and second moments of its rows, which merge, keyed by shard.

Second moments are about the means, so that nothing cancels where a column hardly varies; every form of the problem,
with a constant term or without, follows from them, see ``scaling``.

Reference:
    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", COMPSTAT 1982.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from vebi.errors import UsageError

#: Columns of G that are added to at a time.
BLOCK_COLUMNS = 1024
#: Rows of a part that are collected before they are added: G is large, and to add to it costs the same for few rows.
BUFFER_ROWS = 256


@dataclass(frozen=True, eq=False)
class Moments:
    """Means and second moments of the rows of descriptors X (n x p) and targets L (n x c), all float64.

    Attributes:
        gram: (X - m)'(X - m), p x p, with m the means.
        b: (X - m)'(L - k), p x c, with k the means of the targets.
        label_energy: The diagonal of (L - k)'(L - k), c.
        means: m, p.
        label_means: k, c: for one-hot targets the share of the rows of every class.
        rows: n.
        shards: Names of the shards that the rows are from; none is counted twice.

    Example:
        >>> x, labels = np.array([[1.0, 0.0], [3.0, 2.0]]), np.eye(2)
        >>> moments = vebi.lasso.accumulate([("shard-0", x, labels)], features=2, classes=2)
        >>> moments.means.tolist(), moments.gram.tolist(), moments.rows
        ([2.0, 1.0], [[2.0, 2.0], [2.0, 2.0]], 2)
    """

    gram: Float[np.ndarray, "p p"]
    b: Float[np.ndarray, "p c"]
    label_energy: Float[np.ndarray, " c"]
    means: Float[np.ndarray, " p"]
    label_means: Float[np.ndarray, " c"]
    rows: int
    shards: frozenset[str]


@dataclass(eq=False)
class Accumulator:
    """Moments that rows are added to; of G only the blocks on and above the diagonal, until they are finished."""

    gram: np.ndarray
    b: np.ndarray
    label_energy: np.ndarray
    means: np.ndarray
    label_means: np.ndarray
    rows: int = 0
    shards: set[str] = field(default_factory=set)

    @classmethod
    def zeros(cls, features: int, classes: int) -> "Accumulator":
        """Moments of no rows."""
        return cls(
            gram=np.zeros((features, features)),
            b=np.zeros((features, classes)),
            label_energy=np.zeros(classes),
            means=np.zeros(features),
            label_means=np.zeros(classes),
        )

    def add(self, name: str, x: np.ndarray, targets: np.ndarray) -> None:
        """Adds the float64 rows ``x`` (n x p) and targets (n x c) of the shard ``name``."""
        self.shards.add(name)
        if not len(x):
            return
        means, label_means = x.mean(axis=0), targets.mean(axis=0)
        # one more row holds the distance of the means: so what is added is one product
        x, targets = np.vstack([x - means, np.zeros_like(means)]), np.vstack([targets - label_means, 0 * label_means])
        x[-1], targets[-1] = self._join_means(len(x) - 1, means, label_means)
        # block by block: LAPACK's symmetric update ends in a segmentation fault on large G (OpenBLAS, 16,000 features)
        for start, stop in _blocks(len(self.gram)):
            self.gram[start:stop, start:] += x[:, start:stop].T @ x[:, start:]
        self.b += x.T @ targets
        self.label_energy += np.square(targets).sum(axis=0)

    def merge(self, moments: Moments) -> None:
        """Adds finished moments, after which these are finished, too."""
        self.shards |= moments.shards
        if not moments.rows:
            return
        x, targets = self._join_means(moments.rows, moments.means, moments.label_means)
        for start, stop in _blocks(len(self.gram)):
            self.gram[start:stop] += moments.gram[start:stop] + x[start:stop, None] * x
        self.b += moments.b + x[:, None] * targets
        self.label_energy += moments.label_energy + np.square(targets)

    def _join_means(self, rows: int, means: np.ndarray, label_means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Takes the means of more rows; returns what the distance of the two means adds, as one row and its targets."""
        total = self.rows + rows
        away, label_away = means - self.means, label_means - self.label_means
        weight = np.sqrt(self.rows * rows / total)
        self.means = self.means + away * (rows / total)
        self.label_means = self.label_means + label_away * (rows / total)
        self.rows = total
        return weight * away, weight * label_away

    def mirror(self) -> None:
        """Fills G below the diagonal."""
        for start, stop in _blocks(len(self.gram)):
            self.gram[stop:, start:stop] = self.gram[start:stop, stop:].T
            block = self.gram[start:stop, start:stop]
            block[:] = np.triu(block) + np.triu(block, 1).T  # the same number on both sides, to the last digit

    def to_moments(self) -> Moments:
        """The same arrays, as moments that are finished."""
        return Moments(
            self.gram, self.b, self.label_energy, self.means, self.label_means, self.rows, frozenset(self.shards)
        )


class BufferedAccumulator:
    """Moments that collect ``BUFFER_ROWS`` rows before they add them."""

    def __init__(self, name: str, features: int, classes: int) -> None:
        self._name = name
        self._moments = Accumulator.zeros(features, classes)
        self._buffer: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, x: np.ndarray, targets: np.ndarray) -> None:
        """Takes rows ``x`` (n x p) and targets (n x c)."""
        self._buffer.append((x, targets))
        if sum(len(rows) for rows, _ in self._buffer) >= BUFFER_ROWS:
            self._flush()

    def finish(self) -> Moments:
        """The moments of all rows that were added."""
        if self._buffer:
            self._flush()
        self._moments.mirror()
        return self._moments.to_moments()

    def _flush(self) -> None:
        x, targets = (np.concatenate(column).astype(np.float64) for column in zip(*self._buffer, strict=True))
        self._moments.add(self._name, x, targets)
        self._buffer = []


def _blocks(features: int) -> Iterator[tuple[int, int]]:
    for start in range(0, features, BLOCK_COLUMNS):
        yield start, min(features, start + BLOCK_COLUMNS)


def accumulate(
    shards: Iterable[tuple[str, Float[np.ndarray, "_ p"], Float[np.ndarray, "_ c"]]], features: int, classes: int
) -> Moments:
    """The moments of shards, one after the other, in the memory of one G.

    Args:
        shards: (name, descriptors n x p, targets n x c) of every shard.
        features: p.
        classes: c.

    Returns:
        The moments, float64.

    Raises:
        UsageError: A name is given twice; a shard must not be counted twice.

    Reference:
        Chan, Golub and LeVeque 1982, equations 2.1.

    Example:
        >>> x, labels = np.array([[1.0, 0.0], [0.0, 2.0]]), np.eye(2)
        >>> vebi.lasso.accumulate([("shard-0", x, labels)], features=2, classes=2).gram.tolist()
        [[0.5, -1.0], [-1.0, 2.0]]
    """
    moments = Accumulator.zeros(features, classes)
    for name, descriptors, labels in shards:
        _refuse(moments.shards & {name})
        moments.add(name, np.asarray(descriptors, np.float64), np.asarray(labels, np.float64))
    moments.mirror()
    return moments.to_moments()


def accumulate_parts(
    shards: Iterable[tuple[str, Float[np.ndarray, "_ p"], Float[np.ndarray, "_ c"], Int[np.ndarray, " _"]]],
    features: int,
    classes: int,
    parts: int,
) -> list[Moments]:
    """The moments of every part of a table, in one pass over its shards.

    Args:
        shards: (name, descriptors n x p, targets n x c, part of every row) of every shard.
        features: p.
        classes: c.
        parts: Number of parts; those of the rows are 0 to parts - 1.

    Returns:
        One per part, whose only shard is the part; merged they are the moments of the table.

    Raises:
        UsageError: A name is given twice.
    """
    moments = [BufferedAccumulator(f"part {part}", features, classes) for part in range(parts)]
    seen: set[str] = set()
    for name, descriptors, labels, part_of_row in shards:
        _refuse(seen & {name})
        seen.add(name)
        for part in np.unique(part_of_row).tolist():
            in_part = part_of_row == part
            moments[part].add(descriptors[in_part], labels[in_part])
    return [part.finish() for part in moments]


def merge(parts: Sequence[Moments]) -> Moments:
    """The moments of several tables over the same features and classes, as if they were one.

    Args:
        parts: The moments of the tables, at least one.

    Returns:
        Their moments.

    Raises:
        UsageError: A shard is in two of them, or features or classes differ.

    Example:
        >>> one, two = (vebi.lasso.accumulate([(name, np.eye(2), np.eye(2))], 2, 2) for name in ("one", "two"))
        >>> sorted(vebi.lasso.merge([one, two]).shards)
        ['one', 'two']
    """
    if not parts or any(part.b.shape != parts[0].b.shape for part in parts):
        shapes = sorted({part.b.shape for part in parts})
        raise UsageError(f"moments of (features, classes) {shapes} cannot be merged: give those of one kind of table")
    total = Accumulator.zeros(*parts[0].b.shape)
    for part in parts:
        _refuse(total.shards & part.shards)
        total.merge(part)
    return total.to_moments()


def _refuse(twice: set[str] | frozenset[str]) -> None:
    if twice:
        raise UsageError(f"the shard {min(twice)!r} is given twice: give every shard once")
