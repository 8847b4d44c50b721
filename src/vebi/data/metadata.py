"""Image files without their metadata, and the one that is needed: decoders give up on what is broken beside it."""

import struct
from collections.abc import Iterator

_PNG, _JPEG, _RIFF, _WEBP, _EXIF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"RIFF", b"WEBP", b"Exif\0\0"
#: The chunks of a PNG file that pixels and their colours depend on.
_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
#: Segments of a JPEG file: those of applications but Adobe's (14), on which colours depend, comments, and the pixels.
_APP1 = 0xE1
_APPLICATION, _COMMENT, _SCAN = {*range(0xE0, 0xF0)}, 0xFE, 0xDA
#: Adobe's segment, and the bytes of a whole one, its marker included.
_ADOBE, _ADOBE_BYTES = 0xEE, 16
#: The chunks of a WebP file that hold metadata, and the bits by which the first chunk of all (VP8X) announces them.
_WEBP_METADATA, _WEBP_BITS = (b"ICCP", b"EXIF", b"XMP "), 0x2C
#: The tag of the orientation in EXIF data, and the type of its value.
_ORIENTATION, _SHORT = 0x0112, 3


def without_metadata(data: bytes) -> bytes:
    """The content of a PNG, JPEG or WebP file without its metadata; any other content as it is.

    Args:
        data: The content of a file.

    Returns:
        Of a PNG file the chunks that make the pixels, of a JPEG file all but comments and application segments, of
        which a whole one of Adobe stays, because colours depend on it, of a WebP file all but those of metadata.
    """
    try:
        if data.startswith(_PNG):
            return _PNG + b"".join(chunk for kind, chunk in _png_chunks(data) if kind in _CHUNKS)
        if data.startswith(_JPEG):
            return _JPEG + b"".join(part for kind, part in _jpeg_parts(data) if not _is_metadata(kind, part))
        if _is_webp(data):
            content = _WEBP + b"".join(chunk for kind, chunk in _webp_chunks(data) if kind not in _WEBP_METADATA)
            return _RIFF + struct.pack("<I", len(content)) + content
    except (struct.error, IndexError):
        pass
    return data


def find_exif(data: bytes) -> bytes:
    """The EXIF data in the content of a PNG, JPEG or WebP file; empty where there are none, as in any other content."""
    try:
        if data.startswith(_PNG):
            return next((chunk[8:-4] for kind, chunk in _png_chunks(data) if kind == b"eXIf"), b"")
        if data.startswith(_JPEG):
            parts = (part[4:] for kind, part in _jpeg_parts(data) if kind == _APP1)
            return next((part for part in parts if part.startswith(_EXIF)), b"")
        if _is_webp(data):
            return next((chunk[8:] for kind, chunk in _webp_chunks(data) if kind == b"EXIF"), b"")
    except (struct.error, IndexError):
        pass
    return b""


def orientation(exif: bytes) -> int | None:
    """The orientation in EXIF data, whatever else is in these; None where there is none.

    Args:
        exif: The data, with or without the name that is put before it.
    """
    data = exif.removeprefix(_EXIF)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    try:
        if order is None:
            return None
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for k in range(count):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", data, start + 2 + 12 * k)
            if (tag, kind, values) == (_ORIENTATION, _SHORT, 1):
                return int(value)
    except struct.error:
        pass
    return None


def _is_metadata(kind: int, part: bytes) -> bool:
    """Whether the pixels of a JPEG file do not depend on a segment."""
    if kind == _ADOBE:
        return len(part) < _ADOBE_BYTES
    return kind in _APPLICATION or kind == _COMMENT


def _is_webp(data: bytes) -> bool:
    return data.startswith(_RIFF) and data[8:12] == _WEBP


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of every chunk of a WebP file, of which the first announces no metadata."""
    start = len(_RIFF) + 4 + len(_WEBP)
    while start + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, start)
        chunk = data[start : start + 8 + length + length % 2]
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_BITS]) + chunk[9:]
        yield kind, chunk
        start += 8 + length + length % 2


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of every chunk of a PNG file."""
    start = len(_PNG)
    while start + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        chunk = data[start : start + length + 12]
        yield chunk[4:8], chunk
        start += length + 12


def _jpeg_parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of every segment of a JPEG file before the pixels, and the rest with the kind of the latter."""
    start = len(_JPEG)
    while data[start] == 0xFF and data[start + 1] != _SCAN:
        (length,) = struct.unpack_from(">H", data, start + 2)
        yield data[start + 1], data[start : start + length + 2]
        start += length + 2
    yield _SCAN, data[start:]
