"""Whatever holds images, as a collection: a folder, a file, a list of paths, a data set."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from vebi.data.collections import DatasetImages, ImageCollection, SizedDataset
from vebi.data.folders import expand_paths, from_folder, from_paths
from vebi.data.items import errors_of_item
from vebi.errors import ImageError, InputError, UsageError, as_names, as_path, text_of
from vebi.files import check_names


def open_images(
    data: object, class_names: Sequence[str] | None = None, class_ids: Sequence[str] | None = None
) -> ImageCollection:
    """A folder, a file, a list of paths or a data set as a collection of labelled images.

    Args:
        data: One of these:

            - A folder with one folder of images per class.
            - A flat folder of images, without folders in it: the images have no label.
            - One image file, or a list of them: an image has the class of its parent folder's name, and no label where
              ``class_names`` has no such class.
            - A sized, indexable data set of (image, label). An image is a path, a Pillow image, an H x W (x 3) uint8
              array, or a C x H x W float tensor that is already preprocessed (resized, cropped, normalised): its shape
              is checked when it is used, its normalisation is not. A label is a class index in the model's order, or a
              class name.
            - A collection, which is returned as it is.
        class_names: The model's class names, which folders are matched to; None: the names of the folders, sorted.
        class_ids: What folders and labels may be called instead, as by WordNet ids, one for each name.

    Returns:
        A collection with a length, ``ids``, ``class_names`` and ``load(index)``. The id of an image is its path,
        below the folder where one was given, or its index in a data set.

    Raises:
        InputError: There is nothing to read, or the folders do not match ``class_names``.
        UsageError: ``data`` is none of these, the names or ids are no list of texts, or two classes have one of them.

    Example:
        >>> images = vebi.open_images("images")
        >>> len(images), images.class_names
        (72, ('blue', 'green', 'red'))
        >>> images.ids[:2]
        ['blue/00.png', 'blue/01.png']
    """
    class_names = None if class_names is None else as_names("class_names", class_names)
    class_ids = None if class_ids is None else as_names("class_ids", class_ids)
    if isinstance(data, ImageCollection):
        return data
    check_names(class_names or (), class_ids)
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        if not path.exists():
            raise InputError(f"{path} does not exist: give a folder with one folder of images per class")
        return (
            from_folder(path, class_names, class_ids) if path.is_dir() else from_paths([path], class_names, class_ids)
        )
    if not isinstance(data, SizedDataset):
        raise UsageError(
            f"data is a {type(data).__name__}: give a folder, a list of paths or a data set with len() and indexing"
        )
    if _length(data) == 0:
        raise InputError("the data set is empty: give at least one image")
    if isinstance(data, Sequence) and isinstance(_first(data), str | os.PathLike):
        return from_paths([as_path("one of the paths", path) for path in data], class_names, class_ids)
    return DatasetImages(data, class_names or (), class_ids or ())


def _length(data: SizedDataset) -> int:
    """The number of items; raises UsageError where the data set does not say it."""
    try:
        return len(data)
    except Exception as error:  # of somebody else's code
        raise UsageError(
            f"len() of the data, a {type(data).__name__}, fails ({type(error).__name__}: {text_of(error)}): "
            f"let it give the number of items"
        ) from error


def _first(data: SizedDataset) -> Any:
    """The first item; None where it cannot be loaded, which is said when it is its turn."""
    with suppress(ImageError), errors_of_item("item 0"):
        return data[0]
    return None


def open_unlabelled(
    images: Any, class_names: tuple[str, ...] | None = None, class_ids: tuple[str, ...] | None = None
) -> ImageCollection:
    """Images whose labels do not matter, as a collection.

    Args:
        images: A folder, of which all images in it and below it are taken, whatever its folders are called; one image
            file; a list of paths or of images; a data set of (image, label), whose labels must be valid all the same;
            or a collection, which is returned as it is. An image is any that ``open_images`` takes.
        class_names: The model's class names.
        class_ids: What labels may be called instead, one for each name.

    Returns:
        The collection. The id of an image in a folder or file is its path, the folder included.

    Raises:
        InputError: There is nothing to read.
        UsageError: ``images`` is none of these.
    """
    if isinstance(images, str | os.PathLike):
        images = expand_paths([images])
    elif not isinstance(images, ImageCollection) and isinstance(images, SizedDataset) and _length(images):
        first = _first(images)
        if is_image(first) and not isinstance(first, str | os.PathLike):
            images = [(images[k], 0) for k in range(len(images))]
    return open_images(images, class_names, class_ids)


def is_image(item: Any) -> bool:
    """Whether this is one image; a batch of arrays or tensors has one dimension more."""
    if isinstance(item, str | os.PathLike):
        return not Path(item).is_dir()
    return isinstance(item, Image.Image) or (isinstance(item, np.ndarray | Tensor) and item.ndim in (2, 3))
