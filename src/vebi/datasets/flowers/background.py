"""What is drawn behind a flower."""

import numpy as np

from vebi.datasets.flowers.variants import linear
from vebi.errors import UsageError

BACKGROUNDS = ("plain", "noise", "gradient")


_PLAIN = linear("#e3e5e6")


def draw_background(rng: np.random.Generator, kind: str, size: int) -> np.ndarray:
    """A background (size, size, 3) float32 in linear light.

    Args:
        rng: The generator of the image; ``plain`` draws nothing.
        kind: ``plain``, smooth ``noise`` or a ``gradient``.
        size: Side of the image in pixels.

    Raises:
        UsageError: There is no such kind.
    """
    if kind == "plain":
        return np.broadcast_to(_PLAIN.astype(np.float32), (size, size, 3))
    if kind == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        x, y = np.meshgrid(*[(np.arange(size) + 0.5) / size - 0.5] * 2)
        fraction = np.clip(0.5 + (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2) * 1.2, 0, 1)[..., None]
        ends = rng.uniform(0.22, 0.9, (2, 1)) * rng.uniform(0.86, 1.0, (2, 3))
        return np.asarray(fraction * ends[0] + (1 - fraction) * ends[1], dtype=np.float32)
    if kind == "noise":
        field = sum(_clouds(rng, size, cells) / (1 + level) for level, cells in enumerate((3, 6, 14, 40)))
        return np.clip(0.5 + 0.1 * field, 0.06, 0.95).astype(np.float32)
    raise UsageError(f"there is no background {kind!r}: choose one of {', '.join(BACKGROUNDS)}")


def _clouds(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise (size, size, 3), nearly grey, from a lattice of ``cells`` x ``cells`` random values."""
    lattice = rng.normal(size=(cells + 1, cells + 1, 1)) + 0.12 * rng.normal(size=(cells + 1, cells + 1, 3))
    position = (np.arange(size) + 0.5) / size * cells
    low = position.astype(int)
    fraction = position - low
    fraction = fraction * fraction * (3 - 2 * fraction)
    rows = lattice[low] + fraction[:, None, None] * (lattice[low + 1] - lattice[low])
    noise: np.ndarray = rows[:, low] + fraction[None, :, None] * (rows[:, low + 1] - rows[:, low])
    return noise
