"""The mu-Lasso: the few features that tell a class apart. Pure functions of arrays.

For one class with labels l and descriptors X (images x features)::

    minimise 1/2 ||X w - l||^2   subject to   ||w||_1 <= mu   (and w >= 0 unless signed)

(Oramas, Wang, Tuytelaars, ICLR 2019, eq. 1.) Only G = X'X, b = X'l and e = l'l are needed. The regularisation path
is piecewise linear in ||w||_1, so the solution at mu lies on the segment between two of its knots: nothing
iterates. The path is scikit-learn's, which can stray where columns are nearly equal; the duality gap tells.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vebi.errors import UsageError

#: A relative duality gap above this is reported: the solution is not to be trusted.
TOLERANCE = 1e-6
FIRST_KNOTS = 64


@dataclass(frozen=True)
class Solution:
    """The weights of one class with their certificate.

    ``gap`` is the duality gap relative to e/2, the objective at w = 0; 0 for a class that never occurs.
    ``complete`` is False where the path ended before ``||w||_1`` reached mu: then the weights are those of its end.
    """

    weights: Float[np.ndarray, " p"]
    gap: float
    complete: bool

    @property
    def trusted(self) -> bool:
        return self.gap <= TOLERANCE


def check_mu(mu: float) -> float:
    """``mu`` itself, if it is a bound that an l1 norm can have."""
    if not (isinstance(mu, int | float | np.number) and np.isfinite(mu) and mu > 0):
        raise UsageError(f"mu is {mu!r}, but it bounds an l1 norm and must be a number above 0: 10 is a good start")
    return float(mu)


def duality_gap(
    w: Float[np.ndarray, " p"],
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, " p"],
    e: float,
    mu: float,
    *,
    signed: bool = False,
) -> float:
    """Duality gap of a feasible w relative to e/2, from G, b and e alone; an upper bound on the suboptimality.

    With g = Gw - b the gap is w'g + mu max|g| (signed) or w'g + mu max(0, max(-g)) (w >= 0).
    """
    if e == 0:
        return 0.0
    g = gram @ w - b
    steepest = np.abs(g).max(initial=0) if signed else max(0.0, (-g).max(initial=0))
    return float(w @ g + mu * steepest) / (e / 2)


def solve(
    gram: Float[np.ndarray, "p p"], b: Float[np.ndarray, " p"], e: float, mu: float, *, signed: bool = False
) -> Solution:
    """The mu-Lasso solution of one class, with its certificate.

    ``gram`` X'X (features x features), ``b`` X'l (features), ``e`` l'l (the number of images of a one-hot class),
    all float64. Raises UsageError for mu <= 0.
    """
    mu = check_mu(mu)
    if e == 0:
        return Solution(np.zeros(len(b)), 0.0, True)
    w, complete = _between_knots(_path(gram, b, mu, signed), mu)
    if not signed:
        w = np.maximum(w, 0)  # where columns are nearly equal, the path may stray a little
    return Solution(w, duality_gap(w, gram, b, e, mu, signed=signed), complete)


def solve_all(
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, "p c"],
    e: Float[np.ndarray, " c"],
    mu: float,
    *,
    signed: bool = False,
) -> list[Solution]:
    """One solution for every class (column of ``b``)."""
    return [solve(gram, b[:, j], float(e[j]), mu, signed=signed) for j in range(b.shape[1])]


def _path(gram: np.ndarray, b: np.ndarray, mu: float, signed: bool) -> Float[np.ndarray, "p knots"]:
    """The knots of the path from w = 0, at least up to the first with ||w||_1 >= mu or to its end."""
    from sklearn.linear_model import lars_path_gram

    # With w >= 0 the last step is cut short by the correlations of the features left out, unless one of them is 0:
    # scikit-learn takes the largest of them for the end of the path, although it may be negative. A feature that is
    # silent everywhere never enters and puts the end where it belongs.
    gram, b = np.pad(gram, (0, 1)), np.append(b, 0.0)
    limit = FIRST_KNOTS
    while True:
        with warnings.catch_warnings():  # early stops are told by Solution.complete and certified by its gap
            warnings.simplefilter("ignore")
            _, _, knots = lars_path_gram(
                Xy=b, Gram=gram, n_samples=1, method="lasso", positive=not signed, max_iter=limit, alpha_min=0.0
            )
        if knots.shape[1] <= limit or np.abs(knots[:, -1]).sum() >= mu:
            return knots[:-1]
        limit *= 4


def _between_knots(knots: np.ndarray, mu: float) -> tuple[np.ndarray, bool]:
    norms = np.abs(knots).sum(axis=0)
    beyond = np.flatnonzero(norms >= mu)
    if not beyond.size:
        return knots[:, -1], False
    k = beyond[0]  # at least 1, because the path starts at 0 and mu lies above it
    share = (mu - norms[k - 1]) / (norms[k] - norms[k - 1])
    return knots[:, k - 1] + share * (knots[:, k] - knots[:, k - 1]), True
