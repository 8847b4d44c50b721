"""An exemplar as one figure: the average image beside single crops."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vebi.interpretation.exemplars import Exemplar


def restore_contrast(exemplar: Exemplar, most: float = 2.0) -> UInt8[np.ndarray, "h w 3"]:
    """The average image with the contrast of light and dark that single crops have and averaging takes away.

    Colours stay, and so does an average of crops that have no contrast themselves.

    Args:
        exemplar: The exemplar of a feature.
        most: The contrast is raised so many times at most, at least 1.

    Returns:
        The average, 0 to 255.
    """
    light = exemplar.average.mean(axis=2, keepdims=True)
    contrast = light.std()
    if len(exemplar.crops) == 0 or contrast == 0:
        return exemplar.average
    factor = np.clip(exemplar.crops.mean(axis=3).std(axis=(1, 2)).mean() / contrast, 1, most)
    restored: np.ndarray = exemplar.average + (factor - 1) * (light - light.mean())
    return restored.clip(0, 255).round().astype(np.uint8)


def contact_sheet(exemplar: Exemplar, side: int = 112, gap: int = 4) -> Image.Image:
    """The average, twice as large, beside single crops in two rows.

    Args:
        exemplar: The exemplar of a feature.
        side: Side of a crop in the figure, in pixels.
        gap: Pixels between two crops.

    Returns:
        The figure.
    """
    large = 2 * side + gap
    columns = max(1, (len(exemplar.crops) + 1) // 2)
    page = Image.new("RGB", (large + columns * (side + gap), large), "white")
    page.paste(resize_square(exemplar.average, large), (0, 0))
    for k, crop in enumerate(exemplar.crops):
        page.paste(resize_square(crop, side), (large + gap + (k // 2) * (side + gap), (k % 2) * (side + gap)))
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
