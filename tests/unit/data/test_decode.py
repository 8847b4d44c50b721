"""Decoding, against values worked out by hand."""

import contextlib
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vebi.data.decode import MAX_PIXELS, decode, decode_bytes, to_rgb
from vebi.errors import ImageError


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


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rgb(data: bytes) -> list:
    """The decoded pixels of one row."""
    image = decode_bytes(data, "x")
    assert image.mode == "RGB"
    return [tuple(pixel) for pixel in np.asarray(image).reshape(-1, 3).tolist()]


def grey(*values: int) -> list:
    return [(v, v, v) for v in values]


def test_greys_of_every_depth():
    assert rgb(png(3, 1, 8, 0, bytes([0, 128, 255]))) == grey(0, 128, 255)
    assert rgb(png(8, 1, 1, 0, bytes([0b10110000]))) == grey(255, 0, 255, 255, 0, 0, 0, 0)
    # 128 * 257 is 16-bit for 128; 32767 is 127.498 of 255
    assert rgb(png(4, 1, 16, 0, struct.pack(">4H", 0, 128 * 257, 32767, 65535))) == grey(0, 128, 127, 255)


def test_colours_of_every_depth():
    assert rgb(png(2, 1, 8, 2, bytes([255, 128, 0, 1, 2, 3]))) == [(255, 128, 0), (1, 2, 3)]
    assert rgb(png(1, 1, 16, 2, struct.pack(">3H", 65535, 128 * 257, 0))) == [(255, 128, 0)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_tiff_of_either_byte_order(order):
    """A TIFF of three 16-bit greys, written by hand."""
    tags = [(256, 4, 3), (257, 4, 1), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (279, 4, 6)]
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, 1)
        + struct.pack(order + ("I" if kind == 4 else "H"), value).ljust(4, b"\0")
        for tag, kind, value in tags
    )
    pixels = struct.pack(order + "3H", 0, 128 * 257, 65535)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + 6)
    data = head + pixels + struct.pack(order + "H", len(tags)) + entries + bytes(4)
    assert rgb(data) == grey(0, 128, 255)


def test_greys_beyond_16_bits_are_no_silent_guess():
    data = encoded(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF")
    with pytest.raises(ImageError, match=r"^x .*0 to 65535"):
        decode_bytes(data, "x")
    assert rgb(encoded(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), "TIFF")) == grey(0, 128, 255)
    with pytest.raises(ImageError, match=r"^x .*0 to 1:"):
        decode_bytes(encoded(Image.fromarray(np.array([[0, np.nan]], np.float32)), "TIFF"), "x")


def test_palette():
    palette = bytes([255, 0, 0, 0, 0, 255, 9, 8, 7])
    assert rgb(png(3, 1, 8, 3, bytes([1, 0, 2]), PLTE=palette)) == [(0, 0, 255), (255, 0, 0), (9, 8, 7)]


def test_transparency_is_laid_on_white():
    # over white, with alpha a: a * colour + (1 - a) * 255
    assert rgb(png(3, 1, 8, 4, bytes([100, 0, 100, 255, 0, 51]))) == grey(255, 100, 204)
    assert rgb(png(2, 1, 8, 6, bytes([0, 0, 255, 51, 1, 2, 3, 255]))) == [(204, 204, 255), (1, 2, 3)]
    palette = bytes([255, 0, 0, 0, 0, 255])
    assert rgb(png(2, 1, 8, 3, bytes([0, 1]), PLTE=palette, tRNS=bytes([51, 0]))) == [(255, 204, 204), (255, 255, 255)]
    assert rgb(png(2, 1, 8, 3, bytes([0, 1]), PLTE=palette, tRNS=bytes([255, 0]))) == [(255, 0, 0), (255, 255, 255)]
    assert rgb(png(2, 1, 8, 0, bytes([7, 9]), tRNS=bytes([0, 7]))) == grey(255, 9)
    assert rgb(png(2, 1, 8, 2, bytes([1, 2, 3, 4, 5, 6]), tRNS=struct.pack(">3H", 1, 2, 3))) == [(255,) * 3, (4, 5, 6)]
    deep = png(2, 1, 16, 0, struct.pack(">2H", 257, 514), tRNS=struct.pack(">H", 257))
    assert rgb(deep) == grey(255, 2)
    assert rgb(png(1, 1, 16, 6, struct.pack(">4H", 0, 0, 65535, 0))) == [(255, 255, 255)]


