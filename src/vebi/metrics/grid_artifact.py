"""How much of a heatmap is grid: energy at the frequencies of a network's strides. The measures are vebi's own."""

import numpy as np
from jaxtyping import Bool, Float

from vebi.errors import UsageError

#: An amplitude this small beside the map itself is rounding.
ROUNDING = 1e-12


def grid_energy(maps: Float[np.ndarray, "n h w"], stride: int) -> Float[np.ndarray, " n"]:
    """Computes the share of every map's energy at the non-zero multiples of 1/stride. Lower is better.

    A stride-s convolution that visits some pixels more often than others prints a pattern of period s: lines in the
    spectrum at (k/s, l/s), k and l not both 0. The map is cropped to a multiple of the stride, so that these
    frequencies are bins of the Fourier transform, and windowed (Hann), so that its border does not leak into them; of
    every bin the eight around it count too, over which window and object smear a line. The mean, (0, 0) with its
    neighbours, is no part of the energy. Read it beside ``white_noise``, the share of a map without any order.

    Args:
        maps: Heatmaps of any scale, n x h x w.
        stride: Period of the grid in pixels, at least 2.

    Returns:
        Shares in [0, 1], n; 0 for a map that is the same everywhere.

    Raises:
        UsageError: A stride below 2, or maps that are smaller than four strides.

    Example:
        >>> grid = np.tile([[1.0, 0.0], [0.0, 0.0]], (1, 16, 16))
        >>> vebi.metrics.grid_energy(grid, stride=2).round(2)
        array([1.])
    """
    _, height, width = maps.shape
    lines, mean = _bins(height, width, stride)
    height, width = lines.shape
    power, floor = _power(maps[:, :height, :width].astype(np.float64))
    total = power[:, ~mean].sum(axis=1)
    varies = total > floor
    return np.where(varies, power[:, lines].sum(axis=1) / np.where(varies, total, 1), 0.0)


def white_noise(height: int, width: int, stride: int) -> float:
    """The share of the bins that ``grid_energy`` counts as grid, which is what white noise has.

    It grows with the square of the stride: at large strides much of it is ordinary detail.

    Args:
        height: Of the maps.
        width: Of the maps.
        stride: Period of the grid in pixels.

    Returns:
        A share in [0, 1].

    Raises:
        UsageError: See ``grid_energy``.

    Example:
        >>> round(vebi.metrics.white_noise(112, 112, stride=2), 4)
        0.0022
    """
    lines, mean = _bins(height, width, stride)
    return float(lines.sum() / (~mean).sum())


def low_pass(maps: Float[np.ndarray, "n h w"], stride: int) -> Float[np.ndarray, "n h w"]:
    """What maps hold below half the lowest grid frequency, 1 / (2 stride): their content without any grid.

    Args:
        maps: Heatmaps, n x h x w.
        stride: Period of the grid in pixels.

    Returns:
        The same shape, float64.

    Raises:
        UsageError: See ``grid_energy``.
    """
    _, height, width = maps.shape
    _cropped_size(height, width, stride)
    maps = maps.astype(np.float64)
    frequencies = [np.abs(np.fft.fftfreq(side)) for side in maps.shape[1:]]
    low = np.maximum(*np.meshgrid(*frequencies, indexing="ij")) < 0.5 / stride
    return np.fft.ifft2(np.fft.fft2(maps) * low).real


def low_pass_correlation(
    one: Float[np.ndarray, "n h w"], other: Float[np.ndarray, "n h w"], stride: int
) -> Float[np.ndarray, " n"]:
    """Pearson correlation of what two maps hold below the grid frequencies.

    Args:
        one: Heatmaps, n x h x w.
        other: As many, to compare with.
        stride: Period of the grid in pixels.

    Returns:
        Correlations in [-1, 1], n; 0 where one of the two is constant.

    Raises:
        UsageError: See ``grid_energy``.

    Example:
        >>> maps = np.random.default_rng(0).random((1, 32, 32))
        >>> vebi.metrics.low_pass_correlation(maps, 2 * maps + 1, stride=2).round(6)
        array([1.])
    """
    a, b = (_unit(low_pass(maps, stride).reshape(len(maps), -1)) for maps in (one, other))
    correlation: np.ndarray = (a * b).sum(axis=1)
    return correlation


def _unit(rows: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "n p"]:
    """Rows without their means, scaled to length 1; zeros where nothing but rounding is left."""
    varying = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(varying, axis=1, keepdims=True)
    varies = length > ROUNDING * np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(varies, varying / np.where(varies, length, 1), 0.0)


def _cropped_size(height: int, width: int, stride: int) -> tuple[int, int]:
    """The largest multiples of the stride that fit into the maps."""
    if stride < 2 or min(height, width) < 4 * stride:
        raise UsageError(
            f"the stride is {stride} and the maps have {height} x {width} pixels: "
            f"give a stride of at least 2 and maps of at least four strides"
        )
    return height // stride * stride, width // stride * stride


def _bins(height: int, width: int, stride: int) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Which bins of the cropped map's spectrum are grid, and which belong to the mean."""
    height, width = _cropped_size(height, width, stride)
    lines, mean = np.zeros((height, width), bool), np.zeros((height, width), bool)
    for k in range(stride):
        for line in range(stride):
            around = np.ix_(_near(k * height // stride, height), _near(line * width // stride, width))
            (mean if k == line == 0 else lines)[around] = True
    return lines, mean


def _power(maps: Float[np.ndarray, "n h w"]) -> tuple[Float[np.ndarray, "n h w"], Float[np.ndarray, " n"]]:
    """The windowed power spectra without the mean, and the energy that rounding alone leaves of every map."""
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in maps.shape[1:]))
    weighted = (maps * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    energy = (maps * window) ** 2
    return np.abs(np.fft.fft2((maps - weighted) * window)) ** 2, ROUNDING**2 * energy.sum(axis=(1, 2)) * window.size


def _near(index: int, side: int) -> list[int]:
    """A bin and its two neighbours, around the edge."""
    return [(index + step) % side for step in (-1, 0, 1)]
