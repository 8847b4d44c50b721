"""Whether a feature would be selected again, and which others could stand in for it.

Meinshausen and Buehlmann, "Stability selection", JRSS B 72, 2010: the share of random half samples in which a feature
is selected. Halves come in pairs that complement each other (Shah and Samworth, JRSS B 75, 2013), and are made of parts
of the table, so that the sums of a part serve all of them.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from vebi.lasso.gram import Sums, merge
from vebi.lasso.solution import solve_all

HALVES = 50
#: Columns with a higher correlation tell the same.
CORRELATED = 0.95
#: A column whose variance is a smaller share of its mean square is constant.
CONSTANT = 1e-10


def halves(parts: int, count: int = HALVES, seed: int = 0) -> Bool[np.ndarray, "count parts"]:
    """Which parts make up every half sample."""
    rng = np.random.default_rng(seed)
    first = np.stack([rng.permutation(parts) < parts // 2 for _ in range((count + 1) // 2)])
    return np.stack([first, ~first], axis=1).reshape(-1, parts)[:count]


def select_again(
    parts: Sequence[Sums],
    mu: float,
    *,
    signed: bool = False,
    count: int = HALVES,
    progress: Callable[[int, int], None] | None = None,
) -> Bool[np.ndarray, "count classes p"]:
    """Whether a class selects a feature, on every half of a table that is given in parts."""
    found = []
    for k, half in enumerate(halves(len(parts), count)):
        sums = merge([part for part, taken in zip(parts, half, strict=True) if taken])
        solutions = solve_all(sums.gram, sums.b, sums.e, mu, signed=signed)
        found.append(np.stack([solution.weights != 0 for solution in solutions]))
        if progress:
            progress(k + 1, count)
    return np.stack(found)


def correlations(sums: Sums, columns: Sequence[int]) -> Float[np.ndarray, "k p"]:
    """Pearson's correlation of some columns with all; 0 where one of the two is constant."""
    rows = max(sums.rows, 1)
    mean, square = sums.x / rows, np.diagonal(sums.gram) / rows
    variance = square - mean**2
    alive = variance > CONSTANT * square
    spread = np.sqrt(np.where(alive, variance, 1))
    some = list(columns)
    joint = sums.gram[some] / rows - mean[some, None] * mean
    return joint / (spread[some, None] * spread) * (alive[some, None] & alive)
