"""Folders and lists of files: which images they hold, in which order, with which labels."""

import os

import numpy as np
import pytest
from PIL import Image

from vebi.data.collections import UNLABELLED
from vebi.data.folders import expand_paths
from vebi.data.sources import open_images
from vebi.errors import InputError, UsageError, VebiWarning
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


def test_a_tree_is_labelled_by_its_folders(tree, tmp_path):
    root = tree(tmp_path, b=2, a=1, empty=0)
    (root / "b" / "notes.txt").write_text("no image")
    (root / "b" / ".hidden").mkdir()
    Image.new("RGB", (4, 4)).save(root / "b" / ".hidden" / "0.png")
    with pytest.warns(VebiWarning, match=rf"^1 file or folder in {root} is left out, .*: b/notes\.txt$"):
        images = open_images(root)
    assert images.class_names == ("a", "b")
    assert (images.ids, images.labels) == (["a/0.png", "b/0.png", "b/1.png"], [0, 1, 1])
    (root / "b" / "notes.txt").unlink()
    assert open_images(root, ("b", "c", "a")).labels == [2, 0, 0]


@pytest.mark.parametrize("record", ["dataset.json", "dataset.partial.json"])
def test_images_beside_their_masks(tree, tmp_path, record):
    """Only in a data set that vebi wrote: elsewhere ``images`` and ``masks`` are classes like others."""
    tree(tmp_path / "images", a=1, b=1)
    tree(tmp_path / "masks", a=1, b=1)
    tree(tmp_path, other=1)
    assert open_images(tmp_path).class_names == ("images", "masks", "other")
    assert len(open_images(tmp_path)) == 5
    (tmp_path / record).touch()
    assert open_images(tmp_path).ids == ["a/0.png", "b/0.png"]


def test_a_flat_folder_has_no_labels(tree, tmp_path):
    root = tree(tmp_path, a=2) / "a"
    with pytest.warns(VebiWarning, match=f"^{root} has no folders of classes in it: its images have no class$"):
        images = open_images(root, ("a", "b"))
    assert images.labels == [UNLABELLED, UNLABELLED]


@pytest.mark.parametrize("inside", [(), ("notes.txt",), ("deep/notes.txt",)])
def test_a_folder_without_images_is_none_of_a_class(tree, tmp_path, inside):
    root = tree(tmp_path, a=2) / "a"
    (root / "other" / "deep").mkdir(parents=True)
    for name in inside:
        (root / "other" / name).touch()
    with pytest.warns(VebiWarning) as notes:
        images = open_images(root, ("a", "b"))
    assert images.labels == [UNLABELLED, UNLABELLED]
    assert len(notes) == 1 + len(inside)


def test_images_beside_the_class_folders_are_mentioned(tree, tmp_path):
    tree(tmp_path, a=1, b=1)
    for name, sentence in (("c", r"1 image in .* lies .* is left out: c\.png"), ("d", "2 images .*: c.png, d.png")):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
        with pytest.warns(VebiWarning, match=f"^{sentence}$"):
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
    with pytest.warns(VebiWarning, match=r"^2 files or folders in .* are left out, .*: a/no\., a/notes\.txt$"):
        names = [path.relative_to(tmp_path).as_posix() for path in expand_paths([tmp_path])]
    assert names == ["B/w.Tiff", "a/b/y.tar.gif", "a/b.webp", "a/z.png", "a b/x.JPG"]


def test_links_that_point_upwards_add_nothing(tree, tmp_path):
    tree(tmp_path, red=2, blue=2)
    before = open_images(tmp_path).ids
    (tmp_path / "red" / "loop").symlink_to(tmp_path)
    (tmp_path / "red" / "self").symlink_to("self")
    loops = r"red/loop \(a link to a folder that is read already\), red/self \(Too many levels of symbolic links\)$"
    with pytest.warns(VebiWarning, match=loops):
        assert open_images(tmp_path).ids == before


