"""Folders and lists of files as collections of images."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from vebi.data.collections import UNKNOWN, Files
from vebi.errors import InputError, VebiWarning, listed

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def _from_folder(root: Path, class_names: tuple[str, ...] | None) -> Files:
    if (root / "images").is_dir() and (root / "masks").is_dir():
        root = root / "images"  # a data set with ground truth keeps its pictures beside its masks
    names = _pictures(root)
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not names:
        held = f"the folders in {root} hold" if folders else f"{root} holds"
        raise InputError(f"{held} no pictures: give a folder with one folder of pictures for each class")
    if not folders:
        return Files(root, names, [UNKNOWN] * len(names), class_names or ())
    inside = [name for name in names if "/" in name]
    filled = tuple(dict.fromkeys(name.partition("/")[0] for name in inside))
    if len(filled) < 2:
        raise InputError(
            f"{root} holds pictures of one class only ({', '.join(filled) or 'its own'}): at least two are needed"
        )
    if len(inside) < len(names):
        warnings.warn(
            f"{len(names) - len(inside)} pictures lie beside the class folders in {root} and are left out",
            VebiWarning,
            stacklevel=3,
        )
    classes = class_names or filled
    strangers = [name for name in filled if name not in set(classes)]
    if strangers:
        raise InputError(
            f"the folders of {root} are {listed(filled)}, but the model's classes are {listed(classes)}, without "
            f"{listed(strangers)}: name the folders as the model does, or give its class names in its order"
        )
    index = {name: i for i, name in enumerate(classes)}
    return Files(root, inside, [index[name.partition("/")[0]] for name in inside], classes)


def _from_paths(paths: list[Path], class_names: tuple[str, ...] | None) -> Files:
    """Single files; a file in a folder named as a class has that class as its label."""
    index = {name: i for i, name in enumerate(class_names or ())}
    labels = [index.get(path.parent.name, UNKNOWN) for path in paths]
    return Files(Path(), [str(path) for path in paths], labels, class_names or ())


def _pictures(folder: Path) -> list[str]:
    """The paths of all pictures below a folder, sorted, but none that are hidden or lie in a hidden folder."""
    found, seen = [], {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, followlinks=True):
        shown = {os.path.realpath(os.path.join(place, name)): name for name in folders if not name.startswith(".")}
        folders[:] = [name for target, name in shown.items() if target not in seen]  # a link may lead back up
        seen |= shown.keys()
        inside = Path(place).relative_to(folder)
        found += [
            (inside / name).as_posix()
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
        ]
    return sorted(found, key=lambda name: name.split("/"))


def gather(places: Sequence[str | os.PathLike]) -> list[Path]:
    """The files among ``places`` and all pictures below the folders among them, in order."""
    found: list[Path] = []
    for place in map(Path, places):
        if not place.exists():
            raise InputError(f"{place} does not exist: give pictures or folders of pictures")
        pictures = [place / name for name in _pictures(place)] if place.is_dir() else [place]
        if not pictures:
            raise InputError(f"{place} holds no pictures: give pictures or folders of pictures")
        found += pictures
    return found
