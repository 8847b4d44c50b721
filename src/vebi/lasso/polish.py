"""What to do where rounding has kept a path from its solution: go on from its end as an active set method does.

(Nocedal and Wright, "Numerical Optimization", 2006, algorithm 16.3.) Every step solves for the active columns afresh
from G and b, so that nothing that the path has carried along is believed.
"""

import numpy as np
from jaxtyping import Float

STEPS = 100


def polish(
    w: Float[np.ndarray, " p"],
    gram: Float[np.ndarray, "p p"],
    b: Float[np.ndarray, " p"],
    mu: float,
    *,
    signed: bool = False,
) -> Float[np.ndarray, " p"]:
    """A feasible w, moved to the solution on its columns; then one leaves whose weight would change its sign, or the
    one enters that gains most, until none does or ``STEPS`` are done."""
    kept = np.flatnonzero(w)
    signs, weights = np.sign(w[kept]), w[kept]
    for _ in range(STEPS):
        rows = gram[kept]
        free, along = np.linalg.lstsq(rows[:, kept], np.stack([b[kept], signs], axis=1))[0].T
        rate = float(signs @ along)
        penalty = max(0.0, float(signs @ free) - mu) / rate if rate > 0 else 0.0
        goal = free - penalty * along
        if not np.isfinite(goal).all():
            break
        turning = goal * signs < 0
        share = np.where(turning, weights / np.where(turning, weights - goal, 1), 1.0)
        step = float(share.min(initial=1))
        weights = weights + step * (goal - weights)
        if step < 1:
            left = np.arange(len(kept)) != np.argmin(share)
            kept, signs, weights = kept[left], signs[left], weights[left]
            continue
        c = b - weights @ rows
        gain = np.abs(c) if signed else c.copy()
        gain[kept] = -np.inf
        best = int(np.argmax(gain))
        if not gain[best] > penalty:
            break
        kept, weights = np.append(kept, best), np.append(weights, 0.0)
        signs = np.append(signs, np.sign(c[best]))
    found = np.zeros(len(w))
    found[kept] = weights
    return found
