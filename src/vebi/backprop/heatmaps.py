"""From gradients to heatmaps, and from heatmaps to what can be looked at. Pure functions.

Heatmaps stay raw (comparable between images) until they are shown: ``rescale`` and ``clip_for_display`` belong to the
edge.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vebi.errors import UsageError


def positive_norm(gradient: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n h w"]:
    """The positive part of an input gradient as one raw map per image: sqrt(sum over channels of max(g, 0)^2).

    Args:
        gradient: With respect to the inputs, n x channels x h x w.

    Returns:
        n x h x w, zero or above.

    Reference:
        The released inference code of Oramas, Wang and Tuytelaars, ICLR 2019.
    """
    return gradient.clamp(min=0).square().sum(dim=1).sqrt()


def channel_sum(values: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n h w"]:
    """The sum over channels: for signed values that add up to a score.

    Args:
        values: n x channels x h x w.

    Returns:
        n x h x w.
    """
    return values.sum(dim=1)


def channel_absmax(values: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n h w"]:
    """The largest absolute value over channels.

    Args:
        values: n x channels x h x w.

    Returns:
        n x h x w, zero or above.

    Reference:
        Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks", 2014, section 3.1.
    """
    return values.abs().amax(dim=1)


def rescale(maps: Float[np.ndarray, "*n h w"]) -> Float[np.ndarray, "*n h w"]:
    """Min-max scales every map to [0, 1].

    Args:
        maps: One map or several, ... x h x w.

    Returns:
        The same shape and type; a map that is the same everywhere becomes zero.
    """
    low = maps.min(axis=(-2, -1), keepdims=True)
    span = maps.max(axis=(-2, -1), keepdims=True) - low
    return np.where(span > 0, (maps - low) / np.where(span > 0, span, 1), 0).astype(maps.dtype)


def otsu_threshold(values: Float[np.ndarray, "h w"]) -> float:
    """Otsu's threshold: of those between 256 bins that with the largest variance between its two sides.

    Args:
        values: A map in [0, 1], h x w.

    Returns:
        The threshold, in (0, 1); the mean of the best ones where several are equally good.

    Reference:
        Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Transactions on Systems, Man, and
        Cybernetics 9(1), 1979.
    """
    counts, edges = np.histogram(values, bins=256, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below, weighted = counts.cumsum()[:-1], (counts * centres).cumsum()
    above = values.size - below
    filled = (below > 0) & (above > 0)
    gap = weighted[:-1] / np.maximum(below, 1) - (weighted[-1] - weighted[:-1]) / np.maximum(above, 1)
    between = np.where(filled, below * above * gap**2, 0)
    best = np.flatnonzero(between == between.max())  # several where bins between the sides are empty
    return float(edges[1:-1][best].mean())


def clip_for_display(maps: Float[np.ndarray, "*n h w"], share: float = 0.01) -> Float[np.ndarray, "*n h w"]:
    """Scales every map to [0, 1] for looking at: its highest pixels become 1.

    Without that a single pixel could leave all others dark.

    Args:
        maps: One map or several, ... x h x w.
        share: How many of the pixels become 1, in [0, 1].

    Returns:
        The same shape and type.
    """
    low = maps.min(axis=(-2, -1), keepdims=True)
    high = np.quantile(maps, 1 - share, axis=(-2, -1), keepdims=True)
    return rescale(np.where(high > low, np.minimum(maps, high), maps).astype(maps.dtype))


def upsample(
    maps: Float[Tensor, "n u v"], size: Sequence[int], interpolation: str = "bilinear"
) -> Float[Tensor, "n h w"]:
    """Enlarges the maps of a layer.

    Args:
        maps: n x u x v.
        size: Height and width of the result, those of the network's input.
        interpolation: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.

    Returns:
        n x h x w.
    """
    if maps.shape[1:] == (1, 1):  # interpolating between equal numbers leaves rounding errors, which scaling would show
        return maps.expand(-1, *size)
    corners = None if interpolation == "nearest" else False
    return F.interpolate(maps[:, None], tuple(size), mode=interpolation, align_corners=corners)[:, 0]


def upsample_sum(maps: Iterable[Float[Tensor, "n _ _"]], size: Sequence[int]) -> Float[Tensor, "n h w"]:
    """The sum of maps of different sizes, each upsampled bilinearly; those of one size are upsampled together.

    Args:
        maps: n x u x v each, at least one of them.
        size: h and w.
    """
    of_size: dict[torch.Size, Tensor] = {}
    for one in maps:
        of_size[one.shape] = of_size[one.shape] + one if one.shape in of_size else one
    total, *others = (upsample(together, size) for together in of_size.values())
    return sum(others, total)


#: A map of which less is left at its highest point is shown darker.
_LEFT = 0.1


class Levels(NamedTuple):
    """What a map was before some of it was taken away."""

    low: float
    high: float
    total: float

    def brightness(self, kept: Float[np.ndarray, "h w"]) -> float:
        """How bright what is left of the map is shown, in [0, 1]: fully, unless less than a tenth of it is left."""
        return min(1.0, float(kept.max()) / (_LEFT * self.high)) if self.high > 0 else 1.0


def levels_of(heatmap: Float[np.ndarray, "h w"]) -> Levels:
    """The lowest and the highest value of a map, and its sum."""
    return Levels(float(heatmap.min()), float(heatmap.max()), float(heatmap.sum(dtype=np.float64)))


#: How the maps of several features become one.
REDUCTIONS = ("max", "mean", "mass")


def check_reduction(reduction: str) -> None:
    """Raises UsageError for a reduction that does not exist."""
    if reduction not in REDUCTIONS:
        raise UsageError(f"the reduction is {reduction!r}: choose {', '.join(REDUCTIONS[:-1])} or {REDUCTIONS[-1]}")


def combine(
    maps: Float[np.ndarray, "k h w"],
    contributions: Float[np.ndarray, " k"],
    reduction: str = "max",
    levels: Sequence[Levels] | None = None,
) -> Float[np.ndarray, "h w"]:
    """Combines the maps that explain an image.

    Args:
        maps: k x h x w, at least one.
        contributions: Of the features; all count alike where none is above 0.
        reduction: ``"max"``, elementwise maximum of the maps, each min-max scaled; ``"mean"``, the mean of these,
            weighted by the contributions; ``"mass"``, the mean of the maps divided by their sums, likewise, so that
            what a feature contributes is what its map has in all, and scaled to 1.
        levels: What the maps were before some of them was taken away, k: they are scaled by that. By default what they
            are.

    Returns:
        One map in [0, 1], h x w; a map of zeros adds nothing.

    Raises:
        UsageError: Another reduction.

    Reference:
        The released code of Oramas, Wang and Tuytelaars, ICLR 2019, for the maximum.
    """
    check_reduction(reduction)
    if not (contributions > 0).any():
        contributions = np.ones(len(maps))
    levels = [levels_of(heatmap) for heatmap in maps] if levels is None else levels
    if reduction == "mass":
        sums = np.array([level.total for level in levels])
        shares = np.divide(contributions, sums, out=np.zeros(len(maps)), where=sums > 0)
        total = np.tensordot(shares, maps, axes=1)
        return (total / (total.max() or 1)).astype(maps.dtype)
    scaled = np.stack([_scale(heatmap, level) for heatmap, level in zip(maps, levels, strict=True)])
    if reduction == "max":
        highest: np.ndarray = scaled.max(axis=0)
        return highest
    mean: np.ndarray = np.average(scaled, axis=0, weights=contributions)
    return mean.astype(maps.dtype)


def _scale(heatmap: Float[np.ndarray, "h w"], levels: Levels) -> Float[np.ndarray, "h w"]:
    """A map scaled to [0, 1] by what it was."""
    span = levels.high - levels.low
    scaled: np.ndarray = ((heatmap - levels.low) / span).clip(0, 1) if span > 0 else np.zeros_like(heatmap)
    return scaled.astype(heatmap.dtype)
