"""What the mu-Lasso needs of a table: sums over its rows that merge, keyed by shard."""

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
class GramSums:
    """Sums over the rows of descriptors X (n x p) and targets L (n x c), all float64.

    Attributes:
        gram: G = X'X, p x p.
        b: X'L, p x c.
        label_energy: The diagonal of L'L, c: for one-hot targets the number of rows of every class.
        column_sums: X'1, p.
        rows: n.
        shards: Names of the shards that the rows are from; none is counted twice.

    Example:
        >>> sums = vebi.lasso.accumulate([("shard-0", np.ones((3, 2)), np.ones((3, 1)))], features=2, classes=1)
        >>> sums.column_sums.tolist(), sums.rows
        ([3.0, 3.0], 3)
    """

    gram: Float[np.ndarray, "p p"]
    b: Float[np.ndarray, "p c"]
    label_energy: Float[np.ndarray, " c"]
    column_sums: Float[np.ndarray, " p"]
    rows: int
    shards: frozenset[str]


@dataclass(eq=False)
class Accumulator:
    """Sums that rows are added to; of G only the blocks on and above the diagonal, until they are finished."""

    gram: np.ndarray
    b: np.ndarray
    label_energy: np.ndarray
    column_sums: np.ndarray
    rows: int = 0
    shards: set[str] = field(default_factory=set)

    @classmethod
    def zeros(cls, features: int, classes: int) -> "Accumulator":
        """Sums over no rows."""
        return cls(
            gram=np.zeros((features, features)),
            b=np.zeros((features, classes)),
            label_energy=np.zeros(classes),
            column_sums=np.zeros(features),
        )

    def add(self, name: str, x: np.ndarray, targets: np.ndarray) -> None:
        """Adds the float64 rows ``x`` (n x p) and targets (n x c) of the shard ``name``."""
        # block by block: LAPACK's symmetric update ends in a segmentation fault on large G (OpenBLAS, 16,000 features)
        for start, stop in _blocks(len(self.gram)):
            self.gram[start:stop, start:] += x[:, start:stop].T @ x[:, start:]
        self.b += x.T @ targets
        self.label_energy += np.square(targets).sum(axis=0)
        self.column_sums += x.sum(axis=0)
        self.rows += len(x)
        self.shards.add(name)

    def merge(self, sums: GramSums) -> None:
        """Adds finished sums, after which these are finished, too."""
        self.gram += sums.gram
        self.b += sums.b
        self.label_energy += sums.label_energy
        self.column_sums += sums.column_sums
        self.rows += sums.rows
        self.shards |= sums.shards

    def mirror(self) -> None:
        """Fills G below the diagonal."""
        for start, stop in _blocks(len(self.gram)):
            self.gram[stop:, start:stop] = self.gram[start:stop, stop:].T
            block = self.gram[start:stop, start:stop]
            block[:] = np.triu(block) + np.triu(block, 1).T  # the same number on both sides, to the last digit

    def to_sums(self) -> GramSums:
        """The same arrays, as sums that are finished."""
        return GramSums(self.gram, self.b, self.label_energy, self.column_sums, self.rows, frozenset(self.shards))


class BufferedAccumulator:
    """Sums that collect ``BUFFER_ROWS`` rows before they add them."""

    def __init__(self, name: str, features: int, classes: int) -> None:
        self._name = name
        self._sums = Accumulator.zeros(features, classes)
        self._buffer: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, x: np.ndarray, targets: np.ndarray) -> None:
        """Takes rows ``x`` (n x p) and targets (n x c)."""
        self._buffer.append((x, targets))
        if sum(len(rows) for rows, _ in self._buffer) >= BUFFER_ROWS:
            self._flush()

    def finish(self) -> GramSums:
        """The sums over all rows that were added."""
        if self._buffer:
            self._flush()
        self._sums.mirror()
        return self._sums.to_sums()

    def _flush(self) -> None:
        x, targets = (np.concatenate(column).astype(np.float64) for column in zip(*self._buffer, strict=True))
        self._sums.add(self._name, x, targets)
        self._buffer = []


def _blocks(features: int) -> Iterator[tuple[int, int]]:
    for start in range(0, features, BLOCK_COLUMNS):
        yield start, min(features, start + BLOCK_COLUMNS)


def accumulate(
    shards: Iterable[tuple[str, Float[np.ndarray, "n p"], Float[np.ndarray, "n c"]]], features: int, classes: int
) -> GramSums:
    """The sums over shards, one after the other, in the memory of one G.

    Args:
        shards: (name, descriptors n x p, targets n x c) of every shard.
        features: p.
        classes: c.

    Returns:
        The sums, float64.

    Raises:
        UsageError: A name is given twice; a shard must not be counted twice.

    Example:
        >>> x, labels = np.array([[1.0, 0.0], [0.0, 2.0]]), np.eye(2)
        >>> vebi.lasso.accumulate([("shard-0", x, labels)], features=2, classes=2).gram.tolist()
        [[1.0, 0.0], [0.0, 4.0]]
    """
    sums = Accumulator.zeros(features, classes)
    for name, descriptors, labels in shards:
        _refuse(sums.shards & {name})
        sums.add(name, np.asarray(descriptors, np.float64), np.asarray(labels, np.float64))
    sums.mirror()
    return sums.to_sums()


def accumulate_parts(
    shards: Iterable[tuple[str, Float[np.ndarray, "n p"], Float[np.ndarray, "n c"], Int[np.ndarray, " n"]]],
    features: int,
    classes: int,
    parts: int,
) -> list[GramSums]:
    """The sums of every part of a table, in one pass over its shards.

    Args:
        shards: (name, descriptors n x p, targets n x c, part of every row) of every shard.
        features: p.
        classes: c.
        parts: Number of parts; those of the rows are 0 to parts - 1.

    Returns:
        One per part, whose only shard is the part; merged they are the sums of the table.

    Raises:
        UsageError: A name is given twice.
    """
    sums = [BufferedAccumulator(f"part {part}", features, classes) for part in range(parts)]
    seen: set[str] = set()
    for name, descriptors, labels, part_of_row in shards:
        _refuse(seen & {name})
        seen.add(name)
        for part in np.unique(part_of_row).tolist():
            in_part = part_of_row == part
            sums[part].add(descriptors[in_part], labels[in_part])
    return [part.finish() for part in sums]


def merge(parts: Sequence[GramSums]) -> GramSums:
    """The sums of several tables over the same features and classes, as if they were one.

    Args:
        parts: The sums of the tables, at least one.

    Returns:
        Their sums.

    Raises:
        UsageError: A shard is in two of them, or features or classes differ.

    Example:
        >>> one, two = (vebi.lasso.accumulate([(name, np.eye(2), np.eye(2))], 2, 2) for name in ("one", "two"))
        >>> sorted(vebi.lasso.merge([one, two]).shards)
        ['one', 'two']
    """
    if not parts or any(part.b.shape != parts[0].b.shape for part in parts):
        shapes = sorted({part.b.shape for part in parts})
        raise UsageError(f"sums of (features, classes) {shapes} cannot be merged: give sums of one kind of table")
    total = Accumulator.zeros(*parts[0].b.shape)
    for part in parts:
        _refuse(total.shards & part.shards)
        total.merge(part)
    return total.to_sums()


def _refuse(twice: set[str] | frozenset[str]) -> None:
    if twice:
        raise UsageError(f"the shard {min(twice)!r} is given twice: give every shard once")
