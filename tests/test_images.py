"""Decoding against values worked out by hand; collections; batches."""

import io
import struct
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vebi.errors import ImageError, InputError, UsageError, VebiWarning
from vebi.images import MAX_PIXELS, UNKNOWN, DataSet, batches, decode, decode_bytes, gather, open_images, to_rgb

# --- decoding -------------------------------------------------------------------------------------------------------


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
    with pytest.raises(ImageError, match="outside 0 to 65535"):
        decode_bytes(data, "x")
    assert rgb(encoded(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), "TIFF")) == grey(0, 128, 255)
    with pytest.raises(ImageError, match="outside 0 to 1"):
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
    found = rgb(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95))
    assert np.abs(np.array(found) - colour).max() <= 3


#: What a picture stored as 10 20 30 / 40 50 60 looks like, by the EXIF standard's table of the 0th row and column.
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
    # a picture that somebody else has opened is treated in the same way
    assert np.asarray(to_rgb(Image.open(io.BytesIO(data)), "x"))[..., 0].tolist() == upright
    big = encoded(stored.resize((48, 32), Image.Resampling.NEAREST), "JPEG", exif=exif, quality=95)
    blocks = np.asarray(decode_bytes(big, "x"))[8::16, 8::16, 0].astype(int)
    assert np.abs(blocks - upright).max() <= 2


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert set(rgb(data)) == {(255, 0, 0)}


def test_a_bomb_is_not_decoded():
    with pytest.raises(ImageError, match="scale it"):
        decode_bytes(png(60_000, 60_000, 8, 0, b"\0" * 60_000), "bomb.png")
    with warnings.catch_warnings():  # between one and two times its own limit Pillow only warns
        warnings.simplefilter("ignore")
        with pytest.raises(ImageError, match="9500 x 9500"):
            decode_bytes(png(9500, 9500, 1, 0, b"\0" * 9500), "bomb.png")
    assert 9500 * 9500 > MAX_PIXELS


@pytest.mark.parametrize("data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"])
def test_no_picture(data):
    """EPS among them: decoding it would start another program."""
    with pytest.raises(ImageError, match="notes.png is not a picture"):
        decode_bytes(data, "notes.png")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        decode(tmp_path / "no.png")
    with pytest.raises(ImageError, match="cannot be read"):
        decode(tmp_path)


_noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8))
FILES = {kind: encoded(_noise, kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000")}
FILES["progressive"] = encoded(_noise, "JPEG", progressive=True)
FILES["lossless WEBP"] = encoded(_noise, "WEBP", lossless=True)


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.95))
def test_a_cut_file_is_never_half_a_picture(kind, share):
    data = FILES[kind]
    try:
        image = decode_bytes(data[: int(len(data) * share)], "x")
    except ImageError:
        return
    assert np.array_equal(image, decode_bytes(data, "x"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))))
def test_a_damaged_file_is_a_picture_or_an_image_error(kind, changes):
    data = bytearray(FILES[kind])
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        assert decode_bytes(bytes(data), "x").mode == "RGB"
    except ImageError as error:
        assert str(error).startswith("x ")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"P6 ", b"\xff\xd8\xff"]),
    st.binary(),
)
def test_random_bytes_are_an_image_error_or_a_picture(head, tail):
    try:
        assert decode_bytes(head + tail, "x").mode == "RGB"
    except ImageError:
        pass


# --- collections ----------------------------------------------------------------------------------------------------


def tree(root: Path, **classes: int) -> Path:
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (4, 4), (i, i, i)).save(root / name / f"{i}.png")
    return root


def test_a_tree_is_labelled_by_its_folders(tmp_path):
    root = tree(tmp_path, b=2, a=1, empty=0)
    (root / "b" / "notes.txt").write_text("no picture")
    (root / "b" / ".hidden").mkdir()
    Image.new("RGB", (4, 4)).save(root / "b" / ".hidden" / "0.png")
    images = open_images(root)
    assert images.class_names == ("a", "b")
    assert (images.ids, images.labels) == (["a/0.png", "b/0.png", "b/1.png"], [0, 1, 1])
    assert open_images(root, ("b", "c", "a")).labels == [2, 0, 0]


def test_pictures_beside_their_masks(tmp_path):
    tree(tmp_path / "images", a=1, b=1)
    tree(tmp_path / "masks", a=1, b=1)
    assert open_images(tmp_path).ids == ["a/0.png", "b/0.png"]


def test_a_flat_folder_has_no_labels(tmp_path):
    images = open_images(tree(tmp_path, a=2) / "a", ("a", "b"))
    assert images.labels == [UNKNOWN, UNKNOWN]


