"""How well solutions hold on rows that they have not seen."""

import numpy as np
from jaxtyping import Float, Int

from vebi.lasso.gram import Sums


def deal(labels: Int[np.ndarray, " n"], parts: int, seed: int = 0) -> Int[np.ndarray, " n"]:
    """The part of every row: parts are equally large, and so is the share of every label in them, up to one row."""
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) % parts
    return found


def explained_variance(weights: Float[np.ndarray, "m p"], held_out: Sums, j: int) -> Float[np.ndarray, " m"]:
    """1 - ||Xw - l||^2 / ||l - mean(l)||^2 for class j, one number for every w; NaN where all rows have the same label.

    Labels are 0 or 1. At w = 0 it is below 0: the mu-Lasso has no constant term.
    """
    e, rows = float(held_out.e[j]), held_out.rows
    spread = e - e * e / rows if rows else 0.0
    if spread <= 0:
        return np.full(len(weights), np.nan)
    kept = np.flatnonzero(weights.any(axis=0))
    w = weights[:, kept]
    off = e - 2 * w @ held_out.b[kept, j] + ((w @ held_out.gram[np.ix_(kept, kept)]) * w).sum(axis=1)
    return 1 - off / spread


def known(scores: Float[np.ndarray, "folds m"]) -> Float[np.ndarray, "known m"]:
    """The folds that have scores: not those in which there was nothing to explain."""
    return scores[np.isfinite(scores).all(axis=1)]


def mean(scores: Float[np.ndarray, "folds m"]) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """The mean over the known folds and its standard error; 0 where there is none."""
    scores = known(scores)
    if not len(scores):
        return np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    return scores.mean(axis=0), standard_error(scores)


def within_one_error(scores: Float[np.ndarray, "folds m"]) -> int:
    """The first of m models whose mean score is within one standard error of the best one's (Breiman et al.,
    "Classification and Regression Trees", 1984)."""
    center, error = mean(scores)
    best = int(center.argmax())
    return int(np.argmax(center >= center[best] - error[best]))


def standard_error(scores: Float[np.ndarray, "folds m"]) -> Float[np.ndarray, " m"]:
    """Of the mean over folds; 0 where there is a single one."""
    count = len(scores)
    return scores.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(scores.shape[1])
