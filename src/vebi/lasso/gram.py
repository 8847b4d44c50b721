"""What the mu-Lasso needs of a table: sums over its rows that merge, keyed by shard."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from vebi.errors import UsageError

#: Columns of G that are added to at a time.
BLOCK = 1024
#: Rows of a part that are added at a time.
ROWS = 256


@dataclass(frozen=True)
class Sums:
    """G = X'X (p x p), B = X'L (p x c), e = the diagonal of L'L (c), x = X'1 (p), all float64, over the ``rows`` of
    ``shards``."""

    gram: Float[np.ndarray, "p p"]
    b: Float[np.ndarray, "p c"]
    e: Float[np.ndarray, " c"]
    x: Float[np.ndarray, " p"]
    rows: int
    shards: frozenset[str]


@dataclass
class _Growing:
    """Sums on their way; of G only the blocks on and above the diagonal."""

    gram: np.ndarray
    b: np.ndarray
    e: np.ndarray
    x: np.ndarray
    rows: int = 0
    shards: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, features: int, classes: int) -> "_Growing":
        sizes = ((features, features), (features, classes), classes, features)
        return cls(*(np.zeros(size) for size in sizes))

    def add(self, name: str, x: np.ndarray, targets: np.ndarray) -> None:
        # block by block: LAPACK's symmetric update ends in a segmentation fault on large G (OpenBLAS, 16,000 features)
        for start, stop in _blocks(len(self.gram)):
            self.gram[start:stop, start:] += x[:, start:stop].T @ x[:, start:]
        self.b += x.T @ targets
        self.e += np.square(targets).sum(axis=0)
        self.x += x.sum(axis=0)
        self.rows += len(x)
        self.shards.add(name)

    def finished(self) -> Sums:
        for start, stop in _blocks(len(self.gram)):
            self.gram[stop:, start:stop] = self.gram[start:stop, stop:].T
            block = self.gram[start:stop, start:stop]
            block[:] = np.triu(block) + np.triu(block, 1).T  # the same number on both sides, to the last digit
        return Sums(self.gram, self.b, self.e, self.x, self.rows, frozenset(self.shards))


def _blocks(features: int) -> Iterator[tuple[int, int]]:
    for start in range(0, features, BLOCK):
        yield start, min(features, start + BLOCK)


def sum_up(
    shards: Iterable[tuple[str, Float[np.ndarray, "n p"], Float[np.ndarray, "n c"]]], features: int, classes: int
) -> Sums:
    """The sums over shards (name, descriptors, labels), one after the other, in the memory of one G.

    Raises UsageError for a name that comes twice: a shard must not be counted again.
    """
    sums = _Growing.of(features, classes)
    for name, descriptors, labels in shards:
        _refuse(sums.shards & {name})
        sums.add(name, np.asarray(descriptors, np.float64), np.asarray(labels, np.float64))
    return sums.finished()


def sum_up_parts(
    shards: Iterable[tuple[str, Float[np.ndarray, "n p"], Float[np.ndarray, "n c"], Int[np.ndarray, " n"]]],
    features: int,
    classes: int,
    parts: int,
) -> list[Sums]:
    """The sums of every part of a table, in one pass over shards (name, descriptors, labels, the part of each row).

    Merged they are the sums of the table; their shards are the parts. Raises UsageError for a name that comes twice.
    """
    sums, seen = [_Growing.of(features, classes) for _ in range(parts)], set()
    waiting: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(parts)]

    def add(part: int) -> None:
        rows, targets = (np.concatenate(some).astype(np.float64) for some in zip(*waiting[part], strict=True))
        sums[part].add(f"part {part}", rows, targets)
        waiting[part] = []

    for name, descriptors, labels, of in shards:
        _refuse(seen & {name})
        seen.add(name)
        for part in np.unique(of).tolist():
            waiting[part].append((descriptors[of == part], labels[of == part]))
            if sum(len(rows) for rows, _ in waiting[part]) >= ROWS:  # G is large: few rows are not worth its while
                add(part)
    for part in range(parts):
        if waiting[part]:
            add(part)
    return [part.finished() for part in sums]


def merge(parts: Sequence[Sums]) -> Sums:
    """The sums of several tables over the same features and classes, as if they were one.

    Raises UsageError where a shard is in two of them, or where features or classes differ.
    """
    if not parts or any(part.b.shape != parts[0].b.shape for part in parts):
        shapes = sorted({part.b.shape for part in parts})
        raise UsageError(f"sums of (features, classes) {shapes} cannot be merged: give sums of one kind of table")
    total = _Growing.of(*parts[0].b.shape)
    for part in parts:
        _refuse(total.shards & part.shards)
        for name in ("gram", "b", "e", "x"):
            held = getattr(total, name)
            held += getattr(part, name)
        total.rows += part.rows
        total.shards |= part.shards
    return Sums(total.gram, total.b, total.e, total.x, total.rows, frozenset(total.shards))


def _refuse(twice: set[str] | frozenset[str]) -> None:
    if twice:
        raise UsageError(f"the shard {min(twice)!r} is given twice: give every shard once")
