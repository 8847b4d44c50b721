"""A mask is found by the name of its image, or from the parts of a flower."""

import re
import struct

import numpy as np
import pytest
from image_bytes import png, tiff
from PIL import Image, features

from vebi.data.collections import DatasetImages, Subset
from vebi.data.sources import open_images
from vebi.datasets.flowers import carrier_mask, generate, load_dataset
from vebi.datasets.mask_files import read_mask
from vebi.datasets.masks import find_foregrounds, find_masks
from vebi.errors import InputError, VebiWarning


@pytest.fixture
def tree(tmp_path):
    """Two images per class, and masks whose only white pixel tells them apart."""
    k = 0
    for name in ("a", "b"):
        for i in range(2):
            for root in ("images", "truth"):
                (tmp_path / root / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6)).save(tmp_path / "images" / name / f"{i}.jpg")
            mask = np.zeros((6, 8), np.uint8)
            mask[0, k] = 1  # not black, if only just
            Image.fromarray(mask).save(tmp_path / "truth" / name / f"{i}.png")
            k += 1
    return tmp_path


def test_masks_are_found_by_name(tree):
    images = open_images(tree / "images")
    masks = find_masks(images, tree / "truth")
    for k in range(4):
        assert masks(k).dtype == bool
        assert np.argwhere(masks(k)).tolist() == [[0, k]]
    subset = find_masks(Subset(images, [3, 1]), tree / "truth")
    assert np.argwhere(subset(0)).tolist() == [[0, 3]]
    assert np.argwhere(subset(1)).tolist() == [[0, 1]]


def test_images_given_one_by_one_have_their_class_from_their_folder(tree):
    images = open_images([tree / "images" / "b" / "0.jpg", tree / "images" / "a" / "1.jpg"], ("a", "b"))
    masks = find_masks(images, tree / "truth")
    assert np.argwhere(masks(0)).tolist() == [[0, 2]]
    assert np.argwhere(masks(1)).tolist() == [[0, 1]]


@pytest.mark.parametrize(("ours", "theirs"), [("\u00e9", "e\u0301"), ("e\u0301", "\u00e9")])
def test_masks_are_found_whatever_the_letters_of_their_names_are_made_of(tree, ours, theirs):
    for root, name in (("images", ours), ("truth", theirs)):
        for path in (tree / root / "a").iterdir():
            path.rename(path.with_name(f"{name}{path.name}"))
        (tree / root / "a").rename(tree / root / f"x{name}")
    images = open_images(tree / "images")
    masks = find_masks(images, tree / "truth")
    found = [(images.ids[k], np.argwhere(masks(k)).tolist()) for k in range(4)]
    expected = [f"x{ours}/{ours}0.jpg", f"x{ours}/{ours}1.jpg", "b/0.jpg", "b/1.jpg"]
    assert sorted(found) == sorted((name, [[0, k]]) for k, name in enumerate(expected))


def test_a_mask_of_the_same_suffix(tree):
    mask = np.zeros((6, 8), np.uint8)
    mask[3:] = 255
    (tree / "truth" / "a" / "0.png").unlink()
    Image.fromarray(mask).save(tree / "truth" / "a" / "0.jpg", quality=100)
    assert (find_masks(open_images(tree / "images"), tree / "truth")(0)[3:]).all()


def test_masks_that_are_not_there_or_do_not_fit(tree):
    images = open_images(tree / "images")
    (tree / "truth" / "a" / "0.png").unlink()
    with pytest.raises(InputError, match=r"a/0\.jpg has no mask.*a/0\.png"):
        find_masks(images, tree / "truth")(0)
    Image.fromarray(np.eye(8, 6, dtype=np.uint8)).save(tree / "truth" / "a" / "0.png")
    with pytest.raises(InputError, match=r"a/0\.png has 6 x 8 pixels, .* 8 x 6"):
        find_masks(images, tree / "truth")(0)
    with pytest.raises(InputError, match="nowhere"):
        find_masks(images, tree / "nowhere")
    with pytest.raises(InputError, match="truth"):
        find_masks(DatasetImages([(np.zeros((4, 4), np.uint8), 0)], ("a",)), tree / "truth")


def test_without_a_folder_only_flowers_have_masks(tree):
    assert find_masks(open_images(tree / "images")) is None
    assert find_masks(DatasetImages([], ())) is None
    assert find_foregrounds(open_images(tree / "images")) is None
    assert find_foregrounds(Subset(open_images(tree / "images"), [0])) is None
    assert find_foregrounds(DatasetImages([], ())) is None


