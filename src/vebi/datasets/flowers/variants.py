"""The two variants of the data set: which classes there are, what colours them and where."""

from dataclasses import dataclass

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
    """One class: its ``name``, its ``colour`` (a key of COLOURS) and its ``carrier``, the part that has the colour."""

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
    """The classes of ``single-6c`` or ``double-12c`` in the order of their indices."""
    if variant not in VARIANTS:
        raise UsageError(f"there is no variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    carriers = VARIANTS[variant]
    return [
        FlowerClass(colour if len(carriers) == 1 else f"{carrier}-{colour}", colour, carrier)
        for carrier in carriers
        for colour in COLOURS
    ]


def carrier_mask(label_image: np.ndarray, which: str | int, dataset: dict) -> np.ndarray:
    """The pixels of the part that carries class ``which`` (name or index): a boolean array shaped like ``label_image``.

    ``label_image`` holds part labels as stored under masks/, ``dataset`` is what ``load_dataset`` returns.
    """
    entries = dataset["classes"]
    if isinstance(which, str):
        found = [entry for entry in entries if entry["name"] == which]
    else:
        found = [entries[which]] if 0 <= which < len(entries) else []
    if not found:
        names = ", ".join(entry["name"] for entry in entries)
        raise UsageError(f"the data set has no class {which!r}: its classes are {names}, with indices from 0")
    return np.asarray(label_image) == PARTS[found[0]["carrier"]]


def linear(colour: str) -> np.ndarray:
    """The linear red, green and blue (3,) of an sRGB colour written as ``#rrggbb``."""
    code = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def encode(light: np.ndarray) -> np.ndarray:
    """Linear light, clipped to [0, 1], as sRGB in [0, 1]."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _blend(ends: tuple[str, str], share: float) -> np.ndarray:
    return (1 - share) * linear(ends[0]) + share * linear(ends[1])
