"""Decoding, against values worked out by hand."""

import contextlib
import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_bytes import png, tiff
from PIL import Image, ImageOps

from vebi.data.collections import ImageFiles
from vebi.data.decode import MAX_PIXELS, decode, decode_bytes, to_rgb
from vebi.errors import ImageError


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
    data = tiff(3, struct.pack(order + "3H", 0, 128 * 257, 65535), order=order)
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


# --- metadata cost no image ------------------------------------------------------------------------------------------


def jpeg(exif: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(GRADIENT).save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


#: 16 x 24 pixels, brighter to the right in red and to the bottom in green.
GRADIENT = np.stack([*np.mgrid[:16, :24][::-1] * 10, np.full((16, 24), 128)], axis=2).astype(np.uint8)


def exif_of(*entries: tuple[int, int, int, bytes], count: int | None = None) -> bytes:
    """EXIF data with one folder of (tag, type, count, four bytes of value or offset)."""
    rows = b"".join(struct.pack(">HHI", tag, kind, n) + value for tag, kind, n, value in entries)
    return b"Exif\0\0MM\0\x2a" + struct.pack(">IH", 8, len(entries) if count is None else count) + rows + bytes(4)


ROTATED = (0x0112, 3, 1, b"\0\6\0\0")  # a quarter turn


@pytest.mark.parametrize(
    "neighbour",
    [
        (0x011A, 5, 1, b"\xff\xff\xff\xf0"),  # a resolution beyond the end
        (0x010F, 2, 2**31, b"\0\0\0\x40"),  # a name of 2 GiB
        (0x8769, 4, 1, b"\xff\xff\xff\xff"),  # a folder of its own beyond the end
        (0x9286, 99, 7, b"abcd"),  # of no type
        (0x0128, 3, 0, b"\0\0\0\0"),  # without a value
        (0x011A, 12, 1, b"\0\0\0\1"),
    ],
)
def test_a_broken_neighbour_of_the_orientation_costs_nothing(neighbour):
    upright = decode_bytes(jpeg(exif_of(ROTATED)), "a.jpg")
    assert upright.size == (16, 24)
    for entries in ((ROTATED, neighbour), (neighbour, ROTATED)):
        assert np.array_equal(decode_bytes(jpeg(exif_of(*entries)), "a.jpg"), upright)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0nonsense",
        b"Exif\0\0MM\0\x2a\xff\xff\xff\xff",
        exif_of((0x0112, 2, 4, b"six\0")),
        exif_of((0x0112, 3, 1, b"\0\x63\0\0")),
        exif_of((0x0112, 5, 1, b"\0\0\0\x08")),
    ],
    ids=range(6),
)
def test_an_orientation_that_is_none_leaves_the_image_as_it_lies(exif):
    assert np.array_equal(decode_bytes(jpeg(exif), "a.jpg"), decode_bytes(jpeg(b""), "a.jpg"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_is_that_of_pillow(orientation, kind):
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(GRADIENT).save(buffer, kind, exif=exif, **options)
    with Image.open(buffer) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert np.array_equal(decode_bytes(buffer.getvalue(), "a"), expected)


def chunk(kind: bytes, content: bytes, *, damaged: bool = False) -> bytes:
    checksum = zlib.crc32(kind + content) ^ damaged
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"tEXt", b"Comment\0hello", damaged=True),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000))),  # a bomb of text
        chunk(b"iCCP", b"profile\0\0no zlib data"),
        chunk(b"eXIf", b"MM\0\x2a\xff\xff\xff\xff"),
        chunk(b"pHYs", b"\0"),
        chunk(b"iTXt", b"\0\0\0"),
        chunk(b"cHRM", b"short"),
    ],
    ids=["checksum", "bomb", "profile", "exif", "pixel size", "text", "colours"],
)
def test_a_broken_chunk_of_metadata_costs_nothing(extra):
    buffer = io.BytesIO()
    Image.fromarray(GRADIENT).save(buffer, "PNG")
    content = buffer.getvalue()
    start = 8 + 25  # behind the header
    assert np.array_equal(decode_bytes(content[:start] + extra + content[start:], "a.png"), GRADIENT)


@pytest.mark.parametrize("length", [5, 11])
def test_a_short_segment_of_adobe_costs_nothing(length):
    content = jpeg(exif_of(ROTATED))
    segment = b"\xff\xee" + struct.pack(">H", 2 + length) + b"Adobe".ljust(length, b"\0")
    assert np.array_equal(decode_bytes(content[:2] + segment + content[2:], "a.jpg"), decode_bytes(content, "a.jpg"))


@pytest.mark.parametrize("metadata", ["exif", "icc_profile", "xmp"])
@pytest.mark.parametrize("transparent", [False, True])
def test_a_chunk_of_webp_that_is_cut_costs_nothing(metadata, transparent):
    image, buffer = Image.fromarray(GRADIENT), io.BytesIO()
    if transparent:
        image.putalpha(90)
    image.save(buffer, "WEBP", lossless=True, **{metadata: exif_of(ROTATED)[6:]})
    content = buffer.getvalue()
    kind = {"exif": b"EXIF", "icc_profile": b"ICCP", "xmp": b"XMP "}[metadata]
    start = content.index(kind)
    size = 8 + struct.unpack_from("<I", content, start + 4)[0]
    chunk, rest = content[start : start + size], content[:start] + content[start + size :]
    cut = rest + kind + struct.pack("<I", 10**6) + chunk[8:]  # one that claims more than there is can only be the last
    image = image.rotate(-90, expand=True) if metadata == "exif" else image
    assert np.array_equal(decode_bytes(cut, "a.webp"), to_rgb(image, "it"))


@pytest.mark.parametrize("loads", [decode_bytes, lambda data, name: to_rgb(Image.open(io.BytesIO(data)), name)])
def test_a_cut_chunk_behind_the_pixels_costs_nothing(loads):
    buffer = io.BytesIO()
    Image.fromarray(GRADIENT).save(buffer, "PNG")
    cut = buffer.getvalue()[:-12] + struct.pack(">I", 10**6) + b"tEXtk\0v"
    assert np.array_equal(loads(cut, "a.png"), GRADIENT)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_pixels_are_still_refused(kind):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(buffer, kind)
    content = buffer.getvalue()
    for damaged in (content[: len(content) // 2], content[:-40]):
        with pytest.raises(ImageError, match="damaged or truncated"):
            decode_bytes(damaged, "a")


def test_only_regular_files_of_bounded_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "endless.png").symlink_to("/dev/zero")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(2**40)
    for name, fact in (("pipe", "a pipe, a device"), ("endless", "a pipe, a device"), ("huge", "1,048,576 MiB")):
        with pytest.raises(ImageError, match=rf"{name}\.png cannot be read .*{fact}"):
            decode(tmp_path / f"{name}.png")
    assert ImageFiles(tmp_path, ["pipe.png", "endless.png", "huge.png"], [0, 0, 0], ("a",)).fingerprint()
