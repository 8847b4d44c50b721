"""Two methods compared on the same images: paired interval, paired test, correction for many tests.

A fold holds the images that one network was not trained on, with one score an image. Images are resampled or ranked,
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
    """The mean of every fold. Raises UsageError where there is no fold or an empty one."""
    _check(values)
    return np.array([np.mean(fold, dtype=np.float64) for fold in values])


def ratio_interval(
    ours: Folds, theirs: Folds, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """(ratio, low, high): the mean over folds of the fold means of ours, divided by the same of theirs.

    The interval is the percentile interval of a paired bootstrap (Efron & Tibshirani 1993, chapter 13): every draw
    resamples the images with replacement within each fold, the same images for both, so that what makes an image hard
    for both cancels out. Assumed: the images of a fold are drawn independently; folds, with their networks, are given,
    so that the interval does not cover another training. A ratio to 0 is inf, of 0 to 0 nan; one draw of 0 to 0 makes
    both ends nan.
    Raises UsageError for folds that are missing, empty or not paired, for draws < 1 and for a level outside (0, 1).
    """
    _check_pairs(ours, theirs)
    if draws < 1 or not 0 < level < 1:
        raise UsageError(f"{draws} draws and level {level:g} are given: give at least 1 draw and a level within (0, 1)")
    rng = np.random.default_rng(seed)
    means = np.zeros((2, draws))
    for pair in zip(ours, theirs, strict=True):
        images = len(pair[0])
        picks = rng.integers(images, size=(draws, images))
        means += np.stack([np.asarray(scores, np.float64)[picks].mean(axis=1) for scores in pair])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(fold_means(ours).mean() / fold_means(theirs).mean())
        drawn = np.sort(means[0] / means[1])  # the number of folds cancels out
    if np.isnan(drawn[-1]):
        return ratio, math.nan, math.nan
    # draws themselves, rounded outwards: between two of them there may be infinity
    tail = (1 - level) / 2 * (draws - 1)
    return ratio, float(drawn[math.floor(tail)]), float(drawn[draws - 1 - math.floor(tail)])


def paired_p(ours: Folds, theirs: Folds) -> float:
    """The two-sided p-value of Wilcoxon's signed-rank test over the images of all folds; 1 where nothing differs.

    Differences of 0 are left out (Wilcoxon 1945). Assumed: images are independent, and under the null hypothesis a
    difference is as likely to be d as -d. Networks are given, as above. Raises UsageError for folds that are missing,
    empty or not paired.
    """
    _check_pairs(ours, theirs)
    difference = np.concatenate([np.subtract(a, b, dtype=np.float64) for a, b in zip(ours, theirs, strict=True)])
    if not difference.any():
        return 1.0
    return float(wilcoxon(difference, zero_method="wilcox", alternative="two-sided").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979), in the order given: to reject what stays at or below alpha keeps the
    chance of any false rejection among all at or below alpha, however the tests depend on each other.

    Raises UsageError for a p-value outside [0, 1].
    """
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise UsageError(f"a p-value is {wrong[0]:g}: give values in [0, 1]")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for step, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[place]))
        adjusted[place] = float(highest)
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
