"""Whatever holds images, as a collection: a folder, a file, a list of paths, a data set."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vebi.data.collections import DataSet, Images
from vebi.data.folders import _from_folder, _from_paths
from vebi.errors import InputError, UsageError


def open_images(data: Any, class_names: tuple[str, ...] | None = None) -> Images:
    """A class-per-folder tree, a folder of pictures, one picture, a list of paths or a data set, as ``Images``.

    ``class_names`` are the model's: folders are matched to them by name. Where the model has none, those of the
    folders are taken in sorted order. ``Images`` are returned as they are. Raises InputError where there is nothing to
    read or the names do not match.
    """
    if isinstance(data, Images):
        return data
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        if not path.exists():
            raise InputError(f"{path} does not exist: give a folder with one folder of pictures for each class")
        return _from_folder(path, class_names) if path.is_dir() else _from_paths([path], class_names)
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        raise UsageError(
            f"data is a {type(data).__name__}: give a folder, a list of paths or a data set with len() and indexing"
        )
    if len(data) == 0:
        raise InputError("the data set is empty: give at least one picture")
    if isinstance(data, Sequence) and isinstance(data[0], str | os.PathLike):
        return _from_paths([Path(p) for p in data], class_names)
    return DataSet(data, class_names or ())
