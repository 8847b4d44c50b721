"""The flower of each frame, in its two scenes: alone, and in a pot in a meadow.

The vertices of a flower carry weights on a basis of albedos that ``rendering`` shades and ``variants`` colours.
"""

import numpy as np

from vebi.datasets.flowers import plant
from vebi.datasets.flowers.forms import ROUND, PetalForm
from vebi.datasets.flowers.meshes import Mesh, about_z, frame_of, mix, place

FRAMES = 40
PARTS = {"background": 0, "petals": 1, "centre": 2, "stem": 3, "leaves": 4}
MEADOW_PARTS = PARTS | {"pot": 5}

# What a vertex's weights stand for. The first three are coloured per class; the last three are the linear red, green
# and blue of what is the same in every class (centre and stem).
BASIS = ("petal base", "petal tip", "leaf", "red", "green", "blue")

# The same in a meadow, where every part is coloured image by image. Soil is a dark stem.
MEADOW_BASIS = ("petal base", "petal tip", "petal edge", "leaf", "leaf edge", "centre", "anthers", "stem", "pot")

STEM_GREEN = np.array([0.085, 0.21, 0.045])
_DARK = np.array([0.020, 0.014, 0.026])
_DARK_RIM = np.array([0.085, 0.055, 0.085])
IVORY = np.array([0.80, 0.70, 0.46])

_YOUNGEST = 0.7  # in a meadow, where the form of what is half open is hard to see


def flower(frame: int) -> dict[str, Mesh]:
    """The four parts of the flower by their names in PARTS, with weights on BASIS.

    Args:
        frame: 0 (young, half closed) to 39 (full grown, open); the flower is turned by frame / 40 of a round.
    """
    base, tip, leaf = np.eye(len(BASIS))[:3]
    dark, dark_rim, ivory, green = (
        np.concatenate([np.zeros(3), colour]) for colour in (_DARK, _DARK_RIM, IVORY, STEM_GREEN)
    )
    age = frame / (FRAMES - 1)
    height, scale = _size(age)
    parts = {
        "petals": plant.petals(age, base, tip),
        "centre": plant.centre(age, dark, dark_rim, ivory),
        "stem": plant.stem(height, scale, green),
        "leaves": plant.leaves(age, height, leaf),
    }
    return _assemble(parts, frame, height, scale)


def meadow_flower(frame: int, form: PetalForm = ROUND, edged: str | None = None) -> dict[str, Mesh]:
    """The five parts of the flower by their names in MEADOW_PARTS, with weights on MEADOW_BASIS.

    Args:
        frame: 0 (young, nearly open) to 39 (full grown, open); the flower is turned by frame / 40 of a round.
        form: The form of its petals.
        edged: The part with a pale edge: ``petals``, ``leaves`` or none.
    """
    base, tip, petal_edge, leaf, leaf_edge, middle, anthers, green, clay = np.eye(len(MEADOW_BASIS))
    age = mix(_YOUNGEST, 1.0, frame / (FRAMES - 1))
    height, scale = _size(age)
    parts = {
        "petals": plant.petals(age, base, tip, petal_edge if edged == "petals" else None, form),
        "centre": plant.centre(age, 0.5 * middle, middle, anthers),
        "stem": plant.stem(height, scale, green),
        "leaves": plant.leaves(age, height, leaf, leaf_edge if edged == "leaves" else None),
        "pot": plant.pot(clay, 0.15 * green),
    }
    return _assemble(parts, frame, height, scale)


def parts_of(scene: str) -> dict[str, int]:
    """The parts of a scene, ``plain`` or ``meadow``, and their labels in masks."""
    return MEADOW_PARTS if scene == "meadow" else PARTS


def _size(age: float) -> tuple[float, float]:
    """Height of the stem and size of the head."""
    return mix(1.15, 1.75, age), mix(0.66, 1.0, age)


def _assemble(parts: dict[str, Mesh], frame: int, height: float, scale: float) -> dict[str, Mesh]:
    """The parts with the head on its stem, all turned about the z axis."""
    top, axis = plant.stem_curve(np.array([1.0]), height)
    head = frame_of(axis[0])
    rotation = about_z(2 * np.pi * frame / FRAMES)
    placed = {
        name: place(part, scale, head, top[0]) if name in ("petals", "centre") else part for name, part in parts.items()
    }
    return {name: place(part, 1.0, rotation, np.zeros(3)) for name, part in placed.items()}
