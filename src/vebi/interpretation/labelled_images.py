"""Images whose labels are matched to the classes of a model, which is given class names where it has none."""

import warnings
from dataclasses import replace
from typing import Any

from vebi.data.collections import ImageCollection
from vebi.data.sources import open_images
from vebi.errors import InputError, ModelError, VebiWarning, join_names
from vebi.models.classifier import Classifier


def open_labelled(classifier: Classifier, images: Any) -> tuple[Classifier, ImageCollection]:
    """The images as a collection whose labels are class indices of the model.

    Args:
        classifier: The model.
        images: Images in any form that ``open_images`` takes.

    Returns:
        The model with class names, its own or those of the folders, sorted; and the collection.

    Raises:
        InputError: The images, or the names of their classes, cannot be used.
        ModelError: A model without class names has another number of classes than the images.
    """
    collection = open_images(images, classifier.class_names, classifier.class_ids)
    if classifier.class_names is None:
        classifier = with_class_names(classifier, collection)
        with warnings.catch_warnings():  # what is to be said of the images is said already
            warnings.simplefilter("ignore", VebiWarning)
            collection = open_images(images, classifier.class_names, classifier.class_ids)
    return classifier, collection


def with_class_names(classifier: Classifier, images: ImageCollection) -> Classifier:
    """A classifier without class names with those of the folders of the images, or with numbers where there are none.

    Args:
        classifier: The model.
        images: Images that were opened without class names.

    Returns:
        A classifier with class names, in the sorted order of the folders.

    Raises:
        ModelError: There are more or fewer folders than class scores.
        InputError: The names of all folders are numbers whose order as text is another one.
    """
    count = classifier.probe().classes
    names = images.class_names
    if not names:
        return replace(classifier, class_names=tuple(str(i) for i in range(count)))
    if len(names) != count:
        raise ModelError(
            f"the model has {count} unnamed classes, the data {len(names)} folders: "
            f"give the class names in the model's order"
        )
    if all(map(str.isdecimal, names)) and list(names) != sorted(names, key=int):
        raise InputError(
            f"the model does not name its classes, and the folders {join_names(names)} can be sorted as "
            f"numbers or as text: give the class names in the model's order"
        )
    warnings.warn(
        f"the model does not name its classes; they are taken from the folders in sorted order: {join_names(names)}",
        VebiWarning,
        stacklevel=4,  # whoever called interpret, which calls open_labelled
    )
    return replace(classifier, class_names=names)
