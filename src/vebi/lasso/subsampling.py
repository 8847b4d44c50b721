"""Stability selection: how often a feature is selected from random subsamples, and which features are correlated.

Subsamples of half the rows come in pairs that complement each other, and are made of parts of the table, so that the
sums of a part serve all of them.

Reference:
    Meinshausen and Buehlmann, "Stability selection", JRSS B 72, 2010: subsamples of half the rows, selection
    probabilities. Shah and Samworth, "Variable selection with error control: another look at stability selection",
    JRSS B 75, 2013: complementary pairs.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from vebi.lasso.bound import Bound
from vebi.lasso.moments import Moments, merge
from vebi.lasso.scaling import Problem, make_problem
from vebi.lasso.solution import solve_all

#: Subsamples drawn.
N_SUBSAMPLES = 50
#: Columns with a correlation above this are correlated features.
CORRELATED = 0.95
#: A column whose variance is a smaller share of its mean square is constant.
CONSTANT = 1e-10


def subsample_masks(parts: int, count: int = N_SUBSAMPLES, seed: int = 0) -> Bool[np.ndarray, "count parts"]:
    """Which parts make up every subsample.

    Args:
        parts: Number of parts of the table.
        count: Number of subsamples.
        seed: Of the random choice.

    Returns:
        Count x parts, half of each row True; rows 2k and 2k + 1 complement each other.

    Reference:
        Shah and Samworth 2013, section 2.
    """
    rng = np.random.default_rng(seed)
    first = np.stack([rng.permutation(parts) < parts // 2 for _ in range((count + 1) // 2)])
    return np.stack([first, ~first], axis=1).reshape(-1, parts)[:count]


def subsample_selections(
    parts: Sequence[Moments],
    form: str,
    bound: Bound,
    *,
    floor: float | None = None,
    signed: bool = False,
    count: int = N_SUBSAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> Bool[np.ndarray, "count classes p"]:
    """Whether a class selects a feature from a subsample; the mean over subsamples is its selection probability.

    Args:
        parts: The moments of every part of the table.
        form: The form of the problem, see ``make_problem``.
        bound: The bound on ||w||_1.
        floor: That of the whole table, see ``make_problem``.
        signed: Whether weights may be below 0.
        count: Number of subsamples.
        progress: Called with (subsamples done, subsamples).

    Returns:
        Count x classes x features, True where the weight is not 0.

    Reference:
        Meinshausen and Buehlmann 2010, section 2; Shah and Samworth 2013.
    """
    selections = []
    for k, mask in enumerate(subsample_masks(len(parts), count)):
        moments = merge([part for part, drawn in zip(parts, mask, strict=True) if drawn])
        problem = make_problem(moments, form, floor=floor, overwrite=True)
        mus = bound.mus(problem, signed=signed)
        solutions = solve_all(problem.gram, problem.b, problem.energy, mus, signed=signed)
        selections.append(np.stack([solution.weights != 0 for solution in solutions]))
        if progress:
            progress(k + 1, count)
    return np.stack(selections)


def correlations(problem: Problem, columns: Sequence[int]) -> Float[np.ndarray, "k p"]:
    """Pearson's correlation of some columns with all.

    Args:
        problem: The problem of the table, with p features.
        columns: k indices of columns.

    Returns:
        k x p, in [-1, 1] up to rounding; 0 where one of the two columns is constant.
    """
    rows, mean = max(problem.rows, 1), problem.means
    square = np.diagonal(problem.gram) / rows
    variance = square - mean**2
    varying = variance > CONSTANT * (square + (problem.scaling.center / problem.scaling.scale) ** 2)
    std = np.sqrt(np.where(varying, variance, 1))
    k = list(columns)
    covariance = problem.gram[k] / rows - mean[k, None] * mean
    correlation: Float[np.ndarray, "k p"] = covariance / (std[k, None] * std) * (varying[k, None] & varying)
    return correlation
