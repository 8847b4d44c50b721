"""Collections -> batches, decoded ahead on threads in limited memory."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import torch

from vebi.data.collections import ImageCollection
from vebi.data.decode import LoadedImage
from vebi.errors import ImageError, VebiWarning, as_count

#: How many skipped images a note names at most.
MOST_NAMES = 20

#: A loaded image and its id -> the network's input, C x H x W.
Prepare = Callable[[LoadedImage, str], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs of some images of a collection.

    Attributes:
        indices: Indices of the images in the collection.
        inputs: N x C x H x W float32, ready for the network, one row per index.
        labels: The label per image.
        skipped: (id, reason) of each image that was asked for but cannot be decoded.
    """

    indices: list[int]
    inputs: torch.Tensor
    labels: list[int]
    skipped: list[tuple[str, str]]


def batches(
    images: ImageCollection,
    indices: Sequence[int],
    prepare: Prepare,
    batch_size: int,
    *,
    strict: bool = False,
) -> Iterator[Batch]:
    """Batches of images, decoded ahead on threads, at most two batches at a time.

    Args:
        images: The collection.
        indices: The images to load, in this order.
        prepare: Turns a loaded image and its id into a C x H x W float tensor.
        batch_size: How many images a batch asks for, at least 1.
        strict: Whether an image that cannot be decoded is an error; by default it is skipped and named in the batch.

    Yields:
        One batch per ``batch_size`` indices, smaller where images were skipped.

    Raises:
        UsageError: ``batch_size`` is below 1.
        ImageError: With ``strict``, the first image that cannot be decoded.
    """
    batch_size = check_batch_size(batch_size)
    groups = [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        ahead = [_LoadingBatch(pool, images, group, prepare) for group in groups[:1]]
        try:
            for k in range(len(groups)):
                if k + 1 < len(groups):
                    ahead.append(_LoadingBatch(pool, images, groups[k + 1], prepare))
                yield ahead.pop(0).result(strict)
        finally:  # a consumer that stops early does not wait for images that nobody wants
            for loading in ahead:
                loading.cancel()


def check_batch_size(batch_size: int) -> int:
    """The number of images per pass; raises UsageError where it is no whole number of 1 or more."""
    return as_count("batch_size", batch_size)


class _LoadingBatch:
    """A batch that is being loaded: each thread writes its image into a row of one tensor, so that memory is reused."""

    def __init__(self, pool: ThreadPoolExecutor, images: ImageCollection, indices: Sequence[int], prepare: Prepare):
        self._images = images
        self._indices = indices
        self._prepare = prepare
        self._inputs = torch.empty(0)
        self._lock = Lock()
        self._futures = [pool.submit(self._load, row) for row in range(len(indices))]

    def _load(self, row: int) -> int | ImageError:
        """The label of an image, whose input is then in its row."""
        index = self._indices[row]
        try:
            image, label = self._images.load(index)
            prepared = self._prepare(image, self._images.ids[index])
        except ImageError as error:
            return error
        with self._lock:
            if not len(self._inputs):
                self._inputs = torch.empty(len(self._indices), *prepared.shape, dtype=prepared.dtype)
        self._inputs[row] = prepared
        return label

    def result(self, strict: bool) -> Batch:
        rows: list[int] = []
        labels: list[int] = []
        skipped: list[tuple[str, str]] = []
        for row, future in enumerate(self._futures):
            label = future.result()
            if isinstance(label, ImageError):
                skipped.append((self._images.ids[self._indices[row]], str(label)))
            else:
                rows.append(row)
                labels.append(label)
        if skipped and strict:
            raise ImageError(skipped[0][1])
        inputs = self._inputs[rows] if skipped and rows else self._inputs
        return Batch([self._indices[row] for row in rows], inputs, labels, skipped)

    def cancel(self) -> None:
        for future in self._futures:
            future.cancel()


def skipped_note(skipped: Sequence[tuple[str, str]], total: int) -> list[str]:
    """A sentence that counts and names the images that were skipped.

    Args:
        skipped: (id, reason) per image.
        total: How many images there are, those skipped included.

    Returns:
        One sentence, or none where no image was skipped.
    """
    if not skipped:
        return []
    note = f"{len(skipped)} of {total} images could not be decoded and were skipped, first: {skipped[0][1]}"
    others = [name for name, _ in skipped[1:MOST_NAMES]] + ["..."] * (len(skipped) > MOST_NAMES)
    return [f"{note}; also {', '.join(others)}" if others else note]


def report_skipped(skipped: Sequence[tuple[str, str]], total: int) -> None:
    """Warns of the images that were skipped, with the sentence of ``skipped_note``.

    Args:
        skipped: (id, reason) per image.
        total: How many images there are, those skipped included.
    """
    for note in skipped_note(skipped, total):
        warnings.warn(note, VebiWarning, stacklevel=2)
