"""From gradients to heatmaps, and from heatmaps to pictures. Pure functions.

Heatmaps stay raw (comparable between images) until somebody looks at them: ``rescale`` belongs to the edge.
"""

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from vebi.errors import UsageError

#: Dark to bright in steps that look alike (equal distances in OKLab, Ottosson 2020), lightness rising throughout:
#: readable without colour vision and in black and white print.
RAMP = (
    (8, 6, 30), (25, 8, 54), (45, 9, 77), (69, 7, 94), (95, 14, 100), (121, 23, 100), (147, 33, 97), (169, 49, 91),
    (192, 65, 83), (213, 81, 71), (233, 100, 53), (245, 124, 39), (253, 150, 34), (255, 177, 54), (254, 203, 101),
    (253, 227, 147), (252, 250, 190),
)  # fmt: skip


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


def common_transform(maps: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
    """Every map made a soft region, in [0, 1], by one recipe that knows nothing of its method.

    A Gaussian blur of 1/56 of the longer side (2 pixels at 112), min-max to [0, 1], and a logistic curve of width 0.05
    around Otsu's threshold (Otsu 1979, 256 bins), min-max again. A map that is the same everywhere becomes zero.
    """
    from scipy.ndimage import gaussian_filter

    sigma = max(maps.shape[1:]) / 56
    blurred = rescale(gaussian_filter(maps.astype(np.float64), (0, sigma, sigma)))
    middle = np.array([_otsu(one) for one in blurred]).reshape(-1, 1, 1)
    return rescale(1 / (1 + np.exp((middle - blurred) / 0.05))).astype(maps.dtype)


def _otsu(one: Float[np.ndarray, "h w"]) -> float:
    """The threshold in [0, 1] that leaves the least variance on its two sides."""
    counts, edges = np.histogram(one, bins=256, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below, weighted = counts.cumsum()[:-1], (counts * centres).cumsum()
    above = one.size - below
    filled = (below > 0) & (above > 0)
    gap = weighted[:-1] / np.maximum(below, 1) - (weighted[-1] - weighted[:-1]) / np.maximum(above, 1)
    between = np.where(filled, below * above * gap**2, 0)
    best = np.flatnonzero(between == between.max())  # several where bins between the sides are empty
    return float(edges[1:-1][best].mean())


def colourize(heat: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Colours of a map in [0, 1] on the ramp from dark (0) to bright (1)."""
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(heat, stops, np.array(RAMP)[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlay(
    image: UInt8[np.ndarray, "h w 3"], heat: Float[np.ndarray, "h w"], strength: float = 0.95
) -> UInt8[np.ndarray, "h w 3"]:
    """The map's colours over the image in dark grey, the more opaque the higher the map: what is bright is high."""
    grey = image.astype(np.float64) @ (0.2126, 0.7152, 0.0722)
    ground = np.repeat((8 + grey * 0.3)[..., None], 3, axis=-1)
    opacity = strength * np.clip(heat, 0, 1)[..., None] ** 0.6
    return (ground * (1 - opacity) + colourize(heat) * opacity).round().astype(np.uint8)
