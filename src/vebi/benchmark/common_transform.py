"""One transform for the heatmaps of every method."""

import numpy as np
from jaxtyping import Float

from vebi.backprop.heatmaps import otsu_threshold, rescale


def common_transform(maps: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
    """Turns every map into a soft region by one recipe that does not depend on the method.

    A Gaussian blur of 1/56 of the longer side (2 pixels at 112), min-max scaling, a logistic curve of width 0.05 around
    Otsu's threshold (256 bins), and min-max scaling again.

    Args:
        maps: Heatmaps of any range.

    Returns:
        Maps in [0, 1] of the same type; a map that is constant becomes zero.

    Reference:
        Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Transactions on Systems, Man, and
        Cybernetics 9(1), 1979.
    """
    from scipy.ndimage import gaussian_filter

    sigma = max(maps.shape[1:]) / 56
    blurred = rescale(gaussian_filter(maps.astype(np.float64), (0, sigma, sigma)))
    thresholds = np.array([otsu_threshold(values) for values in blurred]).reshape(-1, 1, 1)
    return rescale(1 / (1 + np.exp((thresholds - blurred) / 0.05))).astype(maps.dtype)
