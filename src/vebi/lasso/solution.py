"""The mu-Lasso solved for one class or for all, each solution with its certificate.

For one class with targets l and descriptors X (images x features)::

    minimise 1/2 ||X w - l||^2   subject to   ||w||_1 <= mu   (and w >= 0 unless signed)

Only G = X'X, b = X'l and e = l'l are needed. The exact path is followed up to mu and no further: nothing iterates
towards anything.

Reference:
    Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, eq. 1.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vebi.errors import UsageError
from vebi.lasso.certificate import certify, check_mu
from vebi.lasso.path import last_knot
from vebi.lasso.polish import polish

#: What the path leaves above this relative gap is polished.
POLISHED = 1e-11
#: From as many features on, classes are solved in parallel: below, threads wait for each other more than they work.
PARALLEL = 8_192


@dataclass(frozen=True, eq=False)
class Solution:
    """The weights of one class with their certificate.

    Attributes:
        weights: w, p.
        gap: Relative duality gap, see ``Certificate``.
        violation: Relative violation of the optimality conditions, see ``Certificate``.
        complete: Whether ||w||_1 reaches mu. Where it does not and the gap is small, the weights are the least squares
            solution, the end of the path.
        knots: Number of points on the path at which a feature entered or left.

    Example:
        >>> solution = vebi.lasso.solve(np.eye(3), np.array([3.0, 2.0, -1.0]), e=20.0, mu=2.0)
        >>> solution.complete, solution.gap < vebi.lasso.TOLERANCE
        (True, True)
    """

    weights: Float[np.ndarray, " p"]
    gap: float
    violation: float
    complete: bool
    knots: int


def solve(
    gram: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"], e: float, mu: float, *, signed: bool = False
) -> Solution:
    """The mu-Lasso solution of one class.

    Args:
        gram: G = X'X, p x p, float64.
        b: X'l, p, float64.
        e: l'l, for a one-hot class its number of images.
        mu: Bound on ||w||_1, above 0.
        signed: Whether weights may be below 0.

    Returns:
        The weights with their certificate.

    Raises:
        UsageError: mu is not a number above 0, or G, b or e hold NaN or infinity.

    Reference:
        Oramas, Wang and Tuytelaars, ICLR 2019, eq. 1.

    Example:
        >>> solution = vebi.lasso.solve(np.eye(3), np.array([3.0, 2.0, -1.0]), e=20.0, mu=2.0)
        >>> solution.weights.round(6).tolist()
        [1.5, 0.5, 0.0]
    """
    mu = check_mu(mu)
    if e == 0:
        return Solution(np.zeros(len(b)), 0.0, 0.0, True, 0)
    knots, last = last_knot(gram, b, mu, signed=signed)
    w = np.zeros(len(b))
    w[last.columns] = last.weights
    w = _feasible(w, mu, signed)
    certificate = certify(w, gram, b, e, mu, signed=signed)
    if not np.isfinite(certificate.gap):
        raise UsageError("G, b or e hold NaN or infinity: make them from finite descriptors and targets")
    if certificate.gap > POLISHED:
        polished = _feasible(polish(w, gram, b, mu, signed=signed), mu, signed)
        better = certify(polished, gram, b, e, mu, signed=signed)
        if better.gap < certificate.gap:
            w, certificate = polished, better
    complete = float(np.abs(w).sum()) >= mu * (1 - 1e-12)
    return Solution(w, certificate.gap, certificate.violation, complete, knots)


def solve_all(
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, "p c"],
    e: Float[np.ndarray, " c"],
    mu: float | Sequence[float] | Float[np.ndarray, " c"],
    *,
    signed: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Solution]:
    """The mu-Lasso solutions of all classes, in parallel over the cores where there are many features.

    Args:
        gram: G = X'X, p x p, float64.
        b: X'L, p x c, float64, one column per class.
        e: The diagonal of L'L, c, float64.
        mu: Bound on ||w||_1 of every class, above 0: one for all or one for each.
        signed: Whether weights may be below 0.
        progress: Called with (classes done, classes).

    Returns:
        One solution per class, in the order of the columns of ``b``.

    Raises:
        UsageError: mu is not a number above 0, or G, b or e hold NaN or infinity.

    Reference:
        Oramas, Wang and Tuytelaars, ICLR 2019, eq. 1.

    Example:
        >>> b = np.array([[3.0, 0.0], [2.0, 1.0]])
        >>> solutions = vebi.lasso.solve_all(np.eye(2), b, np.array([20.0, 5.0]), mu=1.0)
        >>> [solution.weights.round(6).tolist() for solution in solutions]
        [[1.0, 0.0], [0.0, 1.0]]
    """
    count = b.shape[1]
    mus = [check_mu(bound) for bound in np.broadcast_to(np.asarray(mu), count)]

    def solve_class(j: int) -> Solution:
        return solve(gram, b[:, j].copy(), float(e[j]), mus[j], signed=signed)

    with ThreadPoolExecutor(os.cpu_count() if len(b) >= PARALLEL else 1) as pool:
        jobs = [pool.submit(solve_class, j) for j in range(count)]
        try:
            for done, _ in enumerate(as_completed(jobs), 1):
                if progress:
                    progress(done, count)
        except BaseException:  # stopped by hand: what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [job.result() for job in jobs]


def _feasible(w: Float[np.ndarray, " p"], mu: float, signed: bool) -> Float[np.ndarray, " p"]:
    """The same weights without what rounding has added beyond the constraints."""
    w = w if signed else np.maximum(w, 0)
    norm = np.abs(w).sum()
    return w * (mu / norm) if norm > mu else w
