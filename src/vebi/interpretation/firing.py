"""Where a feature fires in an image: the window around its strongest position, and its light."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from scipy import ndimage

from vebi.backprop.receptive_field import ReceptiveField

#: Positions around the strongest one belong to it that have at least this share of its activation ...
BLOB = 0.5
#: ... and the window is so many positions wider than they are.
CONTEXT = 2
#: Pixels of a window, at least.
SMALLEST = 16
#: What is nearer to the outside of an image than this share of a crop fades.
FADE = 0.25
#: How bright what is not lit stays, and the exponent of the light: activations fall off steeply.
DIM, GAMMA = 0.35, 0.7


@dataclass(frozen=True)
class Window:
    """A square part of an image, which may reach beyond it.

    Attributes:
        top: First row.
        left: First column.
        side: Rows and columns.
    """

    top: int
    left: int
    side: int

    @classmethod
    def around(cls, center: tuple[float, float], side: int) -> "Window":
        """The window whose middle is nearest to ``center``, (y, x) in pixels."""
        top, left = (round(c - side / 2) for c in center)
        return cls(top, left, side)

    def moved_inside(self, size: int) -> "Window":
        """The nearest window of this size inside an image of ``size`` x ``size`` pixels."""
        side = min(self.side, size)
        top, left = (min(max(start, 0), size - side) for start in (self.top, self.left))
        return Window(top, left, side)

    def doubled(self) -> "Window":
        """Twice as large around the same middle."""
        return Window(self.top - self.side // 2, self.left - self.side // 2, 2 * self.side)


def firing_window(activation: Float[np.ndarray, "h w"], field: ReceptiveField, size: int) -> Window:
    """Where a feature fires most: as large as its strongest spot and a little around it, not as all that it could see.

    Args:
        activation: Its activations for one image.
        field: The receptive field of its layer.
        size: Height and width of the network's input.

    Returns:
        The window; the whole image for a feature without positions.
    """
    if activation.size == 1:
        return Window(0, 0, size)
    strength = np.abs(activation)
    y, x = np.unravel_index(int(strength.argmax()), strength.shape)
    spots, _ = ndimage.label(strength >= BLOB * strength[y, x])
    rows, columns = np.nonzero(spots == spots[y, x])
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    side = round((max(np.ptp(rows), np.ptp(columns)) + 1 + CONTEXT) * max(field.jump))
    return Window.around(_center(middle, field), min(max(side, min(SMALLEST, size)), size))


def _center(position: tuple[float, float], field: ReceptiveField) -> tuple[float, float]:
    """The pixel (y, x) that a position looks at."""
    y, x = (s + j * p + n / 2 for s, j, p, n in zip(field.start, field.jump, position, field.size, strict=True))
    return y, x


def cut(
    image: UInt8[np.ndarray, "size size 3"], window: Window, side: int
) -> tuple[Float[np.ndarray, "side side 3"], Float[np.ndarray, "side side"]]:
    """A window of an image at another size, and how far each pixel counts.

    What lies outside the image has no colour of its own and does not count; towards it pixels fade, so that no edge of
    an image is taken for one in it.

    Args:
        image: The pixels.
        window: The part.
        side: Rows and columns of the result.

    Returns:
        The pixels, 0 to 255, and their weights in [0, 1].
    """
    size, span = image.shape[0], np.arange(window.side)
    rows, columns = window.top + span, window.left + span
    inside = ((rows >= 0) & (rows < size))[:, None] & ((columns >= 0) & (columns < size))
    nearest = image[rows.clip(0, size - 1)][:, columns.clip(0, size - 1)]
    pixels = Image.fromarray(nearest).resize((side, side), Image.Resampling.LANCZOS)
    mask = np.asarray(Image.fromarray(255 * inside.astype(np.uint8)).resize((side, side), Image.Resampling.BOX)) / 255
    if mask.min() < 1:  # the further inside, the more it counts
        mask = mask * np.minimum(1, ndimage.distance_transform_edt(mask == 1) / (FADE * side))
    return np.asarray(pixels, np.float64), mask


def light_of(activation: Float[np.ndarray, "h w"], field: ReceptiveField, size: int) -> Float[np.ndarray, "size size"]:
    """The activations of a feature, enlarged between the pixels that its positions look at.

    Args:
        activation: The activations for one image.
        field: The receptive field of the layer.
        size: Height and width of the network's input.

    Returns:
        The light at every pixel, in [0, 1]: 1 where the feature fires most, and everywhere for one without positions.
    """
    strength = np.abs(activation)
    highest = strength.max()
    if strength.size == 1 or highest == 0:
        return np.ones((size, size))
    axes = [
        (np.arange(size) + 0.5 - start - extent / 2) / jump
        for start, extent, jump in zip(field.start, field.size, field.jump, strict=True)
    ]
    places = np.meshgrid(*axes, indexing="ij")
    light: Float[np.ndarray, "size size"] = ndimage.map_coordinates(strength / highest, places, order=1, mode="nearest")
    return light.clip(0, 1)


def light_up(
    image: UInt8[np.ndarray, "size size 3"], light: Float[np.ndarray, "size size"], softness: float = 1.0
) -> UInt8[np.ndarray, "size size 3"]:
    """An image, dark and grey but where there is light.

    Args:
        image: The pixels.
        light: See ``light_of``.
        softness: Above 1 the light falls off more slowly.

    Returns:
        The image.
    """
    strength = light[..., None] ** (GAMMA / softness)
    grey = DIM * image.mean(axis=2, keepdims=True) + 20
    lit: np.ndarray = strength * image + (1 - strength) * grey
    return lit.clip(0, 255).round().astype(np.uint8)


def show(lit: UInt8[np.ndarray, "size size 3"], window: Window, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """What is shown of a lit image: twice the window, which is the whole image for a feature that sees much.

    Args:
        lit: The image.
        window: Where the feature fired.
        side: Rows and columns of the result.

    Returns:
        The part of the image.
    """
    shown = window.doubled().moved_inside(lit.shape[0])
    part = lit[shown.top : shown.top + shown.side, shown.left : shown.left + shown.side]
    return np.asarray(Image.fromarray(part).resize((side, side), Image.Resampling.LANCZOS))