@pytest.mark.parametrize(
    ("ink", "colour"),
    [
        ((0, 255, 255, 0), (255, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0,) * 4, (255,) * 3),
    ],
)
def test_cmyk_jpeg(ink, colour):
    pixels = rgb(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95))
    assert np.abs(np.array(pixels) - colour).max() <= 3


#: What an image stored as 10 20 30 / 40 50 60 looks like, by the EXIF standard's table of the 0th row and column.
ORIENTATIONS = {
    1: [[10, 20, 30], [40, 50, 60]],
    2: [[30, 20, 10], [60, 50, 40]],
    3: [[60, 50, 40], [30, 20, 10]],
    4: [[40, 50, 60], [10, 20, 30]],
    5: [[10, 40], [20, 50], [30, 60]],
    6: [[40, 10], [50, 20], [60, 30]],
    7: [[60, 30], [50, 20], [40, 10]],
    8: [[30, 60], [20, 50], [10, 40]],
}


@pytest.mark.parametrize(("orientation", "upright"), ORIENTATIONS.items())
def test_exif_orientation(orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.array(ORIENTATIONS[1], np.uint8))
    data = encoded(stored, "PNG", exif=exif)
    assert np.asarray(decode_bytes(data, "x"))[..., 0].tolist() == upright
    # an image that somebody else has opened is treated in the same way
    assert np.asarray(to_rgb(Image.open(io.BytesIO(data)), "x"))[..., 0].tolist() == upright
    big = encoded(stored.resize((48, 32), Image.Resampling.NEAREST), "JPEG", exif=exif, quality=95)
    blocks = np.asarray(decode_bytes(big, "x"))[8::16, 8::16, 0].astype(int)
    assert np.abs(blocks - upright).max() <= 2


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert set(rgb(data)) == {(255, 0, 0)}


def test_a_bomb_is_not_decoded():
    with pytest.raises(ImageError, match=r"^bomb\.png .*89,478,485"):
        decode_bytes(png(60_000, 60_000, 8, 0, b"\0" * 60_000), "bomb.png")
    with warnings.catch_warnings():  # between one and two times its own limit Pillow only warns
        warnings.simplefilter("ignore")  # only the error counts
        with pytest.raises(ImageError, match=r"^bomb\.png .*9500 x 9500"):
            decode_bytes(png(9500, 9500, 1, 0, b"\0" * 9500), "bomb.png")
    assert MAX_PIXELS < 9500 * 9500


@pytest.mark.parametrize("data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"])
def test_no_image(data):
    """EPS among them: decoding it would start another program."""
    with pytest.raises(ImageError, match=r"^notes\.png "):
        decode_bytes(data, "notes.png")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ImageError, match=f"^{tmp_path}/no.png does not exist"):
        decode(tmp_path / "no.png")
    with pytest.raises(ImageError, match=f"^{tmp_path} .*directory"):
        decode(tmp_path)


_noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8))
FILES = {kind: encoded(_noise, kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")}
FILES["progressive"] = encoded(_noise, "JPEG", progressive=True)
FILES["lossless WEBP"] = encoded(_noise, "WEBP", lossless=True)


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.95))
def test_a_cut_file_is_never_half_an_image(kind, share):
    data = FILES[kind]
    try:
        image = decode_bytes(data[: int(len(data) * share)], "x")
    except ImageError:
        return
    assert np.array_equal(image, decode_bytes(data, "x"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))))
def test_a_damaged_file_is_an_image_or_an_image_error(kind, changes):
    data = bytearray(FILES[kind])
    for position, value in changes:
        data[int(position * len(data))] = value
    message, mode = "x ", "RGB"
    try:
        mode = decode_bytes(bytes(data), "x").mode
    except ImageError as error:
        message = str(error)
    assert mode == "RGB"
    assert message.startswith("x ")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"P6 ", b"\xff\xd8\xff"]),
    st.binary(),
)
def test_random_bytes_are_an_image_error_or_an_image(head, tail):
    with contextlib.suppress(ImageError):
        assert decode_bytes(head + tail, "x").mode == "RGB"
