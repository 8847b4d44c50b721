"""The five folds of a data set, by the rotation or by the frame in the names of the images."""

import re

from vebi.data.collections import ImageCollection
from vebi.errors import UsageError

FOLDS = 5
#: What makes the fold -> where the name ``class{c}_img{n}_p{p}_r{r}.png`` has its number.
FOLDS_BY = {
    "rotation": re.compile(r"_r([0-4])\.\w+$"),
    "frame": re.compile(r"_img(\d+)_p\d+_r\d+\.\w+$"),
}


def check_folds_by(folds_by: str) -> None:
    """Raises UsageError for folds that do not exist."""
    if folds_by not in FOLDS_BY:
        raise UsageError(f"folds_by is {folds_by!r}: choose one of {', '.join(FOLDS_BY)}")


def fold_of(image_id: str, index: int, folds_by: str = "rotation") -> int:
    """The fold of an image: a number in its name modulo 5.

    Images of one class and frame differ in their placement alone. The frames of a fold by rotation are in the other
    folds too, under other rotations; those of a fold by frame are in no other fold, in any class, though the frames
    before and after them are. In the first 40 images of a class both are the same, and from 200 on all frames have all
    rotations.

    Args:
        image_id: The name of the image.
        index: Its index in the data set, which counts where the name has no such number.
        folds_by: ``"rotation"`` (r of ``class{c}_img{n}_p{p}_r{r}.png``) or ``"frame"`` (n).

    Returns:
        The fold, 0 to 4.

    Raises:
        UsageError: ``folds_by`` is something else.
    """
    check_folds_by(folds_by)
    match = FOLDS_BY[folds_by].search(image_id)
    return (int(match[1]) if match else index) % FOLDS


def split(images: ImageCollection, fold: int, folds_by: str = "rotation") -> tuple[list[int], list[int]]:
    """Indices of the training images and of the held-out ones.

    Args:
        images: The data set.
        fold: The fold (0 to 4) that is held out.
        folds_by: What makes the folds, see ``fold_of``.

    Raises:
        UsageError: ``folds_by`` is neither ``"rotation"`` nor ``"frame"``.
    """
    folds = [fold_of(name, i, folds_by) for i, name in enumerate(images.ids)]
    return [i for i, f in enumerate(folds) if f != fold], [i for i, f in enumerate(folds) if f == fold]
