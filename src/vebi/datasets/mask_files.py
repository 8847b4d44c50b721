"""A mask in an image file: which of its pixels are the object."""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from vebi.data.decode import decode_values, has_alpha
from vebi.errors import InputError, VebiWarning

#: From which value on a pixel of a JPEG file is the object: compression leaves traces of it around its edges.
LOSSY = 128


def read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    """The object in a mask: every pixel that is not black, or whose value is not 0, of as many bits as it has.

    - In a palette the first colour is no object where it is black; every other one is, even another black.
    - Where there is transparency, pixels that are fully transparent are no object; those that are not are the object
      unless they are black, and also if all of them are.
    - In a JPEG file a pixel is the object from half of the full brightness on.

    A mask that is empty, or that covers all of the image, is warned of.

    Args:
        path: The file.

    Returns:
        h x w, at the resolution of the file, upright.

    Raises:
        InputError: The file cannot be read or decoded, or holds values that are not finite.
    """
    image = decode_values(path)
    mask = _visible(image) if has_alpha(image) else _values(image) >= _threshold(path)
    if mask.all() or not mask.any():
        extent = "covers all of its image" if mask.all() else "is empty"
        warnings.warn(f"the mask {path} {extent}", VebiWarning, stacklevel=2)
    return mask


def _values(image: Image.Image) -> np.ndarray:
    """A value per pixel that is 0 where it is black."""
    if image.mode == "P":
        colours, indices = np.asarray(image.convert("RGB")), np.asarray(image)
        black = not any((image.getpalette() or [0, 0, 0])[:3])
        brightest: np.ndarray = colours.max(axis=2)
        return np.maximum(brightest, indices) if black else brightest
    values: np.ndarray = np.asarray(image.convert("RGB") if image.mode in ("CMYK", "YCbCr", "LAB", "HSV") else image)
    if not np.isfinite(values).all():
        raise InputError("a mask holds values that are not finite: give one of whole numbers")
    values = np.abs(values) if values.dtype != bool else values.astype(np.uint8)
    return values if values.ndim == 2 else np.asarray(values.max(axis=2))


def _visible(image: Image.Image) -> Bool[np.ndarray, "h w"]:
    """The object where there is transparency."""
    pixels = np.asarray(image.convert("RGBA"))
    visible = pixels[..., 3] > 0
    coloured = visible & pixels[..., :3].any(axis=2)
    return coloured if coloured.any() or visible.all() else visible


def _threshold(path: Path) -> float:
    return LOSSY if path.suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo") else np.finfo(float).tiny
