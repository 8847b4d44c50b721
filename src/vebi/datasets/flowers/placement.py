"""From a shaded frame to one image: colour, placement in the image plane, background, encoding.

Everything random is drawn from a generator of its own for each image, so an image does not depend on any other.
Coordinates of a plane run from -1 to 1 between the outer edges of its first and last pixels, whatever its resolution;
image and mask are placed by the same map, and so agree.
"""

from dataclasses import dataclass

import numpy as np

from vebi.datasets.flowers.rendering import Shading
from vebi.datasets.flowers.variants import FlowerClass, encode

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


def draw_placement(rng: np.random.Generator, outline: np.ndarray) -> Placement:
    """Draws a placement that keeps a flower inside the image.

    The rotation is up to 90 degrees either way, the scale 0.82 to 1, and the position uniform over all that keep the
    outline inside. A flower that is too wide after its rotation shrinks.

    Args:
        rng: The generator of the image.
        outline: N x 2 points of the flower, see ``outline``.
    """
    angle, scale = rng.uniform(-np.pi / 2, np.pi / 2), rng.uniform(0.82, 1.0)
    points = outline @ Placement(angle, 1.0, (0.0, 0.0)).matrix().T
    low, high = points.min(axis=0), points.max(axis=0)
    room = 1 - _MARGIN
    scale = min(scale, 2 * room / float((high - low).max()))
    shift = rng.uniform(-room - scale * low, room - scale * high + 1e-9)
    return Placement(angle, scale, (float(shift[0]), float(shift[1])))


def outline(coverage: np.ndarray) -> np.ndarray:
    """The outer edges (N, 2) of the flower in ``coverage`` (S, S), row by row, as (right, down) in [-1, 1]."""
    side = len(coverage)
    inside = coverage > 0
    rows = np.flatnonzero(inside.any(axis=1))
    left, right = inside[rows].argmax(axis=1), side - inside[rows, ::-1].argmax(axis=1)
    corners = [np.stack([x, y], axis=1) for x in (left, right) for y in (rows, rows + 1)]
    return 2 * np.concatenate(corners) / side - 1


def colour(shading: Shading, flower_class: FlowerClass) -> np.ndarray:
    """The frame in the colours of a class: (4, S, S) float32, linear red, green, blue (premultiplied) and coverage."""
    frame = np.zeros((4, *shading.labels.shape), dtype=np.float32)
    frame[3] = shading.stack[-1]
    for channel, row in enumerate(flower_class.weights().astype(np.float32)):
        for weight, layer in zip(row, shading.stack[:-1], strict=True):
            if weight:
                frame[channel] += weight * layer
    return frame


def compose(
    frame: np.ndarray, labels: np.ndarray, placement: Placement, background: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places a coloured frame on a background.

    Args:
        frame: 4 x S x S, see ``colour``.
        labels: S x S part labels of the frame.
        placement: The position of the flower.
        background: size x size x 3 linear light.

    Returns:
        The image (size, size, 3) and its part labels (size, size), both uint8.
    """
    size = len(background)
    fine = _sample(frame, placement, OVERSAMPLING * size, "bilinear")
    offsets = [(row, column) for row in range(OVERSAMPLING) for column in range(OVERSAMPLING)]
    summed = np.asarray(sum(fine[:, i::OVERSAMPLING, j::OVERSAMPLING] for i, j in offsets))
    pooled = summed / np.float32(len(offsets))
    light = pooled[:3].transpose(1, 2, 0) + (1 - pooled[3])[..., None] * background
    image = _TO_SRGB[(np.clip(light, 0, 1) * 65535 + 0.5).astype(np.uint16)]
    mask = _sample(labels[None].astype(np.float32), placement, size, "nearest")[0]
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
