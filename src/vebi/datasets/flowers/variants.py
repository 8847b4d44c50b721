"""The two variants of the data set: their classes, the colour of each and the part that carries it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vebi.datasets.flowers.scene import PARTS
from vebi.errors import UsageError

# Deep and bright end of each colour, sRGB. Light is white, so shading moves them towards black but not towards each
# other; greens are left to leaves and stem, and the centre is nearly black.
COLOURS = {
    "red": ("#9c0b16", "#f2443c"),
    "orange": ("#d24a05", "#ff9a38"),
    "yellow": ("#dd9c00", "#ffe352"),
    "blue": ("#16369f", "#5f92f7"),
    "violet": ("#4a1a8f", "#a673e6"),
    "pink": ("#cc3a86", "#ff9fcd"),
}
CREAM = ("#d8c690", "#fffaf0")
GREEN = ("#35802b", "#4f9a3c")

VARIANTS = {"single-6c": ("petals",), "double-12c": ("petals", "leaves")}  # the parts that carry a class's colour


@dataclass(frozen=True)
class FlowerClass:
    """One class.

    Attributes:
        name: Its name, as of the folder of its images.
        colour: A key of COLOURS.
        carrier: The part that has this colour, a key of PARTS.
    """

    name: str
    colour: str
    carrier: str

    @property
    def rgb(self) -> list[int]:
        """The colour halfway between its deep and its bright end, as 8-bit sRGB."""
        return [round(255 * float(c)) for c in encode(_blend(COLOURS[self.colour], 0.5))]

    def weights(self) -> np.ndarray:
        """(3, 6): the linear red, green and blue of each albedo of ``scene.BASIS``."""
        petals = COLOURS[self.colour] if self.carrier == "petals" else CREAM
        leaves = COLOURS[self.colour] if self.carrier == "leaves" else GREEN
        deep, bright = (linear(end) for end in petals)
        return np.column_stack([deep, bright, _blend(leaves, 0.7), np.eye(3)])


def classes(variant: str) -> list[FlowerClass]:
    """The classes of a variant in the order of their indices.

    Args:
        variant: ``single-6c`` or ``double-12c``.

    Raises:
        UsageError: There is no such variant.
    """
    if variant not in VARIANTS:
        raise UsageError(f"there is no variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    carriers = VARIANTS[variant]
    return [
        FlowerClass(colour if len(carriers) == 1 else f"{carrier}-{colour}", colour, carrier)
        for carrier in carriers
        for colour in COLOURS
    ]


def carrier_mask(label_image: np.ndarray, which: str | int, dataset: dict[str, Any]) -> np.ndarray:
    """Finds the pixels of the part that carries a class.

    Args:
        label_image: h x w part labels, as they are stored under ``masks/``.
        which: The class, by name or by index.
        dataset: What ``load_dataset`` returns.

    Returns:
        h x w booleans: the mask of the class.

    Raises:
        UsageError: The data set has no such class.

    Example:
        >>> dataset = {"classes": [{"name": "red", "carrier": "petals"}]}
        >>> vebi.datasets.flowers.carrier_mask(np.array([[0, 1], [1, 4]]), "red", dataset)
        array([[False,  True],
               [ True, False]])
    """
    entries = dataset["classes"]
    if isinstance(which, str):
        matches = [entry for entry in entries if entry["name"] == which]
    else:
        matches = [entries[which]] if 0 <= which < len(entries) else []
    if not matches:
        names = ", ".join(entry["name"] for entry in entries)
        raise UsageError(f"the data set has no class {which!r}: its classes are {names}, with indices from 0")
    mask: np.ndarray = np.asarray(label_image) == PARTS[matches[0]["carrier"]]
    return mask


def linear(colour: str) -> np.ndarray:
    """The linear red, green and blue (3,) of an sRGB colour written as ``#rrggbb``."""
    code = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def encode(light: np.ndarray) -> np.ndarray:
    """Linear light, clipped to [0, 1], as sRGB in [0, 1]."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _blend(ends: tuple[str, str], fraction: float) -> np.ndarray:
    """Linear colour (3,) between the deep end (fraction 0) and the bright one (1)."""
    return (1 - fraction) * linear(ends[0]) + fraction * linear(ends[1])
