"""How far a solution of the mu-Lasso can be from the best there is, from G, b and e alone."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vebi.errors import UsageError, as_number

#: A relative duality gap above this is reported: the solution is not to be trusted.
TOLERANCE = 1e-6
#: The last digit of a number in double precision, as a share of it.
ROUNDING = 2.0**-52


@dataclass(frozen=True)
class Certificate:
    """How far a feasible w can be from the solution.

    Attributes:
        gap: Duality gap relative to e/2, the objective at w = 0: an upper bound on what could still be gained.
        violation: Largest violation of the Karush-Kuhn-Tucker conditions, relative to max |b|.

    Example:
        >>> certificate = vebi.lasso.certify(np.zeros(2), np.eye(2), np.array([0.5, -2.0]), e=4.0, mu=3.0)
        >>> round(certificate.gap, 9), certificate.violation
        (0.75, 0.25)
    """

    gap: float
    violation: float


def check_mu(mu: float) -> float:
    """``mu`` as a float, if it is a bound that an l1 norm can have.

    Args:
        mu: The bound.

    Returns:
        The same number.

    Raises:
        UsageError: It is not a finite number above 0.

    Example:
        >>> vebi.lasso.check_mu(10)
        10.0
    """
    try:
        number = as_number("mu", mu)
    except UsageError:
        number = 0.0
    if number <= 0:
        raise UsageError(f"mu is {mu!r}, but it bounds an l1 norm and must be a number above 0")
    return number


def certify(
    w: Float[np.ndarray, " p"],
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, " p"],
    e: float,
    mu: float,
    *,
    signed: bool = False,
) -> Certificate:
    """The certificate of a feasible w from G, b and e.

    Only the rows of ``gram`` are read where w is not 0.

    Args:
        w: Weights, p, with ||w||_1 <= mu, and w >= 0 unless ``signed``.
        gram: G = X'X, p x p.
        b: X'l, p.
        e: l'l.
        mu: Bound on ||w||_1, above 0.
        signed: Whether weights may be below 0.

    Returns:
        The duality gap and the violation of the optimality conditions, see ``certificate_from_gradient``.

    Example:
        >>> gram, b = np.eye(2), np.array([3.0, 2.0])
        >>> solution = vebi.lasso.solve(gram, b, e=20.0, mu=2.0)
        >>> vebi.lasso.certify(solution.weights, gram, b, e=20.0, mu=2.0).gap < 1e-12
        True
    """
    active = np.flatnonzero(w)
    largest = float(np.diagonal(gram).max(initial=0))
    return certificate_from_gradient(w, w[active] @ gram[active] - b, b, largest, e, mu, signed=signed)


def certificate_from_gradient(
    w: Float[np.ndarray, " p"],
    g: Float[np.ndarray, " p"],
    b: Float[np.ndarray, " p"],
    largest: float,
    e: float,
    mu: float,
    *,
    signed: bool = False,
) -> Certificate:
    """The certificate of a feasible w from its gradient g = Gw - b, however that was computed.

    The gap is w'g + mu max |g| (signed) or w'g + mu max(0, max(-g)) (w >= 0), and what rounding can hide of it:
    mu times the last digit of the largest possible product, ||x_i|| ||l||. At a solution all g_i of weights that are
    not 0 are -lambda sign(w_i), with lambda the largest |g| (or -g) of all, which is 0 where ||w||_1 < mu.

    Args:
        w: Weights, p, with ||w||_1 <= mu, and w >= 0 unless ``signed``.
        g: Gradient, p.
        b: X'l, p.
        largest: max ||x_i||^2, the largest number on the diagonal of G.
        e: l'l.
        mu: Bound on ||w||_1, above 0.
        signed: Whether weights may be below 0.

    Returns:
        The duality gap and the violation of the optimality conditions; NaN where the gradient is not finite, 0 where e
        is 0.

    Example:
        >>> w, g, b = np.array([1.5, 0.5]), np.array([-1.5, -1.5]), np.array([3.0, 2.0])
        >>> vebi.lasso.certificate_from_gradient(w, g, b, largest=1.0, e=20.0, mu=2.0).violation
        0.0
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