def test_flowers_bring_their_own(tmp_path):
    generate(tmp_path, variant="double-12c", images_per_class=1, size=48)
    images = open_images(tmp_path)
    masks, record = find_masks(images), load_dataset(tmp_path)
    for i in range(len(images)):
        path = images.path(i)
        labels = np.asarray(Image.open(tmp_path / "masks" / path.parent.name / path.name))
        assert (masks(i) == carrier_mask(labels, path.parent.name, record)).all()
    assert sum(masks(i).any() for i in range(len(images))) > 6
    one_by_one = find_masks(open_images([images.path(i) for i in (7, 2)]))
    assert (one_by_one(0) == masks(7)).all()
    assert (one_by_one(1) == masks(2)).all()
    mask = tmp_path / "masks" / images.path(0).parent.name / images.path(0).name
    mask.write_bytes(b"no")
    with pytest.raises(InputError, match=re.escape(str(mask))):
        find_masks(images)(0)


@pytest.mark.parametrize("scene", ["plain", "meadow"])
def test_the_foreground_is_every_part_of_the_flower(tmp_path, scene):
    generate(tmp_path, variant="double-12c", images_per_class=1, size=48, scene=scene)
    images = open_images(tmp_path)
    foregrounds, masks = find_foregrounds(images), find_masks(images)
    for i in range(len(images)):
        path = images.path(i)
        labels = np.asarray(Image.open(tmp_path / "masks" / path.parent.name / path.name))
        assert foregrounds(i).dtype == bool
        assert np.array_equal(foregrounds(i), labels > 0)
        assert 0 < masks(i).sum() < foregrounds(i).sum() < labels.size
    few = find_foregrounds(Subset(images, [5, 0]))
    assert np.array_equal(few(0), foregrounds(5))
    assert np.array_equal(few(1), foregrounds(0))
    mask = tmp_path / "masks" / images.path(0).parent.name / images.path(0).name
    mask.write_bytes(b"no")
    with pytest.raises(InputError, match=re.escape(str(mask))):
        foregrounds(0)


# --- which pixels are the object -------------------------------------------------------------------------------------

IDS = np.array([[0, 1, 128], [129, 257, 65535]], np.uint16)
OBJECT = [[False, True, True], [True, True, True]]


def saved(folder, image, name="mask.png", **options):
    image.save(folder / name, **options)
    return folder / name


def palette(indices, colours):
    image = Image.fromarray(np.array(indices, np.uint8)).convert("P")
    image.putdata([k for row in indices for k in row])
    image.putpalette([value for colour in colours for value in colour])
    return image


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (Image.fromarray(IDS), "mask.png"),
        (Image.fromarray(IDS), "mask.tif"),
        (Image.fromarray(IDS.astype(np.int32)), "mask.tif"),
        (Image.fromarray(IDS.astype(np.float32) / 1e6), "mask.tif"),
        (Image.fromarray((IDS > 0).astype(np.uint8)), "mask.png"),
        (Image.fromarray(IDS > 0), "mask.png"),
        (Image.fromarray(np.stack([0 * IDS, 0 * IDS, np.minimum(IDS, 255)], 2).astype(np.uint8)), "mask.png"),
        (palette([[0, 1, 2], [3, 1, 2]], [(0, 0, 0), (9, 0, 0), (0, 9, 0), (0, 0, 9)]), "mask.png"),
        (palette([[0, 1, 2], [3, 1, 2]], [(0, 0, 0)] * 4), "mask.png"),  # colours that nobody chose
        (palette([[1, 0, 0], [0, 0, 0]], [(255, 255, 255), (0, 0, 0)]), "mask.png"),  # white is the first colour
    ],
    ids=[
        "16 bit",
        "16 bit TIFF",
        "32 bit",
        "float",
        "8 bit",
        "1 bit",
        "blue",
        "palette",
        "black palette",
        "white first",
    ],
)
def test_any_value_but_zero_is_the_object(tmp_path, image, name):
    assert read_mask(saved(tmp_path, image, name)).tolist() == OBJECT


RGBA = {
    "white on transparency": ([(0, 0, 0, 0), (255, 255, 255, 255)], [False, True]),
    "white under transparency": ([(255, 255, 255, 0), (255, 255, 255, 255)], [False, True]),
    "white on black, all opaque": ([(0, 0, 0, 255), (255, 255, 255, 255)], [False, True]),
    "black on transparency": ([(0, 0, 0, 0), (0, 0, 0, 255)], [False, True]),
    "half transparent": ([(0, 0, 0, 0), (0, 0, 0, 1)], [False, True]),
    "white on black on transparency": ([(0, 0, 0, 0), (0, 0, 0, 255), (9, 0, 0, 255)], [False, False, True]),
}


@pytest.mark.parametrize("name", RGBA)
def test_what_is_transparent_is_no_object(tmp_path, name):
    pixels, expected = RGBA[name]
    image = Image.fromarray(np.array([pixels], np.uint8))
    assert read_mask(saved(tmp_path, image)).tolist() == [expected]
    grey = image.convert("LA")
    assert read_mask(saved(tmp_path, grey)).tolist() == [expected]


