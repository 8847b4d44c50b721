"""The variants of the data set: their classes, the part that carries each, and its colour or form."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vebi.datasets.flowers.forms import FORMS
from vebi.datasets.flowers.scene import MEADOW_PARTS
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

PALE = "#f6f2ea"  # the edge of the part that carries the class in double-12c in a meadow

# The parts that carry a class's colour; in shape-6c the form of the petals is the class. Seeds depend on the order.
VARIANTS = {"single-6c": ("petals",), "double-12c": ("petals", "leaves"), "shape-6c": ("petals",)}
PAPER_VARIANTS = ("single-6c", "double-12c")


@dataclass(frozen=True)
class FlowerClass:
    """One class.

    Attributes:
        name: Its name, as of the folder of its images.
        carrier: The part that carries it, a key of MEADOW_PARTS.
        colour: The colour of that part, a key of COLOURS; None where its form is the class.
        form: The form of the petals, a key of ``forms.FORMS``.
    """

    name: str
    carrier: str
    colour: str | None = None
    form: str = "round"

    def to_dict(self) -> dict[str, Any]:
        """The class as dataset.json has it; the colour also halfway between its ends, as 8-bit sRGB."""
        if self.colour is None:
            return {"name": self.name, "form": self.form, "carrier": self.carrier}
        rgb = [round(255 * float(c)) for c in encode(blend(COLOURS[self.colour], 0.5))]
        return {"name": self.name, "colour": self.colour, "carrier": self.carrier, "rgb": rgb}


def classes(variant: str) -> list[FlowerClass]:
    """The classes of a variant in the order of their indices.

    Args:
        variant: ``single-6c``, ``double-12c`` or ``shape-6c``.

    Raises:
        UsageError: There is no such variant.
    """
    if variant not in VARIANTS:
        raise UsageError(f"there is no variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    carriers = VARIANTS[variant]
    if variant == "shape-6c":
        return [FlowerClass(form, carriers[0], form=form) for form in FORMS]
    return [
        FlowerClass(colour if len(carriers) == 1 else f"{carrier}-{colour}", carrier, colour)
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
    mask: np.ndarray = np.asarray(label_image) == MEADOW_PARTS[matches[0]["carrier"]]
    return mask


def linear(colour: str) -> np.ndarray:
    """The linear red, green and blue (3,) of an sRGB colour written as ``#rrggbb``."""
    return decode(np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255)


def decode(code: np.ndarray) -> np.ndarray:
    """Linear light of sRGB in [0, 1]: what ``encode`` undoes."""
    light: np.ndarray = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light


def encode(light: np.ndarray) -> np.ndarray:
    """Linear light, clipped to [0, 1], as sRGB in [0, 1]."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def blend(ends: tuple[str, str], fraction: float) -> np.ndarray:
    """Linear colour (3,) between the deep end (fraction 0) and the bright one (1)."""
    return (1 - fraction) * linear(ends[0]) + fraction * linear(ends[1])
