"""Collections -> batches, decoded ahead on threads in bounded memory."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch

from vebi.data.collections import Images
from vebi.errors import ImageError, UsageError, VebiWarning

NAMED = 20


@dataclass(frozen=True)
class Batch:
    """``inputs`` N x C x H x W float32, ready for the network, of the pictures ``indices`` of a collection.

    ``skipped`` lists (id, reason) of pictures that were asked for but cannot be decoded.
    """

    indices: list[int]
    inputs: torch.Tensor
    labels: list[int]
    skipped: list[tuple[str, str]]


def batches(
    images: Images,
    indices: Sequence[int],
    prepare: Callable[[Any, str], torch.Tensor],
    batch_size: int,
    *,
    strict: bool = False,
) -> Iterator[Batch]:
    """Batches of ``batch_size`` in the order of ``indices``, decoded ahead on threads, at most two batches at a time.

    ``prepare`` turns a loaded picture and its id into a C x H x W float tensor. With ``strict`` the first picture that
    cannot be decoded is raised as an ImageError.
    """
    check_batch_size(batch_size)
    groups = [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        ahead = [_Loading(pool, images, group, prepare) for group in groups[:1]]
        try:
            for k in range(len(groups)):
                if k + 1 < len(groups):
                    ahead.append(_Loading(pool, images, groups[k + 1], prepare))
                yield ahead.pop(0).result(strict)
        finally:  # a consumer that stops early does not wait for pictures that nobody wants
            for loading in ahead:
                loading.cancel()


def check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}, but at least one picture must pass at a time")


class _Loading:
    """A batch on its way: each thread puts its picture into the one tensor of the batch, so that memory is reused."""

    def __init__(self, pool: ThreadPoolExecutor, images: Images, indices: Sequence[int], prepare: Callable):
        self._images = images
        self._indices = indices
        self._prepare = prepare
        self._inputs = torch.empty(0)
        self._lock = Lock()
        self._futures = [pool.submit(self._load, row) for row in range(len(indices))]

    def _load(self, row: int) -> int | ImageError:
        """The label of a picture, whose input is then in its row."""
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
        loaded = [future.result() for future in self._futures]
        failed = [
            (self._images.ids[i], str(x))
            for i, x in zip(self._indices, loaded, strict=True)
            if isinstance(x, ImageError)
        ]
        if failed and strict:
            raise ImageError(failed[0][1])
        rows = [row for row, x in enumerate(loaded) if not isinstance(x, ImageError)]
        inputs = self._inputs[rows] if failed and rows else self._inputs
        return Batch([self._indices[row] for row in rows], inputs, [loaded[row] for row in rows], failed)

    def cancel(self) -> None:
        for future in self._futures:
            future.cancel()


def skipped_note(skipped: Sequence[tuple[str, str]], total: int) -> list[str]:
    """A sentence that counts and names the pictures that were left out; none where none was."""
    if not skipped:
        return []
    note = f"{len(skipped)} of {total} pictures could not be decoded and were skipped, first: {skipped[0][1]}"
    others = [name for name, _ in skipped[1:NAMED]] + ["..."] * (len(skipped) > NAMED)
    return [f"{note}; also {', '.join(others)}" if others else note]


def report_skipped(skipped: Sequence[tuple[str, str]], total: int) -> None:
    """Says the same as a warning."""
    for note in skipped_note(skipped, total):
        warnings.warn(note, VebiWarning, stacklevel=2)
