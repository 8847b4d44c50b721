"""One transform for the maps of every method."""

import numpy as np
from jaxtyping import Float

from vebi.backprop.heatmaps import rescale


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
