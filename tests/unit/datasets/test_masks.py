"""A mask is found by the name of its image, or from the parts of a flower."""

import re

import numpy as np
import pytest
from PIL import Image

from vebi.data.collections import DatasetImages, Subset
from vebi.data.sources import open_images
from vebi.datasets.flowers import carrier_mask, generate, load_dataset
from vebi.datasets.masks import find_foregrounds, find_masks
from vebi.errors import InputError


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
    Image.new("L", (6, 8)).save(tree / "truth" / "a" / "0.png")
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
