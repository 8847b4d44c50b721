"""Colours of heatmaps."""

import numpy as np
from jaxtyping import Float, UInt8

#: From dark to bright in steps that look alike (equal distances in OKLab, Ottosson 2020), lightness rising throughout:
#: readable without colour vision and in black and white print.
RAMP = (
    (8, 6, 30), (25, 8, 54), (45, 9, 77), (69, 7, 94), (95, 14, 100), (121, 23, 100), (147, 33, 97), (169, 49, 91),
    (192, 65, 83), (213, 81, 71), (233, 100, 53), (245, 124, 39), (253, 150, 34), (255, 177, 54), (254, 203, 101),
    (253, 227, 147), (252, 250, 190),
)  # fmt: skip


def colourize(heat: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The colours of a map in [0, 1], from dark (0) to bright (1).

    Args:
        heat: h x w, in [0, 1].
    """
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(heat, stops, np.array(RAMP)[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlay(
    image: UInt8[np.ndarray, "h w 3"], heat: Float[np.ndarray, "h w"], strength: float = 0.95
) -> UInt8[np.ndarray, "h w 3"]:
    """A map in colours over its image in dark grey, the more opaque the higher the map.

    Args:
        image: h x w x 3.
        heat: h x w, in [0, 1].
        strength: The opacity where the map is 1, in [0, 1].
    """
    grey = image.astype(np.float64) @ (0.2126, 0.7152, 0.0722)
    background = np.repeat((8 + grey * 0.3)[..., None], 3, axis=-1)
    opacity = strength * np.clip(heat, 0, 1)[..., None] ** 0.6
    pixels: UInt8[np.ndarray, "h w 3"] = (
        (background * (1 - opacity) + colourize(heat) * opacity).round().astype(np.uint8)
    )
    return pixels
