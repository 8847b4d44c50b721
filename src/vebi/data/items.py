"""An item of a data set: which part of it is the image and which the label, and what class a label names."""

import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor

from vebi.errors import ImageError, InputError, join_names, text_of
from vebi.files import find_name

#: What the image and the label of an item are called in data sets whose items are dictionaries.
IMAGES = ("image", "img", "pixel_values", "jpg", "png")
LABELS = ("label", "labels", "target", "fine_label", "cls", "class")


@contextmanager
def errors_of_item(name: str) -> Iterator[None]:
    """Turns whatever a data set raises where an item is taken from it into one sentence.

    Args:
        name: What messages call the item.
    """
    try:
        yield
    except (Exception, SystemExit, GeneratorExit) as error:  # of somebody else's code; not an interruption
        raise ImageError(
            f"{name} of the data set cannot be loaded ({type(error).__name__}: {text_of(error)}): correct it"
        ) from error


def split_item(item: Any, name: str) -> tuple[Any, Any]:
    """The image and the label of an item.

    Args:
        item: A pair, or a dictionary with an ``image`` (or ``img``, ``pixel_values``) and a ``label`` (``labels``,
            ``target``).
        name: What messages call the item.

    Raises:
        InputError: It is neither.
        ImageError: Its image or its label cannot be loaded.
    """
    if isinstance(item, Mapping):
        with errors_of_item(name):  # some load an image when it is asked for
            image, label = (next((key for key in keys if key in item), None) for keys in (IMAGES, LABELS))
            if image is not None and label is not None:
                return item[image], item[label]
        raise InputError(
            f"{name} of the data set has the keys {join_names([str(key) for key in item])}, but 'image' and 'label' "
            f"are needed: rename them"
        )
    try:
        image, label = item
    except (TypeError, ValueError):
        raise InputError(
            f"{name} of the data set is a {type(item).__name__} and no (image, label) pair: give a data set that "
            f"yields pairs"
        ) from None
    return image, label


def class_index(label: Any, class_names: tuple[str, ...], name: str, class_ids: tuple[str, ...] = ()) -> int:
    """The class index of an item's label.

    Args:
        label: A class index, a class name or id, a vector that is 1 at the class and 0 elsewhere.
        class_names: The model's class names.
        name: What messages call the item.
        class_ids: One id for each name, or nothing.

    Raises:
        InputError: It is none of the classes.
    """
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if isinstance(label, str):
        for names in (class_ids, class_names):
            place = find_name(label, names)
            if place is not None:
                return place
        known = f"are {join_names(class_names)}: name the data's classes as the model does"
        raise InputError(
            f"there is a class {label!r} in the data, but the model's classes "
            + (known if class_names else "have no names: give them")
        )
    index = _as_index(label, len(class_names))
    if index is None:
        raise InputError(
            f"{name} has the label {text_of(label, repr)}, but a class index or a class name is needed, or a one-hot "
            f"vector of as many numbers as there are classes: correct the data set"
        )
    if index < 0 or (class_names and index >= len(class_names)):
        last = len(class_names) - 1 if class_names else "..."
        raise InputError(f"{name} has the label {index}, but the model's classes are 0 to {last}: correct the data set")
    return index


def _as_index(label: Any, classes: int) -> int | None:
    """The index that a label is or marks; None where it is none. Of models without class names ``classes`` is 0."""
    try:
        return operator.index(label)
    except Exception:  # a label can be anything
        pass
    try:
        values = np.asarray(label.detach() if isinstance(label, Tensor) else label, dtype=float).ravel()
    except Exception:
        return None
    if len(values) == 1 and np.isfinite(values[0]) and values[0] == np.round(values[0]):
        return int(values[0])
    is_vector = len(values) == (classes or len(values)) > 1
    is_one_hot = is_vector and np.isin(values, (0, 1)).all() and values.sum() == 1
    return int(values.argmax()) if is_one_hot else None
