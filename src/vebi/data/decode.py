"""Files -> pictures, with one policy for the whole program.

EXIF rotation is applied; grey, palette, CMYK and 16-bit pictures become 8-bit RGB; transparency is laid on white;
nothing above ``MAX_PIXELS`` is decoded; what cannot be decoded in full is an ``ImageError``, never half a picture.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vebi.errors import ImageError

MAX_PIXELS = 89_478_485  # as Pillow: a quarter of a gigabyte of RGB
#: What Pillow may try on a file. Of its other decoders some start programs (EPS) or accept half a file (JPEG 2000).
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def decode(path: str | os.PathLike) -> Image.Image:
    """The picture in a file as an 8-bit RGB image, upright. Raises ImageError with the file and the reason."""
    return decode_bytes(read(path), str(path))


def read(path: str | os.PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist: give the path of a picture") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}): give the path of a picture") from None


def decode_bytes(data: bytes, name: str) -> Image.Image:
    """As ``decode``, of the bytes of a file; ``name`` is used in messages."""
    with _image_errors(name), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return _upright_rgb(image, name)


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """As ``decode``, of a Pillow image in any mode, opened from a file or not."""
    with _image_errors(name):
        return _upright_rgb(image, name)


@contextmanager
def _image_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            f"{name} claims more pixels than the {MAX_PIXELS:,} that vebi decodes: scale it down first"
        ) from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{name} is not a picture that can be decoded: give a PNG, JPEG or similar file") from None
    except Exception as error:  # decoders raise almost anything on damaged files: OSError, SyntaxError, struct.error
        raise ImageError(f"{name} is damaged or truncated ({error}): replace the file") from None


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise ImageError(
            f"{name} has {image.width} x {image.height} pixels, but 1 to {MAX_PIXELS:,} can be decoded: scale it first"
        )
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(image, name)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        flat = Image.new("RGBA", image.size, "white")
        flat.alpha_composite(image.convert("RGBA"))
        return flat.convert("RGB")
    return image.convert("RGB")


def _deep_grey(image: Image.Image, name: str) -> Image.Image:
    """16-bit greys (integers up to 65535) or floats in [0, 1] as RGB."""
    values = np.asarray(image)
    top = 65535 if values.dtype.kind in "iu" else 1
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        raise ImageError(f"{name} has grey values outside 0 to {top}: convert it to 8 or 16 bits a pixel")
    values = np.where(values == image.info.get("transparency"), top, values)
    return Image.fromarray((values * (255 / top)).round().astype(np.uint8)).convert("RGB")