def test_pictures_beside_the_class_folders_are_mentioned(tmp_path):
    Image.new("RGB", (4, 4)).save(tree(tmp_path, a=1, b=1) / "c.png")
    with pytest.warns(VebiWarning, match="1 pictures lie beside the class folders"):
        assert len(open_images(tmp_path)) == 2


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({}, "holds no pictures"),
        ({"a": 0, "b": 0}, "hold no pictures"),
        ({"a": 1}, r"one class only \(a\): at least two"),
    ],
)
def test_folders_that_are_no_training_set(tmp_path, classes, message):
    with pytest.raises(InputError, match=message):
        open_images(tree(tmp_path, **classes))


def test_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_images(tmp_path / "no")


def test_folders_of_other_classes_show_both_sides(tmp_path):
    with pytest.raises(InputError, match="'rot' in the data, but the model's classes are red, blue: name"):
        open_images(tree(tmp_path, rot=1, blue=1), ("red", "blue"))


def test_paths_are_labelled_by_their_folder(tmp_path):
    root = tree(tmp_path, a=1, b=1)
    images = open_images([root / "b" / "0.png", str(root / "a" / "0.png")], ("a", "c"))
    assert images.labels == [UNKNOWN, 0]
    assert open_images(root / "a" / "0.png").ids == [str(root / "a" / "0.png")]


@pytest.mark.parametrize(("data", "error"), [([], InputError), (3, UsageError), (iter("ab"), UsageError)])
def test_what_is_no_collection(data, error):
    with pytest.raises(error, match="give"):
        open_images(data)


def test_gather(tmp_path):
    root = tree(tmp_path, a=2, empty=0)
    assert gather([root / "a", root / "a" / "1.png"]) == [root / "a" / n for n in ("0.png", "1.png", "1.png")]
    for place in ("empty", "missing"):
        with pytest.raises(InputError, match=place):
            gather([root / place])


def test_fingerprint_of_files_moves_with_the_tree_and_changes_with_it(tmp_path):
    one, two = (open_images(tree(tmp_path / name, a=1, b=2)) for name in ("one", "two"))
    before = one.fingerprint()
    assert two.fingerprint() == before
    (tmp_path / "two" / "a" / "0.png").write_bytes(b"other")
    assert two.fingerprint() != before
    (tmp_path / "two" / "a" / "0.png").unlink()
    assert two.fingerprint() != before


def test_a_file_name_need_not_be_utf8(tmp_path):
    images = open_images([Path(str(tmp_path)) / "caf\udce9.png"])
    assert len(images.fingerprint()) == 64


ARRAY = np.full((4, 4, 3), 7, np.uint8)


@pytest.mark.parametrize(
    "image",
    [ARRAY, ARRAY[..., 0], torch.from_numpy(ARRAY), Image.fromarray(ARRAY), Image.fromarray(ARRAY[..., 0])],
    ids=["array", "grey array", "tensor", "picture", "grey picture"],
)
def test_items_of_a_data_set(image):
    loaded, label = open_images([(image, "b")], ("a", "b")).load(0)
    assert (np.asarray(loaded) == ARRAY).all() and loaded.mode == "RGB" and label == 1


def test_items_that_are_paths_or_ready_tensors(tmp_path):
    Image.fromarray(ARRAY).save(tmp_path / "x.png")
    images = open_images(
        [(tmp_path / "x.png", 0), (torch.ones(3, 4, 4, requires_grad=True), torch.tensor(1))], ("a", "b")
    )
    assert (np.asarray(images.load(0)[0]) == ARRAY).all()
    tensor, label = images.load(1)
    assert tensor.shape == (3, 4, 4) and label == 1
    assert images.ids == ["0", "1"] and len(images.fingerprint()) == 64


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (ARRAY, r"item 0 of the data set is a ndarray and no \(image, label\) pair"),
        (Image.fromarray(ARRAY), "no .image, label. pair"),
        ((ARRAY, 2), "label 2, but the model's classes are 0 to 1"),
        ((ARRAY, -1), "label -1"),
        ((ARRAY, 0.5), "label 0.5, but a class index or a class name is needed"),
        ((ARRAY, None), "label None"),
        ((ARRAY, "c"), "'c' in the data, but the model's classes are a, b"),
    ],
)
def test_items_that_cannot_be_used(item, message):
    with pytest.raises(InputError, match=message):
        open_images([item], ("a", "b")).load(0)


@pytest.mark.parametrize(
    "image", [None, ARRAY.astype(float), ARRAY[None], np.zeros((0, 4, 3), np.uint8), Image.new("RGB", (0, 4)), "no.png"]
)
def test_items_that_are_no_picture(image):
    with pytest.raises(ImageError):
        open_images([(image, 0)], ("a", "b")).load(0)


