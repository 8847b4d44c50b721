"""Image files -> RGB images, with one policy for the whole package.

EXIF rotation is applied; grey, palette, CMYK and 16-bit images become 8-bit RGB; transparency is composited over
white; nothing above ``MAX_PIXELS`` is decoded; what cannot be decoded in full is an ``ImageError``, never a part of an
image. The pixels decide: metadata that are broken cost no image.
"""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError

from vebi.data.metadata import find_exif, orientation, without_metadata
from vebi.data.storage import is_lossy, require_values
from vebi.errors import ImageError
from vebi.files import MOST_BYTES, read_file

MAX_PIXELS = 89_478_485  # as Pillow: a quarter of a gigabyte of RGB
#: What Pillow may try on a file. Of its other decoders some start programs (EPS) or accept half a file (JPEG 2000).
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "MPO", "AVIF", "ICO", "QOI", "SGI")
#: What it may try by the suffix of a file alone, because there is nothing at its beginning that tells it.
BY_SUFFIX = {".dib": "DIB", ".pcx": "PCX", ".tga": "TGA"}
#: The suffixes of files that are taken for images.
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".avifs", ".gif", ".bmp", ".ico"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi", ".sgi", ".rgb", ".rgba", ".bw"),
    *BY_SUFFIX,
}

#: Orientation of EXIF -> what turns the image upright.
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

T = TypeVar("T")
#: An opened image, its name and its orientation -> what is wanted of it.
Finish = Callable[[Image.Image, str, int | None], T]
#: What a collection loads: an RGB image, or a float tensor that is the network's input already.
LoadedImage = Image.Image | torch.Tensor


def decode(path: str | os.PathLike[str]) -> Image.Image:
    """The image in a file as 8-bit RGB, upright.

    Args:
        path: A file in one of ``FORMATS``.

    Returns:
        The image in mode RGB, fully decoded.

    Raises:
        ImageError: The file cannot be read or decoded, with its path and the reason.
    """
    return _decode(_read(path), str(path), _formats_of(path), _upright_rgb)


def decode_values(path: str | os.PathLike[str]) -> tuple[Image.Image, bool]:
    """The image in a file as it is stored, in any mode, but upright: where values mean something, as in masks.

    Args:
        path: A file in one of ``FORMATS``.

    Returns:
        The image, fully decoded, and whether compression changed its values.

    Raises:
        ImageError: The file cannot be read or decoded, or holds other values than are decoded, with its path and the
            reason.
    """
    data = _read(path)

    def stored(image: Image.Image, name: str, held: int | None) -> tuple[Image.Image, bool]:
        require_values(image, name)
        return _upright(image, name, held), is_lossy(image, data)

    return _decode(data, str(path), _formats_of(path), stored)


def decode_bytes(data: bytes, name: str) -> Image.Image:
    """As ``decode``, from the bytes of a file.

    Args:
        data: The content of a file in one of ``FORMATS``.
        name: What messages call the image.

    Returns:
        The image in mode RGB, fully decoded.

    Raises:
        ImageError: The bytes cannot be decoded.
    """
    return _decode(data, name, FORMATS, _upright_rgb)


def _formats_of(path: str | os.PathLike[str]) -> Sequence[str]:
    by_suffix = BY_SUFFIX.get(Path(path).suffix.lower())
    return (*FORMATS, by_suffix) if by_suffix else FORMATS


def _decode(data: bytes, name: str, formats: Sequence[str], finish: Finish[T]) -> T:
    """What ``finish`` makes of the opened image; without its metadata, where decoders give up on these."""
    Image.init()
    available = [one for one in formats if one in Image.OPEN]
    with _image_errors(name):
        try:
            with Image.open(io.BytesIO(data), formats=available) as image:
                return finish(image, name, None)
        except ImageError:
            raise
        except Exception:  # decoders raise almost anything on damaged files
            pixels = without_metadata(data)
            if pixels == data:
                raise
        with Image.open(io.BytesIO(pixels), formats=available) as image:
            return finish(image, name, orientation(find_exif(data)))


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """As ``decode``, from a Pillow image in any mode, opened from a file or not.

    Args:
        image: The image; one that was opened lazily is decoded now.
        name: What messages call the image.

    Returns:
        The image in mode RGB, upright.

    Raises:
        ImageError: The image cannot be decoded or converted.
    """
    with _image_errors(name):
        try:
            return _upright_rgb(image, name)
        except ImageError:
            raise
        except Exception:  # decoders raise almost anything on damaged files
            data = _file_of(image)
            if not data:
                raise
    return _decode(data, name, FORMATS, _upright_rgb)


