"""Small images as the bytes of an image file, so that many of them take little room."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vebi.errors import RunError

#: Pixels of the longer side up to which an image is stored without loss.
LOSSLESS = 64
#: Quality of larger ones, of 100, and how hard WebP tries, of 6.
QUALITY, EFFORT = 85, 3


@dataclass(frozen=True)
class EncodedImage:
    """An image as the bytes of a WebP file.

    Attributes:
        data: The bytes.

    Example:
        >>> interpretation.exemplars[0].average.pixels.shape[2]
        3
    """

    data: bytes = field(repr=False)

    @classmethod
    def encode(cls, pixels: UInt8[np.ndarray, "h w 3"]) -> "EncodedImage":
        """An image of these pixels: up to 64 a side the very same, larger ones with the losses of WebP.

        Args:
            pixels: h x w x 3.

        Example:
            >>> pixels = np.zeros((4, 5, 3), np.uint8)
            >>> bool((vebi.EncodedImage.encode(pixels).pixels == pixels).all())
            True
        """
        buffer = io.BytesIO()
        lossless = max(pixels.shape[:2]) <= LOSSLESS
        Image.fromarray(pixels).save(buffer, "WEBP", lossless=lossless, quality=QUALITY, method=EFFORT)
        return cls(buffer.getvalue())

    @property
    def pixels(self) -> UInt8[np.ndarray, "h w 3"]:
        """The pixels, h x w x 3.

        Raises:
            RunError: The bytes are damaged.
        """
        try:
            with Image.open(io.BytesIO(self.data), formats=["WEBP"]) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow raises
            raise RunError(
                f"an image of the run is damaged ({error}): delete interpretation.json in its folder and run the same "
                f"`vebi fit` again, it keeps its table"
            ) from None

    @property
    def is_whole(self) -> bool:
        """Whether the bytes begin as those of a WebP file and are as many as it says, without decoding thousands."""
        kind, size, form = self.data[:4], int.from_bytes(self.data[4:8], "little"), self.data[8:12]
        return kind == b"RIFF" and form == b"WEBP" and size + 8 == len(self.data)


def join_images(images: Sequence[EncodedImage]) -> dict[str, np.ndarray]:
    """All images as one array of bytes, and where each ends.

    Args:
        images: The images.

    Returns:
        ``images``, uint8, and ``image_ends``, int64.
    """
    data = b"".join(image.data for image in images)
    ends = np.cumsum([len(image.data) for image in images], dtype=np.int64)
    return {"images": np.frombuffer(data, np.uint8), "image_ends": ends}


def split_images(arrays: Mapping[str, np.ndarray]) -> Iterator[EncodedImage]:
    """The images that ``join_images`` joined.

    Args:
        arrays: ``images`` and ``image_ends``.

    Yields:
        The images, one after the other.

    Raises:
        ValueError: There are bytes of no image.
    """
    data, ends = arrays["images"].tobytes(), arrays["image_ends"].tolist()
    if (ends[-1] if ends else 0) != len(data):
        raise ValueError("there are bytes of no image")
    for start, end in zip([0, *ends], ends, strict=False):
        yield EncodedImage(data[start:end])
