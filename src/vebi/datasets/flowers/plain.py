"""The flower alone: one image of a class on a plain ground, on noise or on a gradient."""

import numpy as np

from vebi.datasets.flowers.background import draw_background
from vebi.datasets.flowers.placement import OVERSAMPLING, Painter, compose, draw_placement, outline
from vebi.datasets.flowers.rendering import colour, shade
from vebi.datasets.flowers.scene import flower
from vebi.datasets.flowers.variants import COLOURS, CREAM, GREEN, FlowerClass, blend, linear


class PlainFrame:
    """A frame of the flower, from which images of every class are made.

    Args:
        frame: 0 to 39.
        size: Side of an image in pixels.
        background: Kind of the background, see ``draw_background``.
    """

    def __init__(self, frame: int, size: int, background: str):
        self._size, self._background = size, background
        self._shading = shade(flower(frame), OVERSAMPLING * size)
        self._outline = outline(self._shading.stack[-1])

    def painter(self, flower_class: FlowerClass) -> Painter:
        """A function that makes an image of a class and its labels from the generator of the image."""
        frame = colour(self._shading, class_weights(flower_class))

        def paint(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            placement = draw_placement(rng, self._outline)
            return compose(frame, self._shading.labels, placement, draw_background(rng, self._background, self._size))

        return paint


def class_weights(flower_class: FlowerClass) -> np.ndarray:
    """(3, 6): the linear red, green and blue of each albedo of ``scene.BASIS``."""
    assert flower_class.colour is not None, "a plain ground gives away the form of the petals"
    petals = COLOURS[flower_class.colour] if flower_class.carrier == "petals" else CREAM
    leaves = COLOURS[flower_class.colour] if flower_class.carrier == "leaves" else GREEN
    deep, bright = (linear(end) for end in petals)
    return np.column_stack([deep, bright, blend(leaves, 0.7), np.eye(3)])
