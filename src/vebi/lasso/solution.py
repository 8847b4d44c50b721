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
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from vebi.lasso.certificate import certify, check_mu
from vebi.lasso.path import Knot, trace

#: What the path leaves above this relative gap is solved again on its active columns.
POLISHED = 1e-11
#: From as many features on, classes are solved in parallel: below, threads wait for each other more than they work.
PARALLEL = 8_192


@dataclass(frozen=True)
class Solution:
    """The weights of one class with their certificate (see ``Certificate``).

    ``complete`` is False where the path ended before ``||w||_1`` reached mu: then the weights are those of its end,
    the least squares solution. ``knots`` counts the points at which a feature entered or left on the way.
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
    all float64. Raises UsageError for mu <= 0.
    """
    mu = check_mu(mu)
    if e == 0:
        return Solution(np.zeros(len(b)), 0.0, 0.0, True, 0)
    *path, last = trace(gram, b, mu, signed=signed)
    w = _feasible(_spread(last, len(b)), mu, signed)
    certificate = certify(w, gram, b, e, mu, signed=signed)
    if certificate.gap > POLISHED:
        again = _feasible(_polished(gram, b, mu, last), mu, signed)
        better = certify(again, gram, b, e, mu, signed=signed)
        if better.gap < certificate.gap:
            w, certificate = again, better
    return Solution(w, certificate.gap, certificate.violation, last.norm >= mu * (1 - 1e-12), len(path))


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
    with ThreadPoolExecutor(os.cpu_count() if len(b) >= PARALLEL else 1) as pool:
        jobs = [pool.submit(solve, gram, b[:, j].copy(), float(e[j]), mu, signed=signed) for j in range(count)]
        for done, _ in enumerate(as_completed(jobs), 1):
            if progress:
                progress(done, count)
    return [job.result() for job in jobs]


def _spread(knot: Knot, p: int) -> Float[np.ndarray, " p"]:
    w = np.zeros(p)
    w[knot.columns] = knot.weights
    return w


def _polished(gram: np.ndarray, b: np.ndarray, mu: float, knot: Knot) -> Float[np.ndarray, " p"]:
    """The solution on the path's active columns from G and b themselves, free of what rounding has left on the way; the
    path's own where that is none."""
    w = _spread(knot, len(b))
    kept = np.flatnonzero(w)
    signs = np.sign(w[kept])
    try:
        free, along = cho_solve(cho_factor(gram[np.ix_(kept, kept)]), np.stack([b[kept], signs], axis=1)).T
    except (LinAlgError, ValueError):
        return w
    penalty = max(0.0, float(signs @ free - mu) / float(signs @ along))
    found = free - penalty * along
    if not np.isfinite(found).all() or (found * signs < 0).any():
        return w
    again = np.zeros(len(b))
    again[kept] = found
    return again


def _feasible(w: np.ndarray, mu: float, signed: bool) -> Float[np.ndarray, " p"]:
    """Without what rounding has put outside of the bounds."""
    w = w if signed else np.maximum(w, 0)
    norm = np.abs(w).sum()
    return w * (mu / norm) if norm > mu else w
