"""Image files written by hand, of kinds that Pillow reads and does not write."""

import struct
import zlib


def png(width: int, height: int, depth: int, colour: int, pixels: bytes, **chunks: bytes) -> bytes:
    """A PNG written by hand. ``colour``: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = len(pixels) // height
    lines = b"".join(b"\0" + pixels[i : i + row] for i in range(0, len(pixels), row or 1))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
        + b"".join(chunk(kind.encode(), body) for kind, body in chunks.items())
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def tiff(width: int, pixels: bytes, samples: int = 1, photometric: int = 1, order: str = "<") -> bytes:
    """A TIFF of one row of 16-bit values. ``photometric``: 0 grey with white as 0, 1 grey, 2 RGB."""
    depths = struct.pack(order + "H", 16) * samples
    tags = [
        *((256, 4, 1, width), (257, 4, 1, 1)),
        (258, 3, samples, 16 if samples == 1 else 8 + len(pixels)),
        *((259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, samples), (279, 4, 1, len(pixels))),
    ]
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, count)
        + struct.pack(order + ("I" if kind == 4 or count > 2 else "H"), value).ljust(4, b"\0")
        for tag, kind, count, value in tags
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(pixels + depths))
    return head + pixels + depths + struct.pack(order + "H", len(tags)) + entries + bytes(4)
