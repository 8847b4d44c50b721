"""How far a solution of the mu-Lasso can be from the best there is, from G, b and e alone."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vebi.errors import UsageError

#: A relative duality gap above this is reported: the solution is not to be trusted.
TOLERANCE = 1e-6
#: The last digit of a number in double precision, as a share of it.
ROUNDING = 2.0**-52


@dataclass(frozen=True)
class Certificate:
    """``gap``: the duality gap relative to e/2, the objective at w = 0, an upper bound on what could still be gained.
    ``violation``: the largest violation of the Karush-Kuhn-Tucker conditions relative to max |b|."""

    gap: float
    violation: float


def check_mu(mu: float) -> float:
    """``mu`` itself, if it is a bound that an l1 norm can have."""
    if not (isinstance(mu, int | float | np.number) and np.isfinite(mu) and mu > 0):
        raise UsageError(f"mu is {mu!r}, but it bounds an l1 norm and must be a number above 0: 10 is a good start")
    return float(mu)


def certify(
    w: Float[np.ndarray, " p"],
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, " p"],
    e: float,
    mu: float,
    *,
    signed: bool = False,
) -> Certificate:
    """The certificate of a feasible w. Only the rows of ``gram`` are read where w is not 0."""
    active = np.flatnonzero(w)
    largest = float(np.diagonal(gram).max(initial=0))
    return judge(w, w[active] @ gram[active] - b, b, largest, e, mu, signed=signed)


def judge(
    w: Float[np.ndarray, " p"],
    g: Float[np.ndarray, " p"],
    b: Float[np.ndarray, " p"],
    largest: float,
    e: float,
    mu: float,
    *,
    signed: bool = False,
) -> Certificate:
    """The certificate of a feasible w from its gradient g = Gw - b, however that was found.

    The gap is w'g + mu max|g| (signed) or w'g + mu max(0, max(-g)) (w >= 0), and what rounding can hide of it:
    mu times the last digit of the largest product there is, ||x_i|| ||l||, where ``largest`` is max ||x_i||^2. At a
    solution all g_i of weights that are not 0 are -lambda sign(w_i), with lambda the largest |g| (or -g) of all, which
    is 0 where ||w||_1 < mu. Of a gradient that is not finite all is NaN.
    """
    if e == 0:
        return Certificate(0.0, 0.0)
    if not np.isfinite(g).all():
        return Certificate(math.nan, math.nan)
    active = np.flatnonzero(w)
    steepest = float((np.abs(g) if signed else -g).max(initial=0))
    hidden = ROUNDING * mu * math.sqrt(max(0.0, largest) * e)
    gap = float(w[active] @ g[active]) + mu * steepest + hidden
    off = np.abs(g[active] + steepest * np.sign(w[active])).max(initial=0)
    slack = steepest if np.abs(w).sum() < mu * (1 - 1e-9) else 0.0
    highest = float(np.abs(b).max(initial=0))
    return Certificate(gap / (e / 2), max(float(off), slack) / highest if highest else 0.0)
