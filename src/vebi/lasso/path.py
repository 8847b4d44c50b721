"""The exact regularisation path of the mu-Lasso, knot by knot from w = 0.

For ``minimise 1/2 w'Gw - b'w`` under ``||w||_1 <= mu`` (and w >= 0 unless signed) the solutions for all mu lie on one
piecewise linear path. With c = b - Gw, lambda = max |c| (max c where w >= 0) and the active columns A of signs s, c_A =
lambda s along a segment, and w_A moves along G_AA^-1 s: until a column reaches lambda and enters, or a weight reaches
0 and its column leaves.

Reference:
    Homotopy: Osborne, Presnell and Turlach, "A new approach to variable selection in least squares problems", IMA
    Journal of Numerical Analysis 20, 2000; Efron, Hastie, Johnstone and Tibshirani, "Least angle regression", Annals of
    Statistics 32, 2004.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float, Int

from vebi.lasso.active_set import ActiveSet

#: A column that lambda comes nearer to more slowly than this is not reached: it moves along with the active ones.
MIN_APPROACH = 1e-12
#: What is left of lambda below this share of where it began is rounding, in which columns enter and leave without end
#: where there are fewer samples than features: the path has ended.
END_OF_PATH = 1e-12
#: A path with more knots than this many per feature goes in circles among columns that depend on each other.
KNOTS_PER_FEATURE = 50


@dataclass(frozen=True, eq=False)
class Knot:
    """A point of the path at which a column has entered or left.

    Attributes:
        columns: The k active columns, in the order in which they entered.
        weights: Their weights.
        lam: The multiplier lambda of the l1 norm.
        norm: ||w||_1.

    Example:
        >>> knot = vebi.lasso.lasso_path(np.eye(2), np.array([3.0, 2.0]))[1]
        >>> knot.columns.tolist(), knot.weights.tolist(), knot.lam, knot.norm
        ([0], [1.0], 2.0, 1.0)
    """

    columns: Int[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    lam: float
    norm: float


def iter_knots(
    gram: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"], mu: float = np.inf, *, signed: bool = False
) -> Iterator[Knot]:
    """The knots of the path, from w = 0 to ||w||_1 = mu or the end of the path.

    A column that depends on the active ones waits until one of them has left.

    Args:
        gram: G = X'X, p x p, float64; only the rows of columns that become active are read.
        b: X'l, p, float64.
        mu: Bound on ||w||_1.
        signed: Whether weights may be below 0.

    Yields:
        The knots in the order of rising ||w||_1 and falling lambda.

    Reference:
        Osborne, Presnell and Turlach 2000; Efron et al. 2004, section 3.1 (see the module).

    Example:
        >>> [knot.norm for knot in vebi.lasso.iter_knots(np.eye(2), np.array([3.0, 2.0]))]
        [0.0, 1.0, 5.0]
    """
    c, active, norm = np.array(b, np.float64), ActiveSet(gram), 0.0
    entering = int(np.argmax(np.abs(c) if signed else c)) if len(c) else 0
    lam = float(max(0.0, abs(c[entering]) if signed else c[entering])) if len(c) else 0.0
    free, waiting, end = np.ones(len(c), bool), [], END_OF_PATH * lam

    def knot() -> Knot:
        return Knot(np.array(active.columns, np.int64), active.weights.copy(), lam, norm)

    yield knot()
    while lam > 0 and norm < mu:
        if entering >= 0:
            free[entering] = False
            if not active.add(entering, 1.0 if c[entering] > 0 else -1.0):
                waiting.append(entering)
        if not active.columns:
            return
        grow, fall = active.direction()
        rate = float(active.signs @ grow)
        to_entry, entering = _next_entering(c, fall, lam, free, signed)
        to_exit, leaving = _next_leaving(active, grow)
        step = min(to_entry, to_exit, lam, (mu - norm) / rate)
        active.weights += step * grow
        c -= step * fall
        lam, norm = lam - step, norm + step * rate
        if lam <= end:
            lam = 0.0
        if step < to_entry:
            entering = -1
        if step == to_exit:
            active.weights[leaving] = 0.0
        yield knot()
        if step == to_exit and norm < mu:
            # what depended on the one that left may not depend on the others
            free[[active.remove(leaving), *waiting]] = True
            waiting, entering = [], -1


def _next_entering(
    c: Float[np.ndarray, " p"], fall: Float[np.ndarray, " p"], lam: float, free: np.ndarray, signed: bool
) -> tuple[float, int]:
    """How far lambda can fall until a free column reaches it, and which; infinity and -1 where none does."""
    steps = np.full(len(c), np.inf)
    for sign in (1.0, -1.0) if signed else (1.0,):
        approach = 1 - sign * fall  # lambda comes nearer to it at this speed
        near = free & (approach > MIN_APPROACH)
        steps[near] = np.minimum(steps[near], np.maximum(lam - sign * c[near], 0) / approach[near])
    best = int(np.argmin(steps))
    return (float(steps[best]), best) if np.isfinite(steps[best]) else (np.inf, -1)


def _next_leaving(active: ActiveSet, grow: Float[np.ndarray, " k"]) -> tuple[float, int]:
    """How far lambda can fall until a weight reaches 0, and its index among the active ones."""
    shrinking = active.signs * grow < 0
    steps = np.where(shrinking, -active.weights / np.where(shrinking, grow, 1), np.inf)
    index = int(np.argmin(steps))
    return float(max(0.0, steps[index])), index


def lasso_path(
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, " p"],
    mu: float = np.inf,
    *,
    signed: bool = False,
    most: int | None = None,
) -> list[Knot]:
    """The knots of ``iter_knots`` as a list.

    Args:
        gram: G = X'X, p x p, float64.
        b: X'l, p, float64.
        mu: Bound on ||w||_1.
        signed: Whether weights may be below 0.
        most: Number of knots after which it stops; None for no limit that a path reaches.

    Returns:
        At least one knot, w = 0.

    Reference:
        Osborne, Presnell and Turlach 2000; Efron et al. 2004, section 3.1 (see the module).

    Example:
        >>> [knot.lam for knot in vebi.lasso.lasso_path(np.eye(2), np.array([3.0, 2.0]), most=2)]
        [3.0, 2.0]
    """
    return list(islice(iter_knots(gram, b, mu, signed=signed), most or knot_limit(b)))


def last_knot(
    gram: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"], mu: float, *, signed: bool = False
) -> tuple[int, Knot]:
    """The last knot of ``iter_knots`` alone, in the memory of one.

    Args:
        gram: G = X'X, p x p, float64.
        b: X'l, p, float64.
        mu: Bound on ||w||_1.
        signed: Whether weights may be below 0.

    Returns:
        How many knots there were before it, and the knot.
    """
    last = deque(enumerate(islice(iter_knots(gram, b, mu, signed=signed), knot_limit(b))), maxlen=1)
    return last.pop()


def knot_limit(b: Float[np.ndarray, " p"]) -> int:
    """Number of knots after which a path is taken to go in circles."""
    return KNOTS_PER_FEATURE * (len(b) + 1)


def interpolate_path(knots: Sequence[Knot], mus: Float[np.ndarray, " m"], features: int) -> Float[np.ndarray, "m p"]:
    """The solutions for several values of mu, on the segments between knots.

    Args:
        knots: A path, or its beginning.
        mus: m values of mu, the bound on ||w||_1; beyond the last knot its solution is taken.
        features: p.

    Returns:
        One w per value, m x p.
    """
    weights, norms = np.zeros((len(mus), features)), np.array([knot.norm for knot in knots])
    for w, mu, k in zip(weights, mus, np.searchsorted(norms, mus), strict=True):
        if k == 0 or k == len(knots):
            end = knots[min(k, len(knots) - 1)]
            w[end.columns] = end.weights
            continue
        share = (mu - norms[k - 1]) / (norms[k] - norms[k - 1])
        for knot, part in ((knots[k - 1], 1 - share), (knots[k], share)):
            w[knot.columns] += part * knot.weights
    return weights
