"""The mu-Lasso solved for one class or for all, each with its certificate.

For one class with labels l and descriptors X (images x features)::

    minimise 1/2 ||X w - l||^2   subject to   ||w||_1 <= mu   (and w >= 0 unless signed)

(Oramas, Wang, Tuytelaars, ICLR 2019, eq. 1.) Only G = X'X, b = X'l and e = l'l are needed. The exact path is followed
up to mu and no further: nothing iterates towards anything.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vebi.errors import UsageError
from vebi.lasso.certificate import certify, check_mu
from vebi.lasso.path import reach
from vebi.lasso.polish import polish

#: What the path leaves above this relative gap is polished.
POLISHED = 1e-11
#: From as many features on, classes are solved in parallel: below, threads wait for each other more than they work.
PARALLEL = 8_192


@dataclass(frozen=True)
class Solution:
    """The weights of one class with their certificate (see ``Certificate``).

    ``complete`` is False where ``||w||_1`` stays below mu: then, if the gap is small, the weights are the least squares
    solution, the end of the path. ``knots`` counts the points at which a feature entered or left on the way.
    """

    weights: Float[np.ndarray, " p"]
    gap: float
    violation: float
    complete: bool
    knots: int


def solve(
    gram: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"], e: float, mu: float, *, signed: bool = False
) -> Solution:
    """The mu-Lasso solution of one class, with its certificate.

    ``gram`` X'X (features x features), ``b`` X'l (features), ``e`` l'l (the number of images of a one-hot class),
    all float64. Raises UsageError for mu <= 0, and where G, b or e hold NaN or infinity.
    """
    mu = check_mu(mu)
    if e == 0:
        return Solution(np.zeros(len(b)), 0.0, 0.0, True, 0)
    knots, last = reach(gram, b, mu, signed=signed)
    w = np.zeros(len(b))
    w[last.columns] = last.weights
    w = _feasible(w, mu, signed)
    certificate = certify(w, gram, b, e, mu, signed=signed)
    if not np.isfinite(certificate.gap):
        raise UsageError("G, b or e hold NaN or infinity: make them from finite descriptors and labels")
    if certificate.gap > POLISHED:
        again = _feasible(polish(w, gram, b, mu, signed=signed), mu, signed)
        better = certify(again, gram, b, e, mu, signed=signed)
        if better.gap < certificate.gap:
            w, certificate = again, better
    complete = float(np.abs(w).sum()) >= mu * (1 - 1e-12)
    return Solution(w, certificate.gap, certificate.violation, complete, knots)


def solve_all(
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, "p c"],
    e: Float[np.ndarray, " c"],
    mu: float,
    *,
    signed: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Solution]:
    """One solution for every class (column of ``b``), in parallel over the cores where there are many features.

    ``progress`` is called with (classes done, classes).
    """
    check_mu(mu)
    count = b.shape[1]

    def one(j: int) -> Solution:
        return solve(gram, b[:, j].copy(), float(e[j]), mu, signed=signed)

    with ThreadPoolExecutor(os.cpu_count() if len(b) >= PARALLEL else 1) as pool:
        jobs = [pool.submit(one, j) for j in range(count)]
        try:
            for done, _ in enumerate(as_completed(jobs), 1):
                if progress:
                    progress(done, count)
        except BaseException:  # stopped by hand: what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [job.result() for job in jobs]


def _feasible(w: np.ndarray, mu: float, signed: bool) -> Float[np.ndarray, " p"]:
    """Without what rounding has put outside of the bounds."""
    w = w if signed else np.maximum(w, 0)
    norm = np.abs(w).sum()
    return w * (mu / norm) if norm > mu else w
