"""Files, folders and data sets as collections of labelled pictures."""

import hashlib
import operator
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image

from vebi.data.decode import decode, to_rgb
from vebi.errors import ImageError, InputError, listed

UNKNOWN = -1
SAMPLE = 16_384


@runtime_checkable
class Images(Protocol):
    """A sized, indexable collection of labelled pictures.

    ``ids`` name the pictures; ``load`` gives a picture (or the ready network input where a data set yields float
    tensors) and its class index, ``UNKNOWN`` where there is none; ``class_names`` are those the labels index.
    """

    ids: Sequence[str]
    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def load(self, index: int) -> tuple[Image.Image | torch.Tensor, int]: ...

    def fingerprint(self) -> str:
        """A hash of what the collection holds, cheap enough to be made at every start."""


@dataclass(frozen=True)
class Files:
    """Pictures in files: ``ids`` are their paths below ``root``."""

    root: Path
    ids: Sequence[str]
    labels: Sequence[int]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, index: int) -> Path:
        return self.root / self.ids[index]

    def load(self, index: int) -> tuple[Image.Image, int]:
        return decode(self.path(index)), self.labels[index]

    def fingerprint(self) -> str:
        """Of the names below their common folder, the sizes and samples of the bytes (all of a small file): it stays
        the same where the whole tree moves."""
        digest = hashlib.sha256()
        names = [os.path.abspath(os.path.join(self.root, name)) for name in self.ids]
        common = os.path.commonpath({os.path.dirname(name) for name in names})
        for name in names:
            place = os.fsencode(Path(os.path.relpath(name, common)).as_posix())  # a name need not be UTF-8
            digest.update(place + b"\0" + _sample(name))
        return digest.hexdigest()


@dataclass(frozen=True)
class DataSet:
    """Any sized, indexable collection of (image, label): a torch ``Dataset``, a list of pairs.

    An image is a path, a Pillow image, an H x W (x 3) uint8 array, or a C x H x W float tensor that is ready for the
    network. A label is a class index or a class name. Items are fetched one at a time, since a data set need not
    bear threads.
    """

    items: Any
    class_names: tuple[str, ...]
    _lock: Any = field(default_factory=Lock, init=False, repr=False, compare=False)

    @cached_property
    def ids(self) -> Sequence[str]:
        return [str(i) for i in range(len(self.items))]

    def __len__(self) -> int:
        return len(self.items)

    def load(self, index: int) -> tuple[Image.Image | torch.Tensor, int]:
        with self._lock:
            item = self.items[index]
        try:
            image, label = item
        except (TypeError, ValueError):
            raise InputError(
                f"item {index} of the data set is a {type(item).__name__} and no (image, label) pair: "
                f"give a data set that yields pairs"
            ) from None
        return as_image(image, f"item {index}"), self._label(label, index)

    def _label(self, label: Any, index: int) -> int:
        if isinstance(label, str):
            return _class_index(label, self.class_names)
        try:
            number = operator.index(label)
        except TypeError:
            raise InputError(
                f"item {index} has the label {label!r}, but a class index or a class name is needed"
            ) from None
        if number < 0 or (self.class_names and number >= len(self.class_names)):
            last = len(self.class_names) - 1 if self.class_names else "..."
            raise InputError(f"item {index} has the label {number}, but the model's classes are 0 to {last}")
        return number

    def fingerprint(self) -> str:
        """Of the length and of up to 16 evenly spread items: reading all of them would cost a pass of its own. Give a
        data set whose other items have changed a run folder of its own."""
        digest = hashlib.sha256(str(len(self)).encode())
        for i in np.linspace(0, len(self) - 1, min(16, len(self))).astype(int):
            try:
                image, label = self.load(int(i))
                digest.update(f"{label}".encode() + np.ascontiguousarray(image).tobytes())
            except ImageError as error:
                digest.update(str(error).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Subset:
    """Some pictures of a collection, in the order of ``indices``."""

    images: Images
    indices: Sequence[int]

    @cached_property
    def ids(self) -> Sequence[str]:
        names = self.images.ids
        return [names[i] for i in self.indices]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.images.class_names

    def __len__(self) -> int:
        return len(self.indices)

    def load(self, index: int) -> tuple[Image.Image | torch.Tensor, int]:
        return self.images.load(self.indices[index])

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.images.fingerprint()} {list(self.indices)}".encode()).hexdigest()


def _sample(path: str) -> bytes:
    """A hash of a file's size and of its first, middle and last 16 KiB."""
    digest = hashlib.sha256()
    with suppress(OSError), open(path, "rb") as file:  # what cannot be read is told when it is decoded
        size = os.fstat(file.fileno()).st_size
        digest.update(str(size).encode())
        for place in sorted({0, max(0, size // 2 - SAMPLE // 2), max(0, size - SAMPLE)}):
            file.seek(place)
            digest.update(file.read(SAMPLE))
    return digest.digest()


def as_image(image: Any, name: str) -> Image.Image | torch.Tensor:
    """What a data set yields, as an RGB image or as a float tensor left as it is."""
    if isinstance(image, str | os.PathLike):
        return decode(image)
    if isinstance(image, Image.Image):
        return to_rgb(image, name)
    if isinstance(image, torch.Tensor) and image.is_floating_point() and image.ndim == 3:
        return image.detach().cpu()
    array = image.numpy(force=True) if isinstance(image, torch.Tensor) else image
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{name} is a {type(image).__name__}: give a path, a Pillow image, an array or a tensor")
    if array.dtype == np.uint8 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) and array.size:
        return Image.fromarray(array).convert("RGB")
    raise ImageError(
        f"{name} has the shape {array.shape} and the type {array.dtype}: "
        f"give an H x W x 3 uint8 array or a C x H x W float tensor"
    )


def _class_index(name: str, class_names: tuple[str, ...]) -> int:
    if name not in class_names:
        held = f"are {listed(class_names)}: name the data's classes as the model does"
        raise InputError(
            f"there is a class {name!r} in the data, but the model's classes "
            + (held if class_names else "have no names: give them")
        )
    return class_names.index(name)


def evenly(things: Sequence[Any], most: int) -> list[Any]:
    """At most so many things, spread evenly over all of them."""
    places = np.linspace(0, len(things) - 1, min(most, len(things))).round().astype(int)
    return [things[place] for place in places]
