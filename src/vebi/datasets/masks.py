"""Ground truth for heatmaps: the pixels of a picture that make its class."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from vebi.data.collections import Files, Images, Subset
from vebi.data.decode import decode
from vebi.datasets.flowers import carrier_mask, load_dataset
from vebi.errors import InputError
from vebi.models.preprocess import Preprocess

Mask = Bool[np.ndarray, "h w"]


def find_masks(images: Images, folder: Path | None = None) -> Callable[[int], Mask] | None:
    """A function from the index of a picture to its mask, at the picture's own resolution.

    ``folder`` holds a tree of masks with the names of the pictures, as PNG or with the same suffix; what is not black
    belongs to the object. Without it, pictures of `vebi flowers` have masks of their own, and others have none (None).
    Raises InputError for a folder that is none, and later for a picture without a mask.
    """
    if isinstance(images, Subset):
        of_all = find_masks(images.images, folder)
        return None if of_all is None else lambda index: of_all(images.indices[index])
    if not isinstance(images, Files):
        if folder is not None:
            raise InputError(f"masks in {folder} are found by the names of files, but the pictures are no files")
        return None
    if folder is not None:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: give a folder of masks with the names of the pictures")
        return lambda index: _from_tree(images, folder, index)
    if all(_flowers(images.path(i)) for i in (0, len(images) - 1)):
        return lambda index: _of_flower(images.path(index))
    return None


def cut_mask(preprocess: Preprocess, mask: Mask) -> Bool[np.ndarray, "side side"]:
    """The mask as the network saw its picture: scaled and cut out as that was, by nearest neighbours."""
    return np.asarray(preprocess.cut(Image.fromarray(mask.astype(np.uint8)), "nearest")) > 0


def _from_tree(images: Files, folder: Path, index: int) -> Mask:
    name = Path(images.ids[index])
    if not images.root.parts:  # files given one by one: the folder that each lies in is its class
        name = Path(name.parent.name, name.name)
    places = [folder / name.with_suffix(".png"), folder / name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(f"{images.path(index)} has no mask: {places[0]} does not exist, give masks for all pictures")
    mask, picture = decode(found), decode(images.path(index))
    if mask.size != picture.size:
        raise InputError(
            f"{found} has {mask.width} x {mask.height} pixels, its picture {picture.width} x {picture.height}: "
            f"give a mask of the same size"
        )
    return np.asarray(mask).any(axis=2)


def _flowers(path: Path) -> Path | None:
    """The data set of `vebi flowers` that a picture belongs to."""
    root = path.resolve().parents[2] if len(path.resolve().parents) > 2 else path.parent
    return root if (root / "dataset.json").is_file() and (root / "masks").is_dir() else None


@cache
def _record(root: Path) -> dict:
    return load_dataset(root)


def _of_flower(path: Path) -> Mask:
    root = _flowers(path)
    if root is None:
        raise InputError(f"{path} lies in no data set of flowers, but others of the same collection do")
    place = root / "masks" / path.parent.name / path.name
    record = _record(root)
    try:
        with Image.open(place, formats=["PNG"]) as image:
            if (image.mode, image.size) != ("P", (record["size"],) * 2):
                raise ValueError(f"mode {image.mode}, {image.width} x {image.height} pixels")
            labels = np.array(image)
    except Exception as error:  # decoders raise almost anything on damaged files
        raise InputError(f"{place} is no mask that can be read ({error}): generate the data set again") from None
    return carrier_mask(labels, path.parent.name, record)