def test_a_truncated_picture_that_was_opened_lazily():
    half = Image.open(io.BytesIO(FILES["PNG"][:900]))
    with pytest.raises(ImageError, match="item 0 is damaged or truncated"):
        open_images([(half, 0)], ("a", "b")).load(0)


def test_labels_of_a_data_set_without_class_names():
    images = open_images([(ARRAY, 5)])
    assert images.load(0)[1] == 5
    with pytest.raises(InputError, match="have no names"):
        open_images([(ARRAY, "a")]).load(0)


def test_an_error_of_the_data_set_itself_is_not_disguised():
    class Broken:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        open_images(Broken()).load(0)


def test_fingerprint_of_a_data_set():
    data = [(ARRAY, 0), ("no.png", 1)]  # the second cannot be decoded, which is no reason to stop
    before = open_images(data, ("a", "b")).fingerprint()
    assert open_images(data, ("a", "b")).fingerprint() == before
    assert open_images([(ARRAY + 1, 0), data[1]], ("a", "b")).fingerprint() != before
    assert open_images([(ARRAY, 1), data[1]], ("a", "b")).fingerprint() != before
    assert open_images([*data, data[0]], ("a", "b")).fingerprint() != before


# --- batches --------------------------------------------------------------------------------------------------------


class Numbers:
    """A collection whose picture i is a tensor of i; those in ``bad`` cannot be decoded."""

    class_names = ()

    def __init__(self, count: int, bad=(), error: Exception | None = None):
        self.ids = [f"#{i}" for i in range(count)]
        self.bad, self.error = bad, error
        self.loaded: list[int] = []

    def __len__(self):
        return len(self.ids)

    def load(self, index):
        self.loaded.append(index)
        if index in self.bad:
            raise self.error or ImageError(f"#{index} is damaged")
        return torch.full((1, 1, 1), float(index)), index % 3

    def fingerprint(self):
        return ""


def ready(image, name):
    return image


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 20), st.integers(1, 8))
def test_batches_give_every_picture_once_in_order(data, count, size):
    order = data.draw(st.permutations(range(count)))
    bad = data.draw(st.sets(st.integers(0, 20)))
    found = list(batches(Numbers(count, bad), order, ready, size))
    assert len(found) == -(-count // size)
    assert [i for b in found for i in b.indices] == [i for i in order if i not in bad]
    assert [name for b in found for name, _ in b.skipped] == [f"#{i}" for i in order if i in bad]
    for batch in found:
        assert batch.inputs.flatten().tolist() == batch.indices
        assert batch.labels == [i % 3 for i in batch.indices]
        assert len(batch.indices) + len(batch.skipped) <= size


def test_strict_batches_stop_at_the_first_bad_picture():
    with pytest.raises(ImageError, match="#4 is damaged"):
        list(batches(Numbers(20, {4, 5, 9}), range(20), ready, 8, strict=True))


def test_what_is_no_image_error_surfaces():
    with pytest.raises(KeyError, match="a defect"):
        list(batches(Numbers(9, {4}, KeyError("a defect")), range(9), ready, 2))


def test_batch_size_is_checked():
    for size in (0, -1):
        with pytest.raises(UsageError, match="batch_size"):
            next(batches(Numbers(3), range(3), ready, size))


def test_no_more_than_two_batches_are_decoded_ahead_and_stopping_early_does_not_hang():
    images = Numbers(1000)
    threads = threading.active_count()
    running = batches(images, range(1000), ready, 5)
    for _ in range(3):
        next(running)
        time.sleep(0.02)  # time enough to run ahead
    running.close()
    assert len(images.loaded) <= 20  # three batches given out, one ahead
    assert threading.active_count() == threads


def test_stopping_early_does_not_wait_for_pictures_that_nobody_wants():
    class Slow(Numbers):
        def load(self, index):
            time.sleep(0.01)
            return super().load(index)

    images = Slow(40)
    running = batches(images, range(40), ready, 20)
    next(running)
    running.close()
    assert len(images.loaded) < 30


def test_a_data_set_is_not_asked_for_two_items_at_once():
    class Shy:
        inside = 0

        def __len__(self):
            return 24

        def __getitem__(self, index):
            self.inside += 1
            time.sleep(0.001)
            alone = self.inside == 1
            self.inside -= 1
            return torch.full((1, 1, 1), float(alone)), 0

    (batch,) = batches(DataSet(Shy(), ("a",)), range(24), ready, 24)
    assert batch.inputs.all()
