"""Ground truth for heatmaps: the mask of an image is the pixels that make its class."""

import io
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from vebi.data.collections import ImageCollection, ImageFiles, Subset
from vebi.data.decode import decode
from vebi.datasets.flowers.dataset import load_dataset
from vebi.datasets.flowers.scene import PARTS
from vebi.datasets.flowers.variants import carrier_mask
from vebi.datasets.mask_files import find_file, read_mask
from vebi.errors import InputError, UsageError, VebiWarning, join_names
from vebi.files import read_file
from vebi.models.preprocess import Preprocess

Mask = Bool[np.ndarray, "h w"]
Parts = UInt8[np.ndarray, "h w"]


def find_masks(images: ImageCollection, folder: Path | None = None) -> Callable[[int], Mask] | None:
    """Finds the masks of a collection of images.

    Args:
        images: The collection.
        folder: A folder of masks: MASKS/CLASS/NAME.png (or with the suffix of the image) for IMAGES/CLASS/NAME.jpg, of
            the same size in pixels. Any pixel that is not black is the object, whatever its value, but none that is
            transparent. Images of `vebi flowers` need none: their data set holds the part masks.

    Returns:
        A function from the index of an image to its mask, h x w at the resolution of the image. None where there are no
        masks: no folder is given, and the images are no flowers. The function raises InputError for an image without a
        mask, or with one that cannot be read or has another size.

    Raises:
        InputError: ``folder`` is no folder, or the images are no files.

    Example:
        >>> dataset = vebi.datasets.flowers.generate("flowers", images_per_class=1, size=32)
        >>> masks = vebi.datasets.find_masks(vebi.open_images("flowers"))
        >>> masks(0).shape
        (32, 32)
    """
    if isinstance(images, Subset):
        return _of_subset(find_masks(images.images, folder), images)
    if not isinstance(images, ImageFiles):
        if folder is not None:
            raise InputError(f"masks in {folder} are found by the names of files, but the images are no files")
        return None
    if folder is not None:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: give a folder of masks with the names of the images")
        return lambda index: _read_mask(images, folder, index)
    return (lambda index: _read_flower_mask(images.path(index))) if _are_flowers(images) else None


def find_foregrounds(images: ImageCollection) -> Callable[[int], Mask] | None:
    """Finds the pixels of the whole flower in images of `vebi flowers`: every part of it, not only that of the class.

    Args:
        images: The collection.

    Returns:
        A function from the index of an image to its foreground, h x w at the resolution of the image. None where the
        images are no flowers. The function raises InputError for an image whose part mask is missing or damaged.

    Example:
        >>> dataset = vebi.datasets.flowers.generate("flowers", images_per_class=1, size=32)
        >>> images = vebi.open_images("flowers")
        >>> foregrounds, masks = vebi.datasets.find_foregrounds(images), vebi.datasets.find_masks(images)
        >>> foregrounds(0).shape, bool((foregrounds(0) >= masks(0)).all())
        ((32, 32), True)
    """
    if isinstance(images, Subset):
        return _of_subset(find_foregrounds(images.images), images)
    if not isinstance(images, ImageFiles) or not _are_flowers(images):
        return None
    return lambda index: _read_parts(images.path(index)) > PARTS["background"]


def crop_mask(preprocess: Preprocess, mask: Mask) -> Bool[np.ndarray, "side side"]:
    """Scales and crops a mask as its image was, by nearest neighbours.

    Args:
        preprocess: The preprocessing of the image.
        mask: h x w, at the resolution of the image.

    Returns:
        size x size: the mask at the resolution of the network's input.

    Example:
        >>> mask = np.ones((48, 64), bool)
        >>> vebi.datasets.crop_mask(classifier.preprocess, mask).shape
        (32, 32)
    """
    return np.asarray(preprocess.center_crop(Image.fromarray(mask.astype(np.uint8)), "nearest")) > 0


