"""How a file stores its values, where these mean something: as they are, with loss, or so that they cannot be read."""

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from vebi.errors import ImageError

#: Formats whose values are not those that were saved. An AVIF file without loss cannot be told from others.
LOSSY = ("JPEG", "MPO", "AVIF")
#: Compressions of a TIFF file of which that is true; libtiff writes WebP with loss by default.
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")


def require_values(image: Image.Image, name: str) -> None:
    """Refuses a file whose values Pillow changes: it keeps 8 of 16 bits of colours, and takes white for a high value.

    Args:
        image: The opened image, not yet decoded.
        name: What the message calls it.

    Raises:
        ImageError: The file holds such values.
    """
    grey = image.mode.startswith("I") or image.mode == "F"
    if not grey and _bits(image) > 8:
        raise ImageError(
            f"{name} has {_bits(image)} bits per value in the mode {image.mode}, of which only 8 can be read: "
            f"save it with 8 bits per value, or as 16-bit grey without transparency"
        )
    if grey and isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0:
        raise ImageError(f"{name} is a TIFF file of more than 8 bits in which 0 is white: save it so that 0 is black")


def is_lossy(image: Image.Image, data: bytes) -> bool:
    """Whether compression changed the values of a file, which tells its format and not its suffix.

    Args:
        image: The opened image, not yet decoded.
        data: The content of its file.

    Returns:
        False where all values are those that were saved.
    """
    if image.format == "WEBP":
        return _is_lossy_webp(data)
    return image.format in LOSSY or (image.format == "TIFF" and image.info.get("compression") in LOSSY_TIFF)


def _bits(image: Image.Image) -> int:
    """The bits per value in the file, where Pillow decodes 8 of them."""
    if isinstance(image, TiffImageFile):
        return int(max(image.tag_v2.get(BITSPERSAMPLE, (1,))))
    for codec, _, _, args in image.tile if isinstance(image, ImageFile) else ():
        first, *_, last = args if isinstance(args, tuple) else (args, args)
        highest = last if codec.startswith("ppm") and isinstance(last, int) else 0
        if codec == "SGI16" or str(first).endswith(";16B") or highest > 255:
            return 16
    return 8


def _is_lossy_webp(data: bytes) -> bool:
    """Whether the first image is in a chunk of VP8, and not in one of VP8L."""
    at = 12  # behind RIFF, its size and WEBP
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8 "
        at += 8 + (16 if kind == b"ANMF" else size + size % 2)  # a frame of an animation holds chunks behind 16 bytes
    return True
