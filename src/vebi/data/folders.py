"""Folders and lists of files as collections of images."""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from vebi.data.collections import UNLABELLED, ImageFiles
from vebi.data.listing import MOST_NAMES, list_images
from vebi.errors import InputError, VebiWarning, as_path, join_names, require
from vebi.files import normal

#: The record of a data set of `vebi flowers`, and that of one that is not complete yet.
RECORDS = ("dataset.json", "dataset.partial.json")


def from_folder(
    root: Path, class_names: tuple[str, ...] | None, class_ids: tuple[str, ...] | None = None
) -> ImageFiles:
    """The images of a folder, labelled by the folders in it where there are any.

    Args:
        root: A folder of images, one with a folder of images per class, or a data set of `vebi flowers`,
            which holds such a tree as ``images``.
        class_names: The model's class names, which the folders must be among; None: the names of the folders, sorted.
        class_ids: What folders may be called instead, one for each name.

    Returns:
        The images in the order of their paths.

    Raises:
        InputError: There are no images, images of one class only, or folders that name no class of the model.
    """
    if any((root / name).is_file() for name in RECORDS) and (root / "images").is_dir():
        root = root / "images"  # `vebi flowers` keeps the images beside their masks
    listing = list_images(root)
    has_folders = any(path.is_dir() and not path.name.startswith(".") for path in root.iterdir())
    if not listing.names:
        holder = f"the folders in {root} hold" if has_folders else f"{root} holds"
        others = f" that can be read, but {join_names(listing.left_out, 3)}" if listing.left_out else ""
        raise InputError(f"{holder} no images{others}: give a folder with one folder of images per class")
    listing.report(root)
    if not any("/" in name for name in listing.names):
        warnings.warn(f"{root} has no folders of classes in it: its images have no class", VebiWarning, stacklevel=3)
        return ImageFiles(root, listing.names, [UNLABELLED] * len(listing.names), class_names or ())
    return _labelled_by_folder(root, listing.names, class_names, class_ids)


def _labelled_by_folder(
    root: Path, names: list[str], class_names: tuple[str, ...] | None, class_ids: tuple[str, ...] | None
) -> ImageFiles:
    """Images whose label is the first folder of their path; those that lie in none are left out."""
    inside = [name for name in names if "/" in name]
    folders = tuple(dict.fromkeys(name.partition("/")[0] for name in inside))
    if len(folders) < 2:
        raise InputError(f"{root} holds images of one class only ({', '.join(folders)}): at least two are needed")
    beside = [name for name in names if "/" not in name]
    if beside:
        kind, lie, are = ("image", "lies", "is") if len(beside) == 1 else ("images", "lie", "are")
        warnings.warn(
            f"{len(beside)} {kind} in {root} {lie} beside the class folders and {are} left out: "
            f"{join_names(beside, MOST_NAMES)}",
            VebiWarning,
            stacklevel=4,
        )
    classes = class_names or tuple(dict.fromkeys(map(normal, folders)))
    index = _index_of(classes, class_ids)
    unknown = [name for name in folders if normal(name) not in index]
    if unknown:
        ids = f", or {join_names(class_ids)}" if class_ids else ""
        raise InputError(
            f"the folders of {root} are {join_names(folders)}, but the model's classes are {join_names(classes)}{ids}, "
            f"without {join_names(unknown)}: name the folders as the model does, or give its class names in its order"
        )
    return ImageFiles(root, inside, [index[normal(name.partition("/")[0])] for name in inside], classes)


def _index_of(class_names: Sequence[str], class_ids: Sequence[str] | None) -> dict[str, int]:
    """Normal form of a class name or id -> index of the class."""
    return {normal(name): i for names in (class_names, class_ids or ()) for i, name in enumerate(names)}


def from_paths(
    paths: list[Path], class_names: tuple[str, ...] | None, class_ids: tuple[str, ...] | None = None
) -> ImageFiles:
    """Single files; a file in a folder that is named as a class has that class as its label.

    Args:
        paths: The files, which are not opened yet.
        class_names: The model's class names.
        class_ids: What folders may be called instead, one for each name.

    Returns:
        The images in the order given.
    """
    index = _index_of(class_names or (), class_ids)
    labels = [index.get(normal(path.parent.name), UNLABELLED) for path in paths]
    return ImageFiles(Path(), [str(path) for path in paths], labels, class_names or ())


def expand_paths(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The files among ``paths`` and all images below the folders among them.

    Args:
        paths: Files and folders, or one of them.

    Returns:
        The paths of the images, in order.

    Raises:
        InputError: A path does not exist, or a folder holds no images.
        UsageError: There are no paths in it.
    """
    expanded: list[Path] = []
    needed = "paths of images, or of folders of images, are needed"
    require("images", paths, (str, os.PathLike, Iterable), needed)
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        path = as_path("one of the images", path, needed)
        if not path.exists():
            raise InputError(f"{path} does not exist: give images or folders of images")
        if not path.is_dir():
            expanded.append(path)
            continue
        listing = list_images(path)
        if not listing.names:
            raise InputError(f"{path} holds no images: give images or folders of images")
        listing.report(path)
        expanded += [path / name for name in listing.names]
    return expanded
