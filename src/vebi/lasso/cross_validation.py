"""How good solutions are on rows that were held out: parts, R², and the one-standard-error rule."""

import numpy as np
from jaxtyping import Float, Int

from vebi.lasso.moments import Moments


def stratified_parts(labels: Int[np.ndarray, " n"], parts: int, seed: int = 0) -> Int[np.ndarray, " n"]:
    """A random part for every row: all of the same size, with the same share of every label, up to one row.

    Args:
        labels: Class of every row.
        parts: Number of parts, at least 1.
        seed: Of the random order of the rows of one label.

    Returns:
        The part of every row, 0 to parts - 1.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    part_of_row = np.empty(len(labels), np.int64)
    part_of_row[order] = np.arange(len(labels)) % parts
    return part_of_row


def r2(
    slopes: Float[np.ndarray, "m p"], constants: Float[np.ndarray, " m"], held_out: Moments, j: int
) -> Float[np.ndarray, " m"]:
    """R² = 1 - ||Xs + k - l||^2 / ||l - mean(l)||^2 of the targets of a class, for every line with slopes s.

    Without a constant k it is below 0 at s = 0.

    Args:
        slopes: One s per row, m x p.
        constants: One k per row, m.
        held_out: Moments of rows that the lines were not fitted to.
        j: The class.

    Returns:
        m numbers, at most 1; NaN where all rows have the same target.
    """
    total = float(held_out.label_energy[j])
    if total <= 0:
        return np.full(len(slopes), np.nan)
    selected = np.flatnonzero(slopes.any(axis=0))
    s = slopes[:, selected]
    gram, b = held_out.gram[np.ix_(selected, selected)], held_out.b[selected, j]
    about_means = total - 2 * s @ b + ((s @ gram) * s).sum(axis=1)
    away = held_out.label_means[j] - constants - s @ held_out.means[selected]
    residual: Float[np.ndarray, " m"] = about_means + held_out.rows * np.square(away)
    residual = residual.clip(0)  # a sum of squares, which rounding can take below 0
    return 1 - residual / total


def finite_folds(scores: Float[np.ndarray, "folds m"]) -> Float[np.ndarray, "finite m"]:
    """The folds whose scores are all finite: not those whose rows all have the same target.

    Args:
        scores: One row per fold, NaN where there is no score.

    Returns:
        The rows without NaN.
    """
    finite: Float[np.ndarray, "finite m"] = scores[np.isfinite(scores).all(axis=1)]
    return finite


def mean_and_se(scores: Float[np.ndarray, "folds m"]) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """The mean over the finite folds, and its standard error.

    Args:
        scores: One row per fold, NaN where there is no score.

    Returns:
        m means and m standard errors; 0 where no fold is finite.
    """
    scores = finite_folds(scores)
    if not len(scores):
        return np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    return scores.mean(axis=0), standard_error(scores)


def one_standard_error_index(scores: Float[np.ndarray, "folds m"]) -> int:
    """The first model whose mean score is within one standard error of the best one's.

    Args:
        scores: One row per fold, one column per model, the simplest model first; NaN where there is no score.

    Returns:
        The index of its column.

    Reference:
        Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984: the one-standard-error rule.
    """
    mean, error = mean_and_se(scores)
    best = int(mean.argmax())
    return int(np.argmax(mean >= mean[best] - error[best]))


def standard_error(scores: Float[np.ndarray, "folds m"]) -> Float[np.ndarray, " m"]:
    """The standard error of the mean over folds.

    Args:
        scores: One row per fold, all finite.

    Returns:
        m numbers; 0 where there is a single fold.
    """
    count = len(scores)
    return scores.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(scores.shape[1])
