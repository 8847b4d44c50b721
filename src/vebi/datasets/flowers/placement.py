"""From a coloured frame to one image: placement in the image plane, what is behind and in front, encoding.

Everything random is drawn from a generator of its own for each image, so an image does not depend on any other.
Coordinates of a plane run from -1 to 1 between the outer edges of its first and last pixels, whatever its resolution;
image and mask are placed by the same map, and so agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vebi.datasets.flowers.variants import encode

#: From the generator of an image to the image (size, size, 3) and its part labels (size, size), both uint8.
Painter = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]

OVERSAMPLING = 2  # the shading, and the samples taken of it, per pixel of the image and axis

_MARGIN = 0.02  # of the half side, kept free around the flower
_TO_SRGB = np.round(255 * encode(np.arange(65536) / 65535)).astype(np.uint8)


@dataclass(frozen=True)
class Placement:
    """The position of a flower in its image.

    Attributes:
        angle: Rotation in radians, anticlockwise.
        scale: 1 keeps the size of the frame.
        shift: Translation (right, down), in half sides of the image.
    """

    angle: float
    scale: float
    shift: tuple[float, float]

    def matrix(self) -> np.ndarray:
        """The map (2, 2) that rotates and scales a point (right, down) of the frame."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return self.scale * np.array([[c, s], [-s, c]])


def draw_placement(
    rng: np.random.Generator,
    outline: np.ndarray,
    *,
    angle: float = np.pi / 2,
    scales: tuple[float, float] = (0.82, 1.0),
    spread: float = 1.0,
) -> Placement:
    """Draws a placement that keeps a flower inside the image.

    Rotation and scale are uniform over their ranges. The position has a beta distribution between the ends that keep
    the outline inside, in either direction. A flower that is too wide after its rotation shrinks.

    Args:
        rng: The generator of the image.
        outline: N x 2 points of the flower, see ``outline``.
        angle: The largest rotation either way, in radians.
        scales: The smallest and the largest scale.
        spread: Both parameters of the beta distribution: 1 makes it uniform, less prefers the ends to the middle.
    """
    angle, scale = rng.uniform(-angle, angle), rng.uniform(*scales)
    points = outline @ Placement(angle, 1.0, (0.0, 0.0)).matrix().T
    low, high = points.min(axis=0), points.max(axis=0)
    room = 1 - _MARGIN
    scale = min(scale, 2 * room / float((high - low).max()))
    first, last = -room - scale * low, room - scale * high + 1e-9
    shift = first + (last - first) * (rng.random(2) if spread == 1 else rng.beta(spread, spread, 2))
    return Placement(angle, scale, (float(shift[0]), float(shift[1])))


def outline(coverage: np.ndarray) -> np.ndarray:
    """The outer edges (N, 2) of the flower in ``coverage`` (S, S), row by row, as (right, down) in [-1, 1]."""
    side = len(coverage)
    inside = coverage > 0
    rows = np.flatnonzero(inside.any(axis=1))
    left, right = inside[rows].argmax(axis=1), side - inside[rows, ::-1].argmax(axis=1)
    corners = [np.stack([x, y], axis=1) for x in (left, right) for y in (rows, rows + 1)]
    return 2 * np.concatenate(corners) / side - 1


def compose(
    frame: np.ndarray,
    labels: np.ndarray,
    placement: Placement,
    background: np.ndarray,
    *,
    front: np.ndarray | None = None,
    light: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Places a coloured frame on a background.

    Args:
        frame: 4 x S x S float32, linear red, green, blue (premultiplied) and coverage.
        labels: S x S part labels of the frame.
        placement: The position of the flower.
        background: size x size x 3 linear light.
        front: size x size x 4 premultiplied linear light and coverage of what stands in front of the flower. Where it
            covers more than half of a pixel, the pixel has no label.
        light: Factors (3,) of the red, green and blue of everything.

    Returns:
        The image (size, size, 3) and its part labels (size, size), both uint8.
    """
    size = len(background)
    fine = _sample(frame, placement, OVERSAMPLING * size, "bilinear")
    offsets = [(row, column) for row in range(OVERSAMPLING) for column in range(OVERSAMPLING)]
    summed = np.asarray(sum(fine[:, i::OVERSAMPLING, j::OVERSAMPLING] for i, j in offsets))
    pooled = summed / np.float32(len(offsets))
    scene = pooled[:3].transpose(1, 2, 0) + (1 - pooled[3])[..., None] * background
    mask = _sample(labels[None].astype(np.float32), placement, size, "nearest")[0]
    if front is not None:
        scene = front[..., :3] + (1 - front[..., 3:]) * scene
        mask[front[..., 3] > 0.5] = 0
    if light is not None:
        scene = scene * light
    image = _TO_SRGB[(np.clip(scene, 0, 1) * 65535 + 0.5).astype(np.uint16)]
    return image, mask.astype(np.uint8)


def _sample(layers: np.ndarray, placement: Placement, side: int, mode: str) -> np.ndarray:
    """``layers`` (C, S, S) float32 under a placement, sampled at the pixel centres of a (side, side) plane."""
    import torch  # here, so that vebi.datasets.flowers is light to import

    inverse = np.linalg.inv(placement.matrix())
    centres = (2 * np.arange(side) + 1) / side - 1
    right, down = centres[None, :] - placement.shift[0], centres[:, None] - placement.shift[1]
    grid = np.empty((1, side, side, 2), dtype=np.float32)
    grid[0, ..., 0] = inverse[0, 0] * right + inverse[0, 1] * down
    grid[0, ..., 1] = inverse[1, 0] * right + inverse[1, 1] * down
    source = torch.from_numpy(layers)[None]
    with torch.no_grad():
        placed = torch.nn.functional.grid_sample(source, torch.from_numpy(grid), mode=mode, align_corners=False)
    image: np.ndarray = placed[0].numpy()
    return image
