"""An exemplar as one picture: the average beside single crops."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vebi.interpretation.exemplars import Exemplar


def vivid(exemplar: Exemplar, most: float = 2.0) -> UInt8[np.ndarray, "h w 3"]:
    """The average with the contrast of light and dark that single crops have and averaging takes away, raised ``most``-
    fold at most. Colours stay, and so does an average of crops that are plain themselves.
    """
    light = exemplar.average.mean(axis=2, keepdims=True)
    lost = light.std()
    if len(exemplar.crops) == 0 or lost == 0:
        return exemplar.average
    factor = np.clip(exemplar.crops.mean(axis=3).std(axis=(1, 2)).mean() / lost, 1, most)
    return (exemplar.average + (factor - 1) * (light - light.mean())).clip(0, 255).round().astype(np.uint8)


def sheet(exemplar: Exemplar, side: int = 112, gap: int = 4) -> Image.Image:
    """The average, twice as large, beside single crops, as one picture; pixels are enlarged as they are."""
    big = 2 * side + gap
    columns = max(1, (len(exemplar.crops) + 1) // 2)
    page = Image.new("RGB", (big + columns * (side + gap), big), "white")
    page.paste(enlarge(exemplar.average, big), (0, 0))
    for k, crop in enumerate(exemplar.crops):
        page.paste(enlarge(crop, side), (big + gap + (k // 2) * (side + gap), (k % 2) * (side + gap)))
    return page


def enlarge(pixels: UInt8[np.ndarray, "h w 3"], side: int) -> Image.Image:
    """A picture scaled to ``side`` x ``side``: small crops by whole pixels, without inventing detail."""
    smooth = max(pixels.shape[:2]) > side
    return Image.fromarray(pixels).resize(
        (side, side), Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    )
