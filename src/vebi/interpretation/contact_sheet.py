"""An exemplar as images to look at: one that stands for the feature, and one figure of all."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vebi.interpretation.exemplars import Exemplar

#: Consistency below which the average says little: spotlights tell what the feature is.
LOOSE = 0.25


def is_loose(exemplar: Exemplar) -> bool:
    """Whether the average says little, because the crops are hardly alike.

    Args:
        exemplar: The exemplar of a feature.
    """
    return exemplar.consistency is not None and exemplar.consistency < LOOSE and bool(exemplar.spotlights)


def stand_in(exemplar: Exemplar) -> UInt8[np.ndarray, "h w 3"]:
    """The one image that stands for a feature: its average, or the first spotlight where the average says little.

    Args:
        exemplar: The exemplar of the feature.
    """
    return exemplar.spotlights[0].pixels if is_loose(exemplar) else restore_contrast(exemplar)


def restore_contrast(exemplar: Exemplar, most: float = 2.0) -> UInt8[np.ndarray, "h w 3"]:
    """The average image with the contrast that single crops have and averaging takes away.

    Every colour moves away from the mean colour by one factor: nothing appears that was not there.

    Args:
        exemplar: The exemplar of a feature.
        most: The contrast is raised so many times at most, at least 1.

    Returns:
        The average, 0 to 255.
    """
    pixels = exemplar.average.pixels
    contrast = float(pixels.mean(axis=2).std())
    if contrast == 0:
        return pixels
    factor, color = np.clip(exemplar.contrast / contrast, 1, most), pixels.mean(axis=(0, 1))
    restored: np.ndarray = color + factor * (pixels - color)
    return restored.clip(0, 255).round().astype(np.uint8)


def contact_sheet(exemplar: Exemplar, side: int = 112, gap: int = 4) -> Image.Image:
    """The images in which a feature is strongest, lit where it fired, in two rows, and the average beside them.

    Args:
        exemplar: The exemplar of a feature.
        side: Side of an image in the figure, in pixels.
        gap: Pixels between two.

    Returns:
        The figure.
    """
    columns = max(1, (len(exemplar.spotlights) + 1) // 2)
    left = columns * (side + gap)
    page = Image.new("RGB", (left + side, 2 * side + gap), "white")
    for k, image in enumerate(exemplar.spotlights):
        page.paste(resize_square(image.pixels, side), ((k % columns) * (side + gap), (k // columns) * (side + gap)))
    page.paste(resize_square(restore_contrast(exemplar), side), (left, 0))
    return page


def resize_square(pixels: UInt8[np.ndarray, "h w 3"], side: int) -> Image.Image:
    """An image scaled to a square: small ones by nearest neighbours, so that no detail is invented.

    Args:
        pixels: The image.
        side: Side of the square in pixels.

    Returns:
        The scaled image.
    """
    shrinks = max(pixels.shape[:2]) > side
    return Image.fromarray(pixels).resize(
        (side, side), Image.Resampling.LANCZOS if shrinks else Image.Resampling.NEAREST
    )