def as_image(image: object, name: str) -> LoadedImage:
    """An item of a data set as an RGB image, or as the float tensor that it is.

    Args:
        image: A path, a Pillow image, an H x W (x 3) uint8 array or tensor, or a C x H x W float tensor.
        name: What messages call the image.

    Returns:
        A float tensor on the CPU, detached; anything else in mode RGB.

    Raises:
        ImageError: The item is none of these, or cannot be decoded.
    """
    if isinstance(image, str | os.PathLike):
        return decode(image)
    if isinstance(image, Image.Image):
        return to_rgb(image, name)
    if isinstance(image, torch.Tensor) and image.is_floating_point() and image.ndim == 3:
        return image.detach().cpu()
    array = image.numpy(force=True) if isinstance(image, torch.Tensor) else image
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{name} is a {type(image).__name__}: give a path, a Pillow image, an array or a tensor")
    if array.dtype == np.uint8 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) and array.size:
        return Image.fromarray(array).convert("RGB")
    raise ImageError(
        f"{name} has the shape {array.shape} and the type {array.dtype}: "
        f"give an H x W x 3 uint8 array or a C x H x W float tensor"
    )


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return read_file(Path(path))
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist: give the path of an image") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}): give the path of an image") from None
    except ValueError:  # a path with a null character
        raise ImageError(f"{path!r} is no path: give the path of an image") from None


def _file_of(image: Image.Image) -> bytes:
    """The content of the file that an image is read from; empty where that is not known, or of a later frame of it."""
    with suppress(Exception):  # the file may be closed, or no file that can be read again
        file = getattr(image, "fp", None)
        if file is not None and image.tell() == 0:
            file.seek(0)
            return bytes(file.read(MOST_BYTES))
    return b""


@contextmanager
def _image_errors(name: str) -> Iterator[None]:
    """Turns whatever Pillow raises into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            f"{name} claims more pixels than the {MAX_PIXELS:,} that vebi decodes: scale it down first"
        ) from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not an image that can be decoded: give a PNG, JPEG or similar file") from None
    except Exception as error:  # decoders raise almost anything on damaged files: OSError, SyntaxError, struct.error
        raise ImageError(f"{name} is damaged or truncated ({error}): replace the file") from None


def _upright(image: Image.Image, name: str, held: int | None = None) -> Image.Image:
    """The image in its own mode, decoded and turned; ``held`` is its orientation where that is known already."""
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise ImageError(
            f"{name} has {image.width} x {image.height} pixels, but 1 to {MAX_PIXELS:,} can be decoded: scale it first"
        )
    image.load()
    turn = _TURNS.get(held or _orientation(image))
    return image.copy() if turn is None else image.transpose(turn)


def _upright_rgb(image: Image.Image, name: str, held: int | None = None) -> Image.Image:
    image = _upright(image, name, held)
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey_to_rgb(image, name)
    if has_alpha(image):
        flat = Image.new("RGBA", image.size, "white")
        flat.alpha_composite(image.convert("RGBA"))
        return flat.convert("RGB")
    return image.convert("RGB")


def has_alpha(image: Image.Image) -> bool:
    """Whether pixels of an image can be transparent."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _orientation(image: Image.Image) -> object:
    """How the image was held, by its EXIF data, where Pillow can read these."""
    with suppress(Exception):  # as many kinds as there are ways to break them
        return orientation(image.info.get("exif") or b"") or image.getexif().get(ExifTags.Base.Orientation)
    return None


def _deep_grey_to_rgb(image: Image.Image, name: str) -> Image.Image:
    """16-bit greys (integers up to 65535) or floats in [0, 1] as 8-bit RGB."""
    values = np.asarray(image)
    top = 65535 if values.dtype.kind in "iu" else 1
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        raise ImageError(f"{name} has grey values outside 0 to {top}: convert it to 8 or 16 bits per pixel")
    values = np.where(values == image.info.get("transparency"), top, values)
    return Image.fromarray((values * (255 / top)).round().astype(np.uint8)).convert("RGB")
