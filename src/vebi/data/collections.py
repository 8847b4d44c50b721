"""Files and data sets as collections of labelled images."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from PIL import Image

from vebi.data.decode import LoadedImage, as_image, decode
from vebi.data.items import class_index, errors_of_item, split_item
from vebi.errors import ImageError
from vebi.files import check_file

#: The label of an image whose class is not known.
UNLABELLED = -1
SAMPLE_BYTES = 16_384

T = TypeVar("T")


@runtime_checkable
class ImageCollection(Protocol):
    """A sized, indexable collection of labelled images.

    Attributes:
        ids: One name per image.
        class_names: The names that the labels index; empty where the classes have none.
    """

    @property
    def ids(self) -> Sequence[str]:
        """One name per image."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names that the labels index; empty where the classes have none."""

    def __len__(self) -> int: ...

    def load(self, index: int) -> tuple[LoadedImage, int]:
        """An image and its label.

        Args:
            index: 0 to ``len(self) - 1``.

        Returns:
            The RGB image, or the network's input where a data set yields float tensors, and its class index,
            ``UNLABELLED`` where it has none.

        Raises:
            ImageError: The image cannot be decoded.
        """

    def fingerprint(self) -> str:
        """A hash of the content of the collection, cheap enough for every start."""


@runtime_checkable
class SizedDataset(Protocol):
    """What ``DatasetImages`` reads: a torch ``Dataset`` with a length, a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True)
class ImageFiles:
    """Images in files.

    Attributes:
        root: The folder that ``ids`` are relative to.
        ids: The paths of the images below ``root``.
        labels: The class index per image, or ``UNLABELLED``.
        class_names: The names that ``labels`` index; empty where the classes have none.
    """

    root: Path
    ids: Sequence[str]
    labels: Sequence[int]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, index: int) -> Path:
        """The path of an image."""
        return self.root / self.ids[index]

    def load(self, index: int) -> tuple[Image.Image, int]:
        """An image, decoded, and its label; raises ImageError where it cannot be decoded."""
        return decode(self.path(index)), self.labels[index]

    def fingerprint(self) -> str:
        """A hash of the paths below their common folder and of samples of the files.

        It stays the same where the whole tree is moved. Of a file the size and three samples are read, all of a small
        one.
        """
        digest = hashlib.sha256()
        # resolve() would follow links, and change the fingerprint of runs that exist
        paths = [Path(os.path.abspath(self.root / name)) for name in self.ids]  # noqa: PTH100  # see above
        common = os.path.commonpath({path.parent for path in paths})
        for path in paths:
            relative = os.fsencode(Path(os.path.relpath(path, common)).as_posix())  # a name need not be UTF-8
            digest.update(relative + b"\0" + _sample_hash(path))
        return digest.hexdigest()


@dataclass(frozen=True)
class DatasetImages:
    """Any sized, indexable collection of (image, label): a torch ``Dataset``, a list of pairs.

    For what images and labels can be see ``open_images``. Items are fetched one at a time, since a data set need not
    bear threads.

    Attributes:
        items: The data set.
        class_names: The names that its labels index; empty where the classes have none.
        class_ids: What its labels may say instead, one for each name, or nothing.
    """

    items: SizedDataset
    class_names: tuple[str, ...]
    class_ids: tuple[str, ...] = ()
    _lock: AbstractContextManager[bool] = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[type["DatasetImages"], tuple[Any, ...]]:
        return type(self), (self.items, self.class_names, self.class_ids)  # a lock can be neither copied nor sent

    @cached_property
    def ids(self) -> Sequence[str]:
        """The indices of the items as names."""
        return [str(i) for i in range(len(self.items))]

    def __len__(self) -> int:
        return len(self.items)

    def load(self, index: int) -> tuple[LoadedImage, int]:
        """An image and its label.

        Args:
            index: 0 to ``len(self) - 1``.

        Returns:
            The RGB image or float tensor, and its class index.

        Raises:
            InputError: The item is no (image, label) pair, or its label is none of the classes.
            ImageError: The item cannot be loaded, or its image cannot be decoded.
        """
        name = f"item {index}"
        with self._lock:
            with errors_of_item(name):
                item = self.items[index]
            image, label = split_item(item, name)
        return as_image(image, name), class_index(label, self.class_names, name, self.class_ids)

    def fingerprint(self) -> str:
        """A hash of the length and of up to 16 evenly spaced items.

        To read all of them would cost a pass of its own: give a data set whose other items have changed a run folder
        of its own.
        """
        digest = hashlib.sha256(str(len(self)).encode())
        for i in np.linspace(0, len(self) - 1, min(16, len(self))).astype(int):
            try:
                image, label = self.load(int(i))
                digest.update(f"{label}".encode() + np.ascontiguousarray(image).tobytes())
            except ImageError:
                digest.update(b"not an image")
        return digest.hexdigest()


@dataclass(frozen=True)
class Subset:
    """The images of a collection at ``indices``, in that order.

    Attributes:
        images: The collection.
        indices: Indices of images in it.
    """

    images: ImageCollection
    indices: Sequence[int]

    @cached_property
    def ids(self) -> Sequence[str]:
        """The names of the images in the collection."""
        names = self.images.ids
        return [names[i] for i in self.indices]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names of the collection."""
        return self.images.class_names

    def __len__(self) -> int:
        return len(self.indices)

    def load(self, index: int) -> tuple[LoadedImage, int]:
        """An image and its label, as the collection loads it."""
        return self.images.load(self.indices[index])

    def fingerprint(self) -> str:
        """A hash of the collection's fingerprint and of the indices."""
        return hashlib.sha256(f"{self.images.fingerprint()} {list(self.indices)}".encode()).hexdigest()


def evenly_spaced(items: Sequence[T], most: int) -> list[T]:
    """At most ``most`` items, spaced evenly over all of them.

    Args:
        items: The items to choose from.
        most: How many are chosen at most, at least 0.

    Returns:
        The chosen items in their order, the first and the last among them where there are two or more.
    """
    indices = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int).tolist()
    return [items[index] for index in indices]


def _sample_hash(path: Path) -> bytes:
    """A hash of a file's size and of its first, middle and last 16 KiB."""
    digest = hashlib.sha256()
    with suppress(OSError):  # what cannot be read is reported when it is decoded
        check_file(path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(str(size).encode())
            for offset in sorted({0, max(0, size // 2 - SAMPLE_BYTES // 2), max(0, size - SAMPLE_BYTES)}):
                file.seek(offset)
                digest.update(file.read(SAMPLE_BYTES))
    return digest.digest()
