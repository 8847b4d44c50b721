"""How much of a heatmap is grid: energy at the frequencies of a network's strides. The measures are vebi's own."""

import numpy as np
from jaxtyping import Float

from vebi.errors import UsageError


def grid_energy(maps: Float[np.ndarray, "n h w"], stride: int) -> Float[np.ndarray, " n"]:
    """The share of every map's energy at the non-zero multiples of 1/stride, in [0, 1]; lower is better.

    A stride-s convolution that visits some pixels more often than others prints a pattern of period s: lines in the
    spectrum at (k/s, l/s), k and l not both 0. The map is cut to a multiple of the stride, so that these frequencies
    are bins of the Fourier transform, and windowed (Hann), so that its border does not leak into them; of every bin
    the eight around it count too, into which window and object spread a line. The mean, (0, 0) with its neighbours, is
    no part of the energy. White noise has the share of the bins; a map without any energy has 0.
    Raises UsageError for a stride below 2 or maps that are smaller than four strides.
    """
    height, width = _cut(maps, stride)
    power = _power(maps[:, :height, :width])
    lines = np.zeros((height, width), bool)
    mean = np.zeros((height, width), bool)
    for k in range(stride):
        for line in range(stride):
            around = np.ix_(_near(k * height // stride, height), _near(line * width // stride, width))
            (mean if k == line == 0 else lines)[around] = True
    total = power[:, ~mean].sum(axis=1)
    return np.where(total > 0, power[:, lines & ~mean].sum(axis=1) / np.where(total > 0, total, 1), 0.0)


def low_pass(maps: Float[np.ndarray, "n h w"], stride: int) -> Float[np.ndarray, "n h w"]:
    """What a map holds below half the lowest grid frequency, 1 / (2 stride): its content without any grid."""
    _cut(maps, stride)
    frequencies = [np.abs(np.fft.fftfreq(side)) for side in maps.shape[1:]]
    kept = np.maximum(*np.meshgrid(*frequencies, indexing="ij")) < 0.5 / stride
    return np.fft.ifft2(np.fft.fft2(maps) * kept).real


def low_pass_correlation(
    one: Float[np.ndarray, "n h w"], other: Float[np.ndarray, "n h w"], stride: int
) -> Float[np.ndarray, " n"]:
    """Pearson correlation of what two maps hold below the grid, in [-1, 1]; 0 where one of them is constant."""
    a, b = (low_pass(maps, stride).reshape(len(maps), -1) for maps in (one, other))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(scale > 1e-12, (a * b).sum(axis=1) / np.where(scale > 1e-12, scale, 1), 0.0)


def _cut(maps: np.ndarray, stride: int) -> tuple[int, int]:
    """The largest multiples of the stride that fit into the maps."""
    height, width = (side // stride * stride if stride > 1 else 0 for side in maps.shape[1:])
    if min(height, width) < 4 * max(stride, 1):
        raise UsageError(
            f"the stride is {stride} and the maps have {maps.shape[1]} x {maps.shape[2]} pixels: "
            f"give a stride of at least 2 and maps of at least four strides"
        )
    return height, width


def _power(maps: np.ndarray) -> np.ndarray:
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in maps.shape[1:]))
    weighted = (maps * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    return np.abs(np.fft.fft2((maps - weighted) * window)) ** 2


def _near(place: int, side: int) -> list[int]:
    return [(place + step) % side for step in (-1, 0, 1)]
