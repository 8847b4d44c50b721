"""Where positions see along one axis: how it is told from what some of them see, and put together layer by layer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

#: A way whose field moves by less than this share of that of another one, from position to position, stands still.
MOVES = 0.1
#: Of fewer positions a single pixel can be what is left of a kernel with holes.
FEW = 64


class Axis(NamedTuple):
    """What positions see along one axis: those from ``start + jump * j`` on, ``size`` of them."""

    start: float
    jump: float
    size: float

    def through(self, other: "Axis") -> "Axis":
        """What is seen through what these positions are of, which see by ``other``."""
        return Axis(
            other.start + self.start * other.jump, self.jump * other.jump, other.size + (self.size - 1) * other.jump
        )

    def clip(self, pixels: int) -> "Axis":
        """The middle of a field that is larger than the image."""
        return Axis(self.start + max(0.0, self.size - pixels) / 2, self.jump, min(self.size, pixels))


def from_inside(reached: Bool[np.ndarray, "2 pixels"], positions: tuple[int, int]) -> Axis | None:
    """Start, jump and size along one axis, from what two positions see; None where that reaches an edge."""
    first, second = positions
    if first == second or reached[:, [0, -1]].any() or not reached.any(axis=1).all():
        return None
    (one_start, one_end), (other_start, other_end) = map(_extent, reached)
    jump = (other_start - one_start) / (second - first)
    return Axis(one_start - jump * first, jump, float(max(one_end - one_start, other_end - other_start) + 1))


def may_be_cut(reached: Bool[np.ndarray, "2 pixels"], positions: int) -> bool:
    """Whether a part of what positions see can lie beyond an edge that they do not reach: a kernel can have holes."""
    extents = [_extent(row) for row in reached]
    have_holes = any(row.sum() < end - start + 1 for row, (start, end) in zip(reached, extents, strict=True))
    return have_holes or (positions < FEW and any(start == end for start, end in extents))


def _extent(pixels: Bool[np.ndarray, " pixels"]) -> tuple[int, int]:
    """The first and the last True."""
    places = np.flatnonzero(pixels)
    return int(places[0]), int(places[-1])


def from_ends(reached: Bool[np.ndarray, "4 pixels"], positions: int) -> Axis:
    """Start, jump and size along one axis, from what the first two and the last two positions reach."""
    pixels = reached.shape[1]
    if positions > 1 and reached.any(axis=1).all():  # some see only padding
        first_end, second_end = (_extent(row)[1] for row in reached[:2])
        before_start, last_start = (_extent(row)[0] for row in reached[2:])
        known = second_end < pixels - 1 or before_start > 0
        if positions > pixels:  # enlarged: positions next to each other see the same
            return _even(_extent(reached[0]), _extent(reached[3]), positions)
        if first_end < pixels - 1 and last_start > 0 and known:
            jump = second_end - first_end if second_end < pixels - 1 else last_start - before_start
            size = first_end - last_start + jump * (positions - 1) + 1
            if size > 0:
                return Axis(float(first_end - size + 1), float(jump), float(size))
            return _even(_extent(reached[0]), _extent(reached[3]), positions)
    start, end = _extent(np.asarray(reached.any(axis=0)))  # wider than can be told
    return spread(start, end - start + 1, positions)


def _even(first: tuple[int, int], last: tuple[int, int], positions: int) -> Axis:
    """Positions that lie evenly between the first and the last one, by the first and last pixels that these see."""
    size = max(end - start + 1 for start, end in (first, last))
    jump = (sum(last) - sum(first)) / 2 / (positions - 1)
    return Axis((sum(first) + 1 - size) / 2, jump, float(size))


def spread(start: int, size: int, positions: int) -> Axis:
    """Positions that lie evenly over all that any of them sees, and each see all of it."""
    jump = size / positions if positions > 1 else 0.0
    return Axis(start + (jump - size) / 2 if positions > 1 else float(start), jump, float(size))


def join(ways: Sequence[Axis], positions: int, pixels: int) -> Axis:
    """What is seen by one way or another; of all of the image, where the ends see nothing of it.

    A way that sees the same from every position, such as that of a gate, moves no field: it makes it larger.
    """
    if not ways:
        return spread(0, pixels, positions)
    local = [way for way in ways if way.jump > MOVES * max(way.jump for way in ways)] or ways
    first, last = (
        (min(way.start + way.jump * j for way in local), max(way.start + way.jump * j + way.size for way in local))
        for j in (0, positions - 1)
    )
    size, largest = max(end - start for start, end in (first, last)), max(way.size for way in ways)
    jump = (sum(last) - sum(first)) / 2 / (positions - 1) if positions > 1 else 0.0
    return Axis(sum(first) / 2 - max(size, largest) / 2, jump, max(size, largest))