@pytest.mark.parametrize("key", [300, 255, 65535])
def test_a_deep_value_that_is_transparent(tmp_path, key):
    values = [0, 1, 255, 300, 400, 65535]
    (tmp_path / "mask.png").write_bytes(png(6, 1, 16, 0, struct.pack(">6H", *values), tRNS=struct.pack(">H", key)))
    assert read_mask(tmp_path / "mask.png").tolist() == [[value not in (0, key) for value in values]]


@pytest.mark.parametrize(
    ("name", "mode", "frames", "options"),
    [
        ("mask.jpg", "L", 1, {"quality": 40}),
        ("jpeg.png", "L", 1, {"format": "JPEG", "quality": 40}),
        ("mask.tif", "L", 1, {"compression": "jpeg", "quality": 40}),
        *(("mask.webp", mode, frames, {"quality": 30}) for mode in ("RGB", "RGBA") for frames in (1, 2)),
        *(("mask.avif", mode, 1, {"quality": 30}) for mode in ("RGB", "RGBA")),
    ],
)
def test_traces_of_compression_are_no_object(tmp_path, name, mode, frames, options):
    if name == "mask.avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    square = np.zeros((64, 64), np.uint8)
    square[13:40, 17:50] = 255
    image = Image.fromarray(square).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(square))
    if frames > 1:
        options = {**options, "save_all": True, "append_images": [image.rotate(90)]}
    mask = read_mask(saved(tmp_path, image, name, **options))
    assert (mask == (square > 0)).mean() > 0.99
    assert not mask[:5].any()


@pytest.mark.parametrize("frames", [1, 2])
def test_any_value_but_zero_is_the_object_in_webp_without_loss(tmp_path, frames):
    images = [Image.fromarray(np.full((8, 8, 3), k, np.uint8)) for k in range(frames)]
    images[0].putpixel((3, 2), (1, 0, 0))
    mask = read_mask(saved(tmp_path, images[0], "x.webp", lossless=True, save_all=True, append_images=images[1:]))
    assert np.argwhere(mask).tolist() == [[2, 3]]


DEEP = struct.pack(">3H", 0, 1, 65535)
CUT_SHORT = {
    "rgb.png": png(1, 1, 16, 2, DEEP),
    "la.png": png(1, 1, 16, 4, DEEP[2:]),
    "rgba.png": png(1, 1, 16, 6, DEEP + DEEP[-2:]),
    "rgb.ppm": b"P6 1 1 65535\n" + DEEP,
    "rgb-1000.ppm": b"P6 1 1 1000\n" + struct.pack(">3H", 0, 1, 1000),
    "ascii.ppm": b"P3 1 1 1000 0 1 1000",
    "rgb.tif": tiff(1, DEEP, samples=3, photometric=2, order=">"),
    "grey.sgi": struct.pack(">hBBHHHH500x", 474, 0, 2, 2, 3, 1, 1) + DEEP,
}


@pytest.mark.parametrize("name", CUT_SHORT)
def test_values_of_which_only_a_part_can_be_read_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(CUT_SHORT[name])
    with pytest.raises(InputError, match=rf"{name} has 16 bits .* only 8 can be read: save it with 8 .* 16-bit"):
        read_mask(tmp_path / name)


def test_black_that_is_not_zero(tmp_path):
    black_and_blue = Image.fromarray(np.array([[(0, 0, 0), (0, 0, 255)]], np.uint8))
    for mode in ("CMYK", "YCbCr"):
        assert read_mask(saved(tmp_path, black_and_blue.convert(mode), f"{mode}.tif")).tolist() == [[False, True]]
    lab = Image.merge("LAB", [Image.fromarray(np.array([[0, 82]], np.uint8))] * 3)
    assert read_mask(saved(tmp_path, lab, "lab.tif")).tolist() == [[False, True]]
    (tmp_path / "white.tif").write_bytes(tiff(3, DEEP, photometric=0))
    with pytest.raises(InputError, match=r"white\.tif .* in which 0 is white"):
        read_mask(tmp_path / "white.tif")


@pytest.mark.parametrize(("value", "fact"), [(0, "is empty"), (7, "covers all of its image")])
def test_a_mask_that_says_nothing_is_warned_of_by_its_name(tmp_path, value, fact):
    path = saved(tmp_path, Image.new("L", (4, 4), value))
    with pytest.warns(VebiWarning, match=f"^the mask {path} {fact}$"):
        read_mask(path)


def test_masks_are_turned_as_their_images_are(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, Image.fromarray(IDS.astype(np.uint8)), exif=exif)
    assert read_mask(path).shape == (3, 2)


def test_masks_that_cannot_be_read(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"no mask")
    with pytest.raises(InputError, match="is not an image that can be decoded"):
        read_mask(tmp_path / "mask.png")
    with pytest.raises(InputError, match="not finite"):
        read_mask(saved(tmp_path, Image.fromarray(np.full((2, 2), np.nan, np.float32)), "mask.tif"))
