"""Collections of labelled pictures: trees, paths, data sets."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vebi.data.collections import UNKNOWN
from vebi.data.folders import gather
from vebi.data.sources import open_images
from vebi.errors import ImageError, InputError, UsageError, VebiWarning


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
    with pytest.raises(InputError, match="are blue, rot, but the model's classes are red, blue, without rot: name"):
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
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(buffer, "PNG")
    half = Image.open(io.BytesIO(buffer.getvalue()[:900]))
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


def test_a_link_back_up_adds_nothing(tmp_path):
    tree(tmp_path, red=2, blue=2)
    before = open_images(tmp_path).ids
    (tmp_path / "red" / "loop").symlink_to(tmp_path)
    assert open_images(tmp_path).ids == before


def test_fingerprint_sees_what_is_painted_over(tmp_path):
    tree(tmp_path, red=2, blue=2)
    before = open_images(tmp_path).fingerprint()
    path = next((tmp_path / "red").iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert open_images(tmp_path).fingerprint() != before
