"""One image of a flower in a meadow: what is drawn at random, and the image that comes of it.

Everything is drawn without knowledge of the class; only then the part that carries it gets what makes the class. So
nothing but that part tells of the class, whatever else is seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vebi.datasets.flowers.clutter import draw_behind, draw_front
from vebi.datasets.flowers.forms import FORMS
from vebi.datasets.flowers.placement import OVERSAMPLING, Painter, Placement, compose, draw_placement, outline
from vebi.datasets.flowers.rendering import Shading, View, colour, shade
from vebi.datasets.flowers.scene import FRAMES, IVORY, STEM_GREEN, meadow_flower
from vebi.datasets.flowers.variants import COLOURS, PALE, FlowerClass, blend, linear

#: The parts that wear a colour of the palette, whatever the class.
WORN = ("petals", "leaves", "centre", "pot")

_ANGLE = np.radians(40)
_SCALE = (0.52, 0.64)
_SPREAD = 0.35  # anywhere, and rather at a border than in the middle, or a guess at the middle would find the flower
_EYE, _TARGET = (0.0, -5.2, 7.7), (0.0, 0.0, 1.15)
_LAMP_DISTANCE, _LAMP_RADIUS, _SKY = 14.0, 2.1, 0.75  # behind the camera; softer shadows than in the plain scene


class MeadowFrame:
    """A frame of the flowers of all classes, from which images are made.

    Args:
        frame: 0 to 39.
        size: Side of an image in pixels.
        flower_classes: All classes of the variant.
    """

    def __init__(self, frame: int, size: int, flower_classes: Sequence[FlowerClass]):
        self._size = size
        carriers, forms = {c.carrier for c in flower_classes}, {c.form for c in flower_classes}
        # with several carriers, all in the colours of one palette, a pale edge tells which part it is; with several
        # forms all petals have one, so that their form is seen where they lie above each other
        edged = len(carriers) > 1 or len(forms) > 1
        self._edged = {c.name: c.carrier if edged else None for c in flower_classes}
        kinds = {(c.form, self._edged[c.name]) for c in flower_classes}
        self._shadings = {
            (form, edged): shade(meadow_flower(frame, FORMS[form], edged), OVERSAMPLING * size, view_of(frame))
            for form, edged in sorted(kinds, key=str)
        }
        coverages = [shading.stack[-1] for shading in self._shadings.values()]
        self._outline = outline(np.max(coverages, axis=0))  # of all, or the place would tell the form

    def painter(self, flower_class: FlowerClass) -> Painter:
        """A function that makes an image of a class and its labels from the generator of the image."""
        shading = self._shadings[flower_class.form, self._edged[flower_class.name]]
        return lambda rng: compose_meadow(shading, draw_meadow(rng, self._outline, self._size), flower_class)


@dataclass(frozen=True, eq=False)
class Meadow:
    """What is drawn for one image.

    Attributes:
        colours: A key of COLOURS for each part of WORN. The class overrides that of the part which carries it.
        light: Factors (3,) of red, green and blue.
        mirrored: Whether the flower is mirrored, with the light that falls on it.
        placement: The position of the flower.
        behind: size x size x 3 linear light.
        front: size x size x 4, premultiplied linear light and coverage.
    """

    colours: dict[str, str]
    light: np.ndarray
    mirrored: bool
    placement: Placement
    behind: np.ndarray
    front: np.ndarray


def draw_meadow(rng: np.random.Generator, outline: np.ndarray, size: int) -> Meadow:
    """Draws everything that does not depend on the class.

    Args:
        rng: The generator of the image.
        outline: N x 2 points of the flowers of all classes in this frame, see ``placement.outline``.
        size: Side of the image in pixels.
    """
    colours = dict(zip(WORN, rng.choice(list(COLOURS), len(WORN)).tolist(), strict=True))
    warmth, brightness = rng.uniform(-1, 1), rng.uniform(0.7, 1.15)
    light = brightness * np.array([1 + 0.12 * warmth, 1.0, 1 - 0.16 * warmth])
    mirrored = bool(rng.integers(2))
    shown = outline * (-1, 1) if mirrored else outline
    placement = draw_placement(rng, shown, angle=_ANGLE, scales=_SCALE, spread=_SPREAD)
    return Meadow(colours, light, mirrored, placement, draw_behind(rng, size), draw_front(rng, size))


def compose_meadow(shading: Shading, meadow: Meadow, flower_class: FlowerClass) -> tuple[np.ndarray, np.ndarray]:
    """An image of a class.

    Args:
        shading: The flower of the class, on ``scene.MEADOW_BASIS``.
        meadow: All that does not depend on the class.
        flower_class: The class.

    Returns:
        The image (size, size, 3) and its part labels (size, size), both uint8. What the front covers has no label.
    """
    frame = colour(shading, _weights(meadow, flower_class))
    labels = shading.labels
    if meadow.mirrored:
        frame, labels = frame[..., ::-1].copy(), labels[:, ::-1]
    return compose(frame, labels, meadow.placement, meadow.behind, front=meadow.front, light=meadow.light)


def view_of(frame: int) -> View:
    """The view of a frame, the same for every class: from higher up than in the plain scene, to see into the petals.

    The lamp goes from left over front to right, higher and lower.
    """
    azimuth = np.radians(-65 + 130 * (frame * 0.618034 % 1))
    height = np.radians(45 + 25 * ((frame * 7 % FRAMES) / FRAMES))
    lamp = _LAMP_DISTANCE * np.array(
        [np.sin(azimuth) * np.cos(height), -np.cos(azimuth) * np.cos(height), np.sin(height)]
    )
    x, y, z = lamp.tolist()
    return View(_EYE, _TARGET, (x, y, z + _TARGET[2]), _LAMP_RADIUS, _SKY)


def _weights(meadow: Meadow, flower_class: FlowerClass) -> np.ndarray:
    """(3, 9): the linear red, green and blue of each albedo of ``scene.MEADOW_BASIS``."""
    colours = dict(meadow.colours)
    if flower_class.colour:
        colours[flower_class.carrier] = flower_class.colour
    petals, leaves, centre, pot = (COLOURS[colours[part]] for part in WORN)
    deep, bright = map(linear, petals)
    pale = linear(PALE)
    return np.column_stack(
        [deep, bright, pale, blend(leaves, 0.7), pale, blend(centre, 0.4), IVORY, STEM_GREEN, blend(pot, 0.5)]
    )
