"""Two methods compared on the same networks and images: a ratio, its interval and the p-value that belongs to it.

The unit of inference is the network: with two or more, networks are resampled and, within each, its images. One network
leaves its images alone to resample, and then nothing here covers what another training would give.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Shaped
from scipy.stats import norm, t

from vebi.errors import UsageError

#: The scores of the images of every network; NaN for an image that a method was not scored on.
Folds = Sequence[Float[np.ndarray, " _"]]
#: How often images are drawn is kept for at most so many (draw, image) at a time.
_BLOCK = 2**25


@dataclass(frozen=True)
class Comparison:
    """The ratio of two methods' mean scores, see ``compare``.

    Attributes:
        ratio: The first method's mean divided by the second's.
        low: Lower end of the interval of the ratio, 0 where the draws cannot tell.
        high: Upper end of it, inf where the draws cannot tell.
        p: Two-sided p-value of the ratio 1, in (0, 1]: below 1 - level exactly where the interval excludes 1.

    Example:
        >>> ours, theirs = [np.linspace(2, 3, 40)] * 6, [np.linspace(1, 2, 40)] * 6
        >>> comparison = vebi.benchmark.compare(ours, theirs)
        >>> comparison.low > 1, comparison.p < 0.05
        (True, True)
    """

    ratio: float
    low: float
    high: float
    p: float


def fold_means(values: Folds) -> Float[np.ndarray, " folds"]:
    """The mean of every network's images.

    Args:
        values: The scores of the images of each network; NaN is left out.

    Returns:
        The means, float64.

    Raises:
        UsageError: There is no network, or one without a scored image.

    Example:
        >>> vebi.benchmark.fold_means([np.array([1.0, 2.0, np.nan, 6.0]), np.array([4.0])]).tolist()
        [3.0, 4.0]
    """
    _check(values)
    return np.array([np.nanmean(scores, dtype=np.float64) for scores in values])


def compare(ours: Folds, theirs: Folds, *, draws: int = 10_000, level: float = 0.95, seed: int = 0) -> Comparison:
    """The ratio of two methods' mean scores, with a bootstrap interval and the p-value that inverts it.

    The ratio is of the means over networks of the networks' means, over the images that both methods were scored on.

    With two or more networks every draw resamples networks with replacement and, within each drawn network, its images
    with replacement; the same draw for both methods, so that what makes an image or a network hard for both cancels
    out. As n networks are few, the percentile interval is expanded: its tails are alpha' / 2 with
    Phi^-1(alpha' / 2) = -sqrt(n / (n - 1)) t_{alpha / 2, n - 1}. Assumed: networks are drawn independently, and the
    images of each.

    With one network images alone are resampled and nothing is expanded: interval and p-value are about images of this
    one network and do not cover another training.

    p is the smallest 1 - level whose interval excludes 1. Not adjusted for the number of comparisons. Tails of less
    than one draw cannot be told from the draws: p is never below the value of one draw, and an interval that would need
    less runs from 0 to inf, as that of two or three networks at 95 %.

    Args:
        ours: The scores of one method, at least 0, an array per network; NaN for images without a score.
        theirs: The scores of the other on the same images.
        draws: Number of bootstrap draws, at least 1.
        level: Coverage of the interval, within (0, 1).
        seed: Seed of the draws.

    Returns:
        Ours divided by theirs. A ratio to 0 is inf; of 0 to 0 nan, and a draw of 0 to 0 counts as 0 for the lower end
        and as inf for the upper one.

    Raises:
        UsageError: Networks are missing or not paired, one has no image that both methods were scored on, or an option
            that cannot be.

    Reference:
        Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69(4), 2015, section
        "Expanded percentile interval". Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Example:
        >>> vebi.benchmark.compare([np.array([2.0, 4.0])], [np.array([1.0, 2.0])])
        Comparison(ratio=2.0, low=2.0, high=2.0, p=0.0002)
    """
    pairs = _pair(ours, theirs)
    if draws < 1 or not 0 < level < 1:
        raise UsageError(f"{draws} draws and level {level:g} are given: give at least 1 draw and a level within (0, 1)")
    shares = np.concatenate([pair / len(pair) for pair in pairs]).astype(np.float32)
    sizes = tuple(len(pair) for pair in pairs)
    means = np.concatenate([counts @ shares for counts in _all_counts(sizes, draws, seed)]).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # by nothing, or next to nothing: infinite
        ratio = float(np.divide(*np.mean([pair.mean(axis=0) for pair in pairs], axis=0)))
        drawn = means[:, 0] / means[:, 1]  # the number of networks cancels out
    lower, upper = (np.sort(np.where(np.isnan(drawn), undecided, drawn)) for undecided in (0.0, math.inf))
    p_values = _p_values(draws, len(pairs))
    beyond = max(1, int(min((lower <= 1).sum(), (upper >= 1).sum())))
    tail = int(np.searchsorted(p_values, round(1 - level, 12)))  # so many draws may lie outside at each end
    return Comparison(
        ratio=ratio,
        low=float(lower[tail]) if tail else 0.0,
        high=float(upper[-1 - tail]) if tail else math.inf,
        p=1.0 if beyond > len(p_values) else float(p_values[beyond - 1]),
    )


@lru_cache(maxsize=8)
def _p_values(draws: int, networks: int) -> Float[np.ndarray, " half"]:
    """The p-value where 1, 2, ... up to half of the draws lie on the other side of 1: it increases."""
    tails = np.arange(1, draws // 2 + 1) / draws
    if networks == 1:
        return 2 * tails
    return np.asarray(2 * t.cdf(norm.ppf(tails) * math.sqrt((networks - 1) / networks), networks - 1))


def _all_counts(sizes: tuple[int, ...], draws: int, seed: int) -> Iterator[Float[np.ndarray, "_ images"]]:
    """How often every draw has every image, in blocks of draws that fit in memory."""
    rows = max(1, _BLOCK // sum(sizes))
    for start in range(0, draws, rows):
        yield _counts(sizes, min(rows, draws - start), (seed, start))


@lru_cache(maxsize=4)
def _counts(sizes: tuple[int, ...], draws: int, seed: tuple[int, int]) -> Float[np.ndarray, "draws images"]:
    """How often each of some draws has every image of every network, float32 for the product with scores.

    Images are drawn anew each time that a network is: as many as it has times the number of times that it is drawn.
    """
    rng = np.random.default_rng(seed)
    networks = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=draws)
    images = [rng.multinomial(networks[:, k] * size, np.full(size, 1 / size)) for k, size in enumerate(sizes)]
    return np.concatenate(images, axis=1, dtype=np.float32, casting="unsafe")


def _pair(ours: Folds, theirs: Folds) -> list[Shaped[np.ndarray, "_ 2"]]:
    """Of every network the images that both methods were scored on, float64."""
    _check(ours)
    sizes = [len(scores) for scores in ours], [len(scores) for scores in theirs]
    if sizes[0] != sizes[1]:
        raise UsageError(
            f"networks with {', '.join(map(str, sizes[0]))} images come with networks of "
            f"{', '.join(map(str, sizes[1])) or 'no'} images: give both methods the same images"
        )
    pairs = [np.stack(pair, axis=1).astype(np.float64) for pair in zip(ours, theirs, strict=True)]
    pairs = [pair[~np.isnan(pair).any(axis=1)] for pair in pairs]
    _check([pair[:, 0] for pair in pairs], "that both methods were scored on")
    return pairs


def _check(values: Folds, condition: str = "with a score") -> None:
    if len(values) == 0:
        raise UsageError("no network is given: give the scores of at least one")
    for k, scores in enumerate(values):
        if np.isnan(scores).all():
            raise UsageError(f"network {k} has no image {condition}: leave such networks out")
