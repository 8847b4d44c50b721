"""From gradients to heatmaps, and from heatmaps to pictures. Pure functions.

Heatmaps stay raw (comparable between images) until somebody looks at them: ``rescale`` belongs to the edge.
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vebi.errors import UsageError


def from_gradient(gradient: Float[Tensor, "n colours h w"]) -> Float[Tensor, "n h w"]:
    """sqrt(sum over colours of max(g, 0)^2): the positive part of an input gradient as one raw map per image.

    Source: the released inference code of Oramas et al., ICLR 2019.
    """
    return gradient.clamp(min=0).square().sum(dim=1).sqrt()


def added(values: Float[Tensor, "n colours h w"]) -> Float[Tensor, "n h w"]:
    """The sum over colours: for signed values that add up to a score."""
    return values.sum(dim=1)


def strongest(values: Float[Tensor, "n colours h w"]) -> Float[Tensor, "n h w"]:
    """The largest absolute value over colours (Simonyan, Vedaldi and Zisserman 2014, section 3.1)."""
    return values.abs().amax(dim=1)


def rescale(maps: Float[np.ndarray, "*n h w"]) -> Float[np.ndarray, "*n h w"]:
    """Min-max every map to [0, 1]. A map that is zero everywhere stays zero; a constant map becomes zero too."""
    low = maps.min(axis=(-2, -1), keepdims=True)
    span = maps.max(axis=(-2, -1), keepdims=True) - low
    return np.where(span > 0, (maps - low) / np.where(span > 0, span, 1), 0).astype(maps.dtype)


def for_display(maps: Float[np.ndarray, "*n h w"], share: float = 0.01) -> Float[np.ndarray, "*n h w"]:
    """Every map scaled to [0, 1] for looking at: the highest ``share`` of its pixels is 1, so that a single one does
    not leave all others dark."""
    low = maps.min(axis=(-2, -1), keepdims=True)
    high = np.quantile(maps, 1 - share, axis=(-2, -1), keepdims=True)
    return rescale(np.where(high > low, np.minimum(maps, high), maps).astype(maps.dtype))


def combine(
    maps: Float[np.ndarray, "k h w"], contributions: Float[np.ndarray, " k"], reduction: str = "max"
) -> Float[np.ndarray, "h w"]:
    """One map in [0, 1] of the k >= 1 maps that explain an image, each min-max scaled first.

    ``max``: elementwise maximum (the released code of Oramas et al., ICLR 2019). ``mean``: mean weighted by the
    contributions. Raises UsageError for any other reduction.
    """
    scaled = rescale(maps)
    if reduction == "max":
        return scaled.max(axis=0)
    if reduction == "mean":
        return np.average(scaled, axis=0, weights=contributions).astype(maps.dtype)
    raise UsageError(f"the reduction is {reduction!r}: choose max or mean")
