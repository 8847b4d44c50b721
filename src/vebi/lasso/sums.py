"""What the mu-Lasso needs of a table: sums over its rows that merge, keyed by shard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg.blas import dsyrk

from vebi.errors import UsageError


@dataclass(frozen=True)
class Sums:
    """G = X'X (p x p), B = X'L (p x c), e = the diagonal of L'L (c), all float64, over the ``rows`` of ``shards``."""

    gram: Float[np.ndarray, "p p"]
    b: Float[np.ndarray, "p c"]
    e: Float[np.ndarray, " c"]
    rows: int
    shards: frozenset[str]


def sum_up(
    shards: Iterable[tuple[str, Float[np.ndarray, "n p"], Float[np.ndarray, "n c"]]], features: int, classes: int
) -> Sums:
    """The sums over shards (name, descriptors, labels), one after the other, in the memory of one G.

    Raises UsageError for a name that comes twice: a shard must not be counted again.
    """
    gram = np.zeros((features, features), order="F")
    b, e, rows, seen = np.zeros((features, classes)), np.zeros(classes), 0, set()
    for name, descriptors, labels in shards:
        _refuse(seen & {name})
        x, targets = np.ascontiguousarray(descriptors, np.float64), np.asarray(labels, np.float64)
        gram = dsyrk(1.0, x.T, beta=1.0, c=gram, overwrite_c=True)  # the upper half
        b += x.T @ targets
        e += np.square(targets).sum(axis=0)
        rows += len(x)
        seen.add(name)
    for start in range(0, features, 1024):  # the lower half, block by block
        stop = min(features, start + 1024)
        block = gram[start:stop, start:stop]
        gram[start:stop, start:stop] = np.triu(block) + np.triu(block, 1).T
        gram[stop:, start:stop] = gram[start:stop, stop:].T
    return Sums(gram.T, b, e, rows, frozenset(seen))


def merge(parts: Sequence[Sums]) -> Sums:
    """The sums of several tables over the same features and classes, as if they were one.

    Raises UsageError where a shard is in two of them, or where features or classes differ.
    """
    if not parts or any(part.b.shape != parts[0].b.shape for part in parts):
        shapes = sorted({part.b.shape for part in parts})
        raise UsageError(f"sums of (features, classes) {shapes} cannot be merged: give sums of one kind of table")
    seen: set[str] = set()
    for part in parts:
        _refuse(seen & part.shards)
        seen |= part.shards
    return Sums(
        sum(part.gram for part in parts),
        sum(part.b for part in parts),
        sum(part.e for part in parts),
        sum(part.rows for part in parts),
        frozenset(seen),
    )


def _refuse(twice: set[str] | frozenset[str]) -> None:
    if twice:
        raise UsageError(f"the shard {min(twice)!r} is given twice: give every shard once")