def as_mask(given: Any, images: ImageCollection, index: int) -> Mask:
    """A mask that a user's function gives, as booleans.

    Args:
        given: An array, a tensor or nested lists of booleans, or of 0 and 1.
        images: The images.
        index: That of the image of the mask.

    Returns:
        h x w, at the resolution of the image.

    Raises:
        UsageError: It is no array of numbers, has another size than its image, or holds other values.
    """
    name, image = f"the mask of {images.ids[index]}", images.load(index)[0]
    shape = tuple(image.shape[-2:]) if isinstance(image, Tensor) else (image.height, image.width)
    needed = f"booleans, or 0 and 1, of the shape {shape} of its image are needed"
    try:
        real = isinstance(given, Tensor) and not given.is_complex()
        values = np.asarray(given.detach().cpu().double() if real else given)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, sparse tensors
        values = np.asarray(None)
    if values.dtype.kind not in "biuf":
        raise UsageError(f"{name} is of the type {type(given).__name__} and holds no real numbers, but {needed}")
    if values.shape != shape:
        raise UsageError(f"{name} has the shape {values.shape}, but {needed}: do not scale or crop it")
    other = values[(values != 0) & (values != 1)]
    if len(other):
        raise UsageError(f"{name} holds the value {other[0]:g}, but {needed}: compare it with 0 first")
    return values.astype(bool)


def report_empty(names: Sequence[str], total: int) -> None:
    """Warns of images that are left out because their masks are empty where the network sees them.

    Args:
        names: Of these images.
        total: How many masks there are.
    """
    if names:
        note = f"{len(names)} of {total} masks are empty after the crop, their images are left out: {join_names(names)}"
        warnings.warn(note, VebiWarning, stacklevel=3)


def _of_subset(masks: Callable[[int], Mask] | None, subset: Subset) -> Callable[[int], Mask] | None:
    """Masks by the index of an image in a subset, from those by its index in the collection."""
    return None if masks is None else lambda index: masks(subset.indices[index])


def _read_mask(images: ImageFiles, folder: Path, index: int) -> Mask:
    """The mask of an image from a folder of masks. Raises InputError where it is missing or has another size."""
    name = Path(images.ids[index])
    if not images.root.parts:  # files given one by one: the folder of each is its class
        name = Path(name.parent.name, name.name)
    path = find_file(folder, name.with_suffix(".png")) or find_file(folder, name)
    if path is None:
        expected = folder / name.with_suffix(".png")
        raise InputError(f"{images.path(index)} has no mask: {expected} does not exist, give masks for all images")
    mask, image = read_mask(path), decode(images.path(index))
    height, width = mask.shape
    if (width, height) != image.size:
        raise InputError(
            f"{path} has {width} x {height} pixels, its image {image.width} x {image.height}: "
            f"give a mask of the same size"
        )
    return mask


def _are_flowers(images: ImageFiles) -> bool:
    """Whether the first and the last image lie in data sets of flowers."""
    return all(_dataset_root(images.path(i)) for i in (0, len(images) - 1))


def _dataset_root(path: Path) -> Path | None:
    """The folder of the data set of flowers that an image belongs to, if it does."""
    root = path.resolve().parents[2] if len(path.resolve().parents) > 2 else path.parent
    return root if (root / "dataset.json").is_file() and (root / "masks").is_dir() else None


@cache
def _record(root: Path) -> dict[str, Any]:
    return load_dataset(root)


def _read_flower_mask(path: Path) -> Mask:
    """The pixels of the part that carries the class of a flower. Raises InputError as ``_read_parts`` does."""
    return carrier_mask(_read_parts(path), path.parent.name, _record(_require_root(path)))


def _require_root(path: Path) -> Path:
    root = _dataset_root(path)
    if root is None:
        raise InputError(f"{path} lies in no data set of flowers, but others of the same collection do")
    return root


def _read_parts(path: Path) -> Parts:
    """The part labels of an image of flowers. Raises InputError where they are missing or damaged."""
    root = _require_root(path)
    mask_path, record = root / "masks" / path.parent.name / path.name, _record(root)
    try:
        with Image.open(io.BytesIO(read_file(mask_path)), formats=["PNG"]) as image:
            if (image.mode, image.size) != ("P", (record["size"],) * 2):
                raise ValueError(f"mode {image.mode}, {image.width} x {image.height} pixels")
            return np.array(image)
    except Exception as error:  # decoders raise almost anything on damaged files
        raise InputError(f"{mask_path} is no mask that can be read ({error}): generate the data set again") from None
