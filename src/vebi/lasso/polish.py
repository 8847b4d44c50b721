"""Where rounding has kept a path from its solution: further from its end, as an active set method.

Every step solves for the active columns afresh from G and b, so that nothing that the path has carried along is used.

Reference:
    Nocedal and Wright, "Numerical Optimization", 2nd edition, 2006, algorithm 16.3.
"""

import numpy as np
from jaxtyping import Float

#: Steps at most.
STEPS = 100


def polish(
    w: Float[np.ndarray, " p"],
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, " p"],
    mu: float,
    *,
    signed: bool = False,
) -> Float[np.ndarray, " p"]:
    """A feasible w, improved by at most ``STEPS`` steps of an active set method.

    A step moves the weights to the solution on the active columns. Where a weight would change its sign on the way, its
    column leaves; else the column enters that gains most, until none gains more than the active ones.

    Args:
        w: Weights, p, with ||w||_1 <= mu, and w >= 0 unless ``signed``.
        gram: G = X'X, p x p; only the rows of active columns are read.
        b: X'l, p.
        mu: Bound on ||w||_1.
        signed: Whether weights may be below 0.

    Returns:
        Weights, p, that keep the constraints up to rounding.

    Reference:
        Nocedal and Wright 2006, algorithm 16.3.
    """
    active = np.flatnonzero(w)
    signs, weights = np.sign(w[active]), w[active]
    for _ in range(STEPS):
        rows = gram[active]
        target, lam = _solution_on(rows[:, active], b[active], signs, mu)
        if not np.isfinite(target).all():
            break
        turning = target * signs < 0
        share = np.where(turning, weights / np.where(turning, weights - target, 1), 1.0)
        step = float(share.min(initial=1))
        weights = weights + step * (target - weights)
        if step < 1:
            staying = np.arange(len(active)) != np.argmin(share)
            active, signs, weights = active[staying], signs[staying], weights[staying]
            continue
        c = b - weights @ rows
        gain = np.abs(c) if signed else c.copy()
        gain[active] = -np.inf
        best = int(np.argmax(gain))
        if not gain[best] > lam:
            break
        active, weights = np.append(active, best), np.append(weights, 0.0)
        signs = np.append(signs, np.sign(c[best]))
    polished = np.zeros(len(w))
    polished[active] = weights
    return polished


def _solution_on(
    gram: Float[np.ndarray, "k k"], b: Float[np.ndarray, " k"], signs: Float[np.ndarray, " k"], mu: float
) -> tuple[Float[np.ndarray, " k"], float]:
    """The weights of given signs that solve G w = b - lambda signs with ||w||_1 <= mu, and lambda."""
    unbounded, direction = np.linalg.lstsq(gram, np.stack([b, signs], axis=1))[0].T
    rate = float(signs @ direction)
    lam = max(0.0, float(signs @ unbounded) - mu) / rate if rate > 0 else 0.0
    return unbounded - lam * direction, lam