@pytest.mark.parametrize(
    "suffix", ["jfif", "jpe", "JPG", "mpo", "avif", "png", "apng", "dib", "tga", "pcx", "qoi", "ico", "pbm"]
)
def test_images_of_every_kind_that_can_be_read(tmp_path, suffix):
    Image.init()
    image = Image.new("RGB", (16, 16), (200, 40, 40))
    path = tmp_path / f"a.{suffix}"
    kind = Image.registered_extensions()[f".{suffix.lower()}"]
    (image.convert("1") if suffix == "pbm" else image).save(path, kind)
    assert expand_paths([tmp_path]) == [path]
    (loaded, _) = open_images([path]).load(0)
    assert (loaded.mode, loaded.size) == ("RGB", (16, 16))
    if suffix != "pbm":
        assert np.abs(np.asarray(loaded, int) - (200, 40, 40)).max() < 8


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.with_suffix(".heic").touch(), r"thing\.heic"),
        (lambda path: path.with_suffix(".jp2").touch(), r"thing\.jp2"),
        (lambda path: os.mkfifo(path.with_suffix(".png")), r"thing\.png \(a pipe, a device or the like\)"),
        (lambda path: path.with_suffix(".png").symlink_to("/dev/zero"), r"thing\.png \(a pipe, a device or the like\)"),
        (lambda path: path.with_suffix(".png").symlink_to("nowhere"), r"thing\.png \(a link that leads nowhere\)"),
        (lambda path: path.symlink_to(path.parents[1] / "b"), r"thing \(a link to a folder that is read already\)"),
    ],
    ids=["heic", "jp2", "pipe", "device", "dead link", "link to a class"],
)
def test_what_is_left_out_is_named_and_why(tree, tmp_path, make, reason):
    root = tree(tmp_path, a=1, b=1)
    make(root / "a" / "thing")
    with pytest.warns(VebiWarning, match=f"^1 file or folder in {root} is left out, .*: a/{reason}$") as warned:
        images = open_images(root)
    assert len(warned) == 1
    assert images.ids == ["a/0.png", "b/0.png"]


def test_a_link_to_a_folder_above_reads_nothing_twice(tree, tmp_path):
    root = tree(tmp_path / "above" / "root", a=1, b=1)
    (root / "a" / "up").symlink_to(tmp_path / "above")
    with pytest.warns(VebiWarning, match=r": a/up/root \(it is read already\)$"):
        assert open_images(root).ids == ["a/0.png", "b/0.png"]


def test_a_folder_that_cannot_be_read_is_named(tree, tmp_path, monkeypatch):
    root, scandir = tree(tmp_path, a=1, b=1, c=1), os.scandir

    def forbid(path):
        if str(path).endswith("/c"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbid)
    with pytest.warns(VebiWarning, match=r": c \(Permission denied\)$"):
        assert open_images(root).class_names == ("a", "b")


def test_a_folder_without_images_says_what_it_holds_instead(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.heic").touch()
    with pytest.raises(InputError, match=r"hold no images that can be read, but a/x\.heic, b/x\.heic"):
        open_images(tmp_path)


def test_names_are_compared_whatever_their_letters_are_made_of(tree, tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    root = tree(tmp_path, **{decomposed: 1, "b": 1})
    images = open_images(root, ("b", composed))
    assert images.class_names == ("b", composed)
    assert sorted(images.labels) == [0, 1]
    assert open_images([root / decomposed / "0.png"], ("b", composed)).labels == [1]
    assert open_images(root).class_names == ("b", composed)


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (("caf\u00e9", "cafe\u0301", "a", "b"), None),
        (("a", "a", "b"), None),
        (("a", "b"), ("caf\u00e9", "cafe\u0301")),
        (("caf\u00e9", "b"), ("1", "cafe\u0301")),
    ],
)
def test_classes_that_cannot_be_told_apart_are_refused(tree, tmp_path, toy_module, names, ids):
    root = tree(tmp_path, a=1, b=1)
    with pytest.raises(UsageError, match=r"called '(caf|a)|known by the id 'caf|'caf.' is the id|'cafe.' is the id"):
        open_images(root, names, ids)
    with pytest.raises(UsageError, match=r"called '(caf|a)|known by the id 'caf|'caf.' is the id|'cafe.' is the id"):
        Classifier(toy_module, Preprocess(32, toy_module.mean, toy_module.std), names, class_ids=ids)
