"""The exact regularisation path of the mu-Lasso, followed knot by knot from w = 0.

For ``minimise 1/2 w'Gw - b'w`` under ``||w||_1 <= mu`` (and w >= 0 unless signed) the solutions for all mu lie on one
piecewise linear path. With c = b - Gw, lambda = max |c| (max c where w >= 0) and the active columns A of signs s, c_A =
lambda s along a segment, and w_A moves along G_AA^-1 s: until a column reaches lambda and enters, or a weight reaches
0 and its column leaves (homotopy: Osborne, Presnell and Turlach 2000; Efron et al., "Least angle regression", 2004).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg.lapack import dpotrs, dtrtrs  # the bare routines: their wrappers take longer than small systems

#: A column whose part outside the span of the active ones is smaller than this share of it says nothing new.
DEPENDENT = 1e-15
#: A column that lambda comes nearer to more slowly than this is not reached: it moves along with the active ones.
CLOSE = 1e-12
#: What is left of lambda below this share of where it began is rounding, in which columns enter and leave without end
#: where there are fewer samples than features: the path has ended.
ENDED = 1e-12
#: A path with more knots than this many per feature goes in circles among columns that depend on each other.
CIRCLES = 50


@dataclass(frozen=True)
class Knot:
    """A point of the path: the active ``columns`` in the order in which they entered, their ``weights``, the
    multiplier ``penalty`` (lambda) of the l1 norm, and ``norm`` = ||w||_1."""

    columns: Int[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    penalty: float
    norm: float


class _Factor:
    """Cholesky factor of G_AA, lower triangular, kept in one growing array while columns come and go."""

    def __init__(self):
        self._held = np.zeros((16, 16))
        self.size = 0

    def _lower(self) -> np.ndarray:
        return self._held[: self.size, : self.size]

    def append(self, cross: np.ndarray, square: float) -> bool:
        """Takes a column with products ``cross`` with the others and ``square`` with itself; False where it depends on
        them and is not taken."""
        row = dtrtrs(self._lower(), cross, lower=1)[0] if self.size else cross
        rest = square - row @ row
        if not rest > DEPENDENT * square:
            return False
        if self.size == len(self._held):
            larger = np.zeros((2 * self.size,) * 2)
            larger[: self.size, : self.size] = self._held
            self._held = larger
        self._held[self.size, : self.size] = row
        self._held[self.size, self.size] = np.sqrt(rest)
        self.size += 1
        return True

    def remove(self, place: int) -> None:
        """Forgets a column: the rows below it move up, and rotations make them triangular again."""
        low = np.delete(self._lower(), place, axis=0)
        for k in range(place, self.size - 1):
            a, b = low[k, k], low[k, k + 1]
            length = np.hypot(a, b)
            rotation = np.array([[a, -b], [b, a]]) / length
            low[k:, k : k + 2] = low[k:, k : k + 2] @ rotation
        self.size -= 1
        self._held[: self.size, : self.size] = np.tril(low[:, : self.size])

    def solve(self, right: np.ndarray) -> np.ndarray:
        return dpotrs(self._lower(), right, lower=1)[0]


class _Active:
    """The active columns in the order in which they entered, with signs, weights, their rows of G and the factor."""

    def __init__(self, gram: np.ndarray):
        self._gram, self._held, self._factor = gram, np.zeros((16, len(gram))), _Factor()
        self.columns: list[int] = []
        self.signs, self.weights = np.zeros(0), np.zeros(0)

    def add(self, column: int, sign: float) -> bool:
        """False where the column depends on the others and is not taken."""
        row, k = self._gram[column], len(self.columns)
        if not self._factor.append(row[self.columns], float(row[column])):
            return False
        if k == len(self._held):
            self._held = np.concatenate([self._held, np.zeros_like(self._held)])
        self._held[k] = row
        self.columns.append(column)
        self.signs, self.weights = np.append(self.signs, sign), np.append(self.weights, 0.0)
        return True

    def remove(self, place: int) -> int:
        """The column that was there."""
        self._factor.remove(place)
        self._held[place : len(self.columns) - 1] = self._held[place + 1 : len(self.columns)]
        self.signs, self.weights = np.delete(self.signs, place), np.delete(self.weights, place)
        return self.columns.pop(place)

    def direction(self) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " p"]]:
        """How fast weights grow and c falls while lambda falls by 1."""
        grow = self._factor.solve(self.signs)
        return grow, grow @ self._held[: len(self.columns)]


def follow(
    gram: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"], mu: float = np.inf, *, signed: bool = False
) -> Iterator[Knot]:
    """The knots of the path from w = 0 on; the last one is where ||w||_1 = ``mu``, or the end of the path.

    Of ``gram`` only the rows of columns that become active are read. A column that depends on the active ones says
    nothing new and waits until one of them has left.
    """
    c, active, norm = np.array(b, np.float64), _Active(gram), 0.0
    entering = int(np.argmax(np.abs(c) if signed else c)) if len(c) else 0
    penalty = float(max(0.0, abs(c[entering]) if signed else c[entering])) if len(c) else 0.0
    free, waiting, ended = np.ones(len(c), bool), [], ENDED * penalty

    def knot() -> Knot:
        return Knot(np.array(active.columns, np.int64), active.weights.copy(), penalty, norm)

    yield knot()
    while penalty > 0 and norm < mu:
        if entering >= 0:
            free[entering] = False
            if not active.add(entering, 1.0 if c[entering] > 0 else -1.0):
                waiting.append(entering)
        if not active.columns:
            return
        grow, fall = active.direction()
        rate = float(active.signs @ grow)
        into, entering = _reaching(c, fall, penalty, free, signed)
        out, leaving = _vanishing(active, grow)
        step = min(into, out, penalty, (mu - norm) / rate)
        active.weights += step * grow
        c -= step * fall
        penalty, norm = penalty - step, norm + step * rate
        if penalty <= ended:
            penalty = 0.0
        if step < into:
            entering = -1
        if step == out:
            active.weights[leaving] = 0.0
        yield knot()
        if step == out and norm < mu:
            # what depended on the one that left may not depend on the others
            free[[active.remove(leaving), *waiting]] = True
            waiting, entering = [], -1


def _reaching(c: np.ndarray, fall: np.ndarray, penalty: float, free: np.ndarray, signed: bool) -> tuple[float, int]:
    """How far lambda can fall until a free column reaches it, and which; infinity and -1 where none does."""
    steps = np.full(len(c), np.inf)
    for sign in (1.0, -1.0) if signed else (1.0,):
        approach = 1 - sign * fall  # lambda comes nearer to it at this speed
        near = free & (approach > CLOSE)
        steps[near] = np.minimum(steps[near], np.maximum(penalty - sign * c[near], 0) / approach[near])
    best = int(np.argmin(steps))
    return (float(steps[best]), best) if np.isfinite(steps[best]) else (np.inf, -1)


def _vanishing(active: _Active, grow: np.ndarray) -> tuple[float, int]:
    """How far lambda can fall until a weight reaches 0, and whose."""
    shrinking = active.signs * grow < 0
    steps = np.where(shrinking, -active.weights / np.where(shrinking, grow, 1), np.inf)
    place = int(np.argmin(steps))
    return float(max(0.0, steps[place])), place


def trace(
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, " p"],
    mu: float = np.inf,
    *,
    signed: bool = False,
    most: int | None = None,
) -> list[Knot]:
    """The knots of ``follow``, the first ``most`` of them where there are more."""
    return list(islice(follow(gram, b, mu, signed=signed), most or _circles(b)))


def reach(
    gram: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"], mu: float, *, signed: bool = False
) -> tuple[int, Knot]:
    """The last knot of ``follow`` alone, and how many there were before it."""
    last = deque(enumerate(islice(follow(gram, b, mu, signed=signed), _circles(b))), maxlen=1)
    return last.pop()


def _circles(b: np.ndarray) -> int:
    return CIRCLES * (len(b) + 1)


def between(knots: Sequence[Knot], mus: Float[np.ndarray, " m"], features: int) -> Float[np.ndarray, "m p"]:
    """The solutions for the bounds ``mus``, on the segments between ``knots``; beyond the last one its own."""
    found, norms = np.zeros((len(mus), features)), np.array([knot.norm for knot in knots])
    for row, mu, k in zip(found, mus, np.searchsorted(norms, mus), strict=True):
        if k == 0 or k == len(knots):
            end = knots[min(k, len(knots) - 1)]
            row[end.columns] = end.weights
            continue
        share = (mu - norms[k - 1]) / (norms[k] - norms[k - 1])
        for knot, part in ((knots[k - 1], 1 - share), (knots[k], share)):
            row[knot.columns] += part * knot.weights
    return found
