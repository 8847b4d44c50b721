"""Two methods compared on the same images: paired interval, paired test, correction for many tests.

A fold holds the images that one network was not trained on, with one score per image. Images are resampled or ranked,
networks are not: nothing here covers what another training would give.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import wilcoxon

from vebi.errors import UsageError

#: The scores of every fold's images.
Folds = Sequence[Float[np.ndarray, " _"]]


def fold_means(values: Folds) -> Float[np.ndarray, " folds"]:
    """The mean of every fold.

    Args:
        values: The scores of the images of each fold.

    Returns:
        The means, float64.

    Raises:
        UsageError: There is no fold, or an empty one.

    Example:
        >>> vebi.benchmark.fold_means([np.array([1.0, 2.0, 6.0]), np.array([4.0])]).tolist()
        [3.0, 4.0]
    """
    _check(values)
    return np.array([np.mean(fold, dtype=np.float64) for fold in values])


def ratio_interval(
    ours: Folds, theirs: Folds, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """The ratio of two methods' mean scores, with a bootstrap interval.

    The ratio is of the means over folds of the fold means. The interval is the percentile interval of a paired
    bootstrap: every draw resamples the images with replacement within each fold, the same images for both methods, so
    that what makes an image hard for both cancels out. Assumed: the images of a fold are drawn independently; folds,
    with their networks, are given, so that the interval does not cover another training.

    Args:
        ours: The scores of one method, an array per fold.
        theirs: The scores of the other on the same images.
        draws: Number of bootstrap draws, at least 1.
        level: Coverage of the interval, within (0, 1).
        seed: Seed of the draws.

    Returns:
        (ratio, low, high), ours divided by theirs. A ratio to 0 is inf, of 0 to 0 nan; one draw of 0 to 0 makes both
        ends nan.

    Raises:
        UsageError: Folds are missing, empty or not paired, or an option that cannot be.

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Example:
        >>> vebi.benchmark.ratio_interval([np.array([2.0, 4.0])], [np.array([1.0, 2.0])])
        (2.0, 2.0, 2.0)
    """
    _check_pairs(ours, theirs)
    if draws < 1 or not 0 < level < 1:
        raise UsageError(f"{draws} draws and level {level:g} are given: give at least 1 draw and a level within (0, 1)")
    rng = np.random.default_rng(seed)
    means = np.zeros((2, draws))
    for pair in zip(ours, theirs, strict=True):
        images = len(pair[0])
        indices = rng.integers(images, size=(draws, images))
        means += np.stack([np.asarray(scores, np.float64)[indices].mean(axis=1) for scores in pair])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(fold_means(ours).mean() / fold_means(theirs).mean())
        drawn = np.sort(means[0] / means[1])  # the number of folds cancels out
    if np.isnan(drawn[-1]):
        return ratio, math.nan, math.nan
    # draws themselves, rounded outwards: between two of them there may be infinity
    tail = (1 - level) / 2 * (draws - 1)
    return ratio, float(drawn[math.floor(tail)]), float(drawn[draws - 1 - math.floor(tail)])


def paired_p(ours: Folds, theirs: Folds) -> float:
    """The two-sided p-value of Wilcoxon's signed-rank test over the images of all folds.

    Differences of 0 are left out. Assumed: images are independent, and under the null hypothesis a difference is as
    likely to be d as -d. Networks are given, as for ``ratio_interval``.

    Args:
        ours: The scores of one method, an array per fold.
        theirs: The scores of the other on the same images.

    Returns:
        The p-value; 1 where no image differs.

    Raises:
        UsageError: Folds are missing, empty or not paired.

    Reference:
        Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1(6), 1945.

    Example:
        >>> vebi.benchmark.paired_p([np.array([2.0, 4.0, 6.0, 8.0])], [np.array([1.0, 2.0, 3.0, 4.0])])
        0.125
    """
    _check_pairs(ours, theirs)
    difference = np.concatenate([np.subtract(a, b, dtype=np.float64) for a, b in zip(ours, theirs, strict=True)])
    if not difference.any():
        return 1.0
    return float(wilcoxon(difference, zero_method="wilcox", alternative="two-sided").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values for many tests by Holm's step-down method.

    To reject the tests whose adjusted value is at most alpha keeps the probability of any false rejection at or below
    alpha, however the tests depend on each other.

    Args:
        p_values: One per test, in [0, 1].

    Returns:
        The adjusted values, in the same order.

    Raises:
        UsageError: A p-value lies outside [0, 1].

    Reference:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6(2), 1979.

    Example:
        >>> vebi.benchmark.holm([0.5, 0.25])
        [0.5, 0.5]
    """
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise UsageError(f"a p-value is {wrong[0]:g}: give values in [0, 1]")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[index]))
        adjusted[index] = float(highest)
    return adjusted


def _check(values: Folds) -> None:
    if len(values) == 0:
        raise UsageError("no fold is given: give the scores of at least one")
    for i, fold in enumerate(values):
        if len(fold) == 0:
            raise UsageError(f"fold {i} has no images: leave such folds out")


def _check_pairs(ours: Folds, theirs: Folds) -> None:
    _check(ours)
    sizes = [len(fold) for fold in ours], [len(fold) for fold in theirs]
    if sizes[0] != sizes[1]:
        raise UsageError(
            f"folds of {', '.join(map(str, sizes[0]))} images come with folds of "
            f"{', '.join(map(str, sizes[1])) or 'no'} images: give both methods the same images"
        )
