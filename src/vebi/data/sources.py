"""Whatever holds images, as a collection: a folder, a file, a list of paths, a data set."""

import os
from collections.abc import Sequence
from pathlib import Path

from vebi.data.collections import DatasetImages, ImageCollection, SizedDataset
from vebi.data.folders import from_folder, from_paths
from vebi.errors import InputError, UsageError


def open_images(data: object, class_names: tuple[str, ...] | None = None) -> ImageCollection:
    """A folder, a file, a list of paths or a data set as a collection of labelled images.

    Args:
        data: A folder with one folder of images per class, a folder of images, one image, a list of paths, a data set
            that yields (image, label), or a collection, which is returned as it is.
        class_names: The model's class names, which folders are matched to; None: the names of the folders, sorted.

    Returns:
        A collection with a length, ``ids``, ``class_names`` and ``load(index)``.

    Raises:
        InputError: There is nothing to read, or the folders do not match ``class_names``.
        UsageError: ``data`` is none of these.

    Example:
        >>> images = vebi.open_images("images")
        >>> len(images), images.class_names
        (72, ('blue', 'green', 'red'))
        >>> images.ids[:2]
        ['blue/00.png', 'blue/01.png']
    """
    if isinstance(data, ImageCollection):
        return data
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        if not path.exists():
            raise InputError(f"{path} does not exist: give a folder with one folder of images per class")
        return from_folder(path, class_names) if path.is_dir() else from_paths([path], class_names)
    if not isinstance(data, SizedDataset):
        raise UsageError(
            f"data is a {type(data).__name__}: give a folder, a list of paths or a data set with len() and indexing"
        )
    if len(data) == 0:
        raise InputError("the data set is empty: give at least one image")
    if isinstance(data, Sequence) and isinstance(data[0], str | os.PathLike):
        return from_paths([Path(path) for path in data], class_names)
    return DatasetImages(data, class_names or ())
