"""A mask in an image file: which of its pixels are the object."""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from vebi.data.decode import decode_values, has_alpha
from vebi.errors import InputError, VebiWarning
from vebi.files import normal

#: From which value on a pixel is the object where compression leaves traces of it around its edges.
LOSSY = 128


def read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    """The object in a mask: every pixel that is not black, or whose value is not 0, of as many bits as it has.

    - In a palette the first colour is no object where it is black; every other one is, even another black.
    - Where there is transparency, pixels that are fully transparent are no object; those that are not are the object
      unless they are black, and also if all of them are.
    - In a file that is compressed with loss (JPEG, AVIF, WebP and TIFF where they are) a pixel is the object from half
      of the full brightness on, and transparent below half of the full opacity.
    - The colours of CMYK and YCbCr count as RGB, those of LAB by their lightness.

    A mask that is empty, or that covers all of the image, is warned of.

    Args:
        path: The file.

    Returns:
        h x w, at the resolution of the file, upright.

    Raises:
        InputError: The file cannot be read or decoded, or holds values that are not finite, 16 bits per value in colour
            or beside transparency, or white as 0 in more than 8 bits.
    """
    image, lossy = decode_values(path)
    least = LOSSY if lossy else np.finfo(float).tiny
    mask = _visible(image, least) if has_alpha(image) else _values(image) >= least
    if mask.all() or not mask.any():
        extent = "covers all of its image" if mask.all() else "is empty"
        warnings.warn(f"the mask {path} {extent}", VebiWarning, stacklevel=2)
    return mask


def find_file(folder: Path, name: Path) -> Path | None:
    """The file of a name in a folder, each part of which may be composed there and decomposed here, or else.

    Args:
        folder: The folder.
        name: The path of the file in it.

    Returns:
        The file, if there is one.
    """
    places = [folder / name]
    if not places[0].is_file():
        places = [folder]
        for part in map(normal, name.parts):
            inside = (path for place in places if place.is_dir() for path in place.iterdir())
            places = [path for path in inside if normal(path.name) == part]
    return next((path for path in places if path.is_file()), None)


def _values(image: Image.Image) -> np.ndarray:
    """A value per pixel that is 0 where it is black."""
    if image.mode == "P":
        colours, indices = np.asarray(image.convert("RGB")), np.asarray(image)
        black = not any((image.getpalette() or [0, 0, 0])[:3])
        brightest: np.ndarray = colours.max(axis=2)
        return np.maximum(brightest, indices) if black else brightest
    if image.mode == "LAB":  # Pillow's colours of it are not black where its lightness is 0
        return np.asarray(image.getchannel("L"))
    values: np.ndarray = np.asarray(image.convert("RGB") if len(image.getbands()) > 1 else image)
    if not np.isfinite(values).all():
        raise InputError("a mask holds values that are not finite: give one of whole numbers")
    values = np.abs(values) if values.dtype != bool else values.astype(np.uint8)
    return values if values.ndim == 2 else np.asarray(values.max(axis=2))


def _visible(image: Image.Image, least: float) -> Bool[np.ndarray, "h w"]:
    """The object where there is transparency."""
    if image.mode.startswith("I"):  # converted, all values above 255 would be one
        values: np.ndarray = np.asarray(image)
        opacity: np.ndarray = values != image.info["transparency"]
    else:
        pixels = np.asarray(image.convert("RGBA"))
        values, opacity = pixels[..., :3].max(axis=2), pixels[..., 3]
    visible = opacity >= least
    coloured = visible & (values >= least)
    return coloured if coloured.any() or visible.all() else visible
