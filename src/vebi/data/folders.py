"""Folders and lists of files as collections of images."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from vebi.data.collections import UNLABELLED, ImageFiles
from vebi.errors import InputError, VebiWarning, join_names

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def from_folder(root: Path, class_names: tuple[str, ...] | None) -> ImageFiles:
    """The images of a folder, labelled by the folders in it where there are any.

    Args:
        root: A folder of images, one with a folder of images per class, or one that holds such a tree as ``images``
            beside ``masks``.
        class_names: The model's class names, which the folders must be among; None: the names of the folders, sorted.

    Returns:
        The images in the order of their paths.

    Raises:
        InputError: There are no images, images of one class only, or folders that name no class of the model.
    """
    if (root / "images").is_dir() and (root / "masks").is_dir():
        root = root / "images"  # a data set with ground truth keeps its images beside its masks
    names = _image_names(root)
    has_folders = any(path.is_dir() and not path.name.startswith(".") for path in root.iterdir())
    if not names:
        holder = f"the folders in {root} hold" if has_folders else f"{root} holds"
        raise InputError(f"{holder} no images: give a folder with one folder of images per class")
    if not has_folders:
        return ImageFiles(root, names, [UNLABELLED] * len(names), class_names or ())
    return _labelled_by_folder(root, names, class_names)


def _labelled_by_folder(root: Path, names: list[str], class_names: tuple[str, ...] | None) -> ImageFiles:
    """Images whose label is the first folder of their path; those that lie in none are left out."""
    inside = [name for name in names if "/" in name]
    folders = tuple(dict.fromkeys(name.partition("/")[0] for name in inside))
    if len(folders) < 2:
        raise InputError(
            f"{root} holds images of one class only ({', '.join(folders) or 'its own'}): at least two are needed"
        )
    if len(inside) < len(names):
        warnings.warn(
            f"{len(names) - len(inside)} images lie beside the class folders in {root} and are left out",
            VebiWarning,
            stacklevel=4,
        )
    classes = class_names or folders
    unknown = [name for name in folders if name not in set(classes)]
    if unknown:
        raise InputError(
            f"the folders of {root} are {join_names(folders)}, but the model's classes are {join_names(classes)}, "
            f"without {join_names(unknown)}: name the folders as the model does, or give its class names in its order"
        )
    index = {name: i for i, name in enumerate(classes)}
    return ImageFiles(root, inside, [index[name.partition("/")[0]] for name in inside], classes)


def from_paths(paths: list[Path], class_names: tuple[str, ...] | None) -> ImageFiles:
    """Single files; a file in a folder that is named as a class has that class as its label.

    Args:
        paths: The files, which are not opened yet.
        class_names: The model's class names.

    Returns:
        The images in the order given.
    """
    index = {name: i for i, name in enumerate(class_names or ())}
    labels = [index.get(path.parent.name, UNLABELLED) for path in paths]
    return ImageFiles(Path(), [str(path) for path in paths], labels, class_names or ())


def expand_paths(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files among ``paths`` and all images below the folders among them.

    Args:
        paths: Files and folders.

    Returns:
        The paths of the images, in order.

    Raises:
        InputError: A path does not exist, or a folder holds no images.
    """
    expanded: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} does not exist: give images or folders of images")
        images = [path / name for name in _image_names(path)] if path.is_dir() else [path]
        if not images:
            raise InputError(f"{path} holds no images: give images or folders of images")
        expanded += images
    return expanded


def _image_names(folder: Path) -> list[str]:
    """The paths of all images below a folder, sorted, but none that are hidden or lie in a hidden folder."""
    names, visited = [], {os.path.realpath(folder)}
    for parent, folders, files in os.walk(folder, followlinks=True):
        # realpath and not resolve(), which raises where links form a loop
        targets = {os.path.realpath(Path(parent, name)): name for name in folders if not name.startswith(".")}
        folders[:] = [name for target, name in targets.items() if target not in visited]  # a link may point upwards
        visited |= targets.keys()
        below = Path(parent).relative_to(folder)
        shown = [below / name for name in files if not name.startswith(".")]
        names += [path.as_posix() for path in shown if path.suffix.lower() in SUFFIXES]
    return sorted(names, key=lambda name: name.split("/"))
