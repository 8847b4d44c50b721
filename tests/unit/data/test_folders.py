"""Folders and lists of files: which images they hold, in which order, with which labels."""

import pytest
from PIL import Image

from vebi.data.collections import UNLABELLED
from vebi.data.folders import expand_paths
from vebi.data.sources import open_images
from vebi.errors import InputError, VebiWarning


def test_a_tree_is_labelled_by_its_folders(tree, tmp_path):
    root = tree(tmp_path, b=2, a=1, empty=0)
    (root / "b" / "notes.txt").write_text("no image")
    (root / "b" / ".hidden").mkdir()
    Image.new("RGB", (4, 4)).save(root / "b" / ".hidden" / "0.png")
    images = open_images(root)
    assert images.class_names == ("a", "b")
    assert (images.ids, images.labels) == (["a/0.png", "b/0.png", "b/1.png"], [0, 1, 1])
    assert open_images(root, ("b", "c", "a")).labels == [2, 0, 0]


def test_images_beside_their_masks(tree, tmp_path):
    tree(tmp_path / "images", a=1, b=1)
    tree(tmp_path / "masks", a=1, b=1)
    assert open_images(tmp_path).ids == ["a/0.png", "b/0.png"]


def test_a_flat_folder_has_no_labels(tree, tmp_path):
    images = open_images(tree(tmp_path, a=2) / "a", ("a", "b"))
    assert images.labels == [UNLABELLED, UNLABELLED]


def test_images_beside_the_class_folders_are_mentioned(tree, tmp_path):
    Image.new("RGB", (4, 4)).save(tree(tmp_path, a=1, b=1) / "c.png")
    with pytest.warns(VebiWarning, match=f"^1 images .*{tmp_path}"):
        assert len(open_images(tmp_path)) == 2


@pytest.mark.parametrize(
    ("classes", "fact"), [({}, "no images"), ({"a": 0, "b": 0}, "no images"), ({"a": 1}, r"one class only \(a\)")]
)
def test_folders_that_are_no_training_set(tree, tmp_path, classes, fact):
    with pytest.raises(InputError, match=f"{tmp_path} .*{fact}"):
        open_images(tree(tmp_path, **classes))


def test_folders_of_other_classes_show_both_sides(tree, tmp_path):
    with pytest.raises(InputError, match=r"blue, rot.* red, blue.* rot"):
        open_images(tree(tmp_path, rot=1, blue=1), ("red", "blue"))


def test_paths_are_labelled_by_their_folder(tree, tmp_path):
    root = tree(tmp_path, a=1, b=1)
    images = open_images([root / "b" / "0.png", str(root / "a" / "0.png")], ("a", "c"))
    assert images.labels == [UNLABELLED, 0]
    assert open_images(root / "a" / "0.png").ids == [str(root / "a" / "0.png")]


def test_paths_of_files_and_folders_are_expanded(tree, tmp_path):
    root = tree(tmp_path, a=2, empty=0)
    assert expand_paths([root / "a", root / "a" / "1.png"]) == [root / "a" / n for n in ("0.png", "1.png", "1.png")]
    for folder in ("empty", "missing"):
        with pytest.raises(InputError, match=folder):
            expand_paths([root / folder])


def test_images_are_sorted_by_the_parts_of_their_paths_and_recognised_by_their_suffix(tmp_path):
    for name in ("a b/x.JPG", "a/z.png", "a/b/y.tar.gif", "a/b.webp", "a/no.", "a/.png", "a/notes.txt", "B/w.Tiff"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in expand_paths([tmp_path])]
    assert names == ["B/w.Tiff", "a/b/y.tar.gif", "a/b.webp", "a/z.png", "a b/x.JPG"]


def test_links_that_point_upwards_add_nothing(tree, tmp_path):
    tree(tmp_path, red=2, blue=2)
    before = open_images(tmp_path).ids
    (tmp_path / "red" / "loop").symlink_to(tmp_path)
    (tmp_path / "red" / "self").symlink_to("self")
    assert open_images(tmp_path).ids == before
