"""The descriptors of a data set as a table on disk, shard by shard, resumable."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vebi.activations.descriptors import Descriptor, describe
from vebi.activations.layers import Feature, Layer
from vebi.data.collections import Images
from vebi.data.loader import Batch, batches
from vebi.errors import RunError
from vebi.files import write_arrays
from vebi.lasso.gram import Sums, sum_up, sum_up_parts
from vebi.models.classifier import Classifier, evaluating
from vebi.progress import Progress

SHARD = 512


@dataclass(frozen=True)
class DescriptorTable:
    """A folder of shards: descriptors (images x features), labels, predictions and image ids, in image order.

    Pictures that could not be decoded have no row; ``skipped`` names them.
    """

    folder: Path
    features: tuple[Feature, ...]
    shards: int

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        """Shard by shard: ``descriptors`` n x p float32, ``labels``, ``predictions`` and ``indices`` n int64."""
        for path in self._paths():
            yield _read_shard(path)[0]

    def column(self, name: str) -> Int[np.ndarray, " n"]:
        """``labels``, ``predictions`` or ``indices`` of all pictures."""
        return np.concatenate([_read_shard(path, [name])[0][name] for path in self._paths()])

    def columns(self, features: Sequence[int]) -> Float[np.ndarray, "n k"]:
        """The descriptors of a few features of all pictures."""
        return np.concatenate([shard["descriptors"][:, list(features)] for shard in self])

    def skipped(self) -> list[tuple[str, str]]:
        """(id, reason) of the pictures without a row."""
        return [pair for path in self._paths() for pair in _read_shard(path, [])[1]]

    def _paths(self) -> list[Path]:
        return [self.folder / shard_name(k) for k in range(self.shards)]

    def sums(self, classes: int, labels: str = "predictions") -> Sums:
        """The sums over all pictures, one-hot labels being the predicted (``predictions``) or true (``labels``) class.

        A picture without a true class counts in G alone.
        """
        columns = np.arange(classes)

        def rows() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
            for name, shard in zip(self._names(), self, strict=True):
                if max(shard["predictions"].max(initial=0), shard["labels"].max(initial=0)) >= classes:
                    raise RunError(
                        f"{self.folder / name}.safetensors is damaged, it holds a class beyond the {classes} of the "
                        f"model: delete it and run the same command again"
                    )
                yield name, shard["descriptors"], shard[labels][:, None] == columns

        return sum_up(rows(), len(self.features), classes)

    def gradients(
        self, weights: Float[np.ndarray, "classes p"], labels: str = "predictions"
    ) -> Float[np.ndarray, "classes p"]:
        """X'(Xw - l) of every class, from the rows themselves."""
        found = np.zeros(weights.shape)
        for shard in self:
            x = shard["descriptors"].astype(np.float64)
            found += (weights @ x.T - (np.arange(len(weights))[:, None] == shard[labels])) @ x
        return found

    def label_sums(
        self, of: Int[np.ndarray, " n"], parts: int, classes: int, labels: str = "predictions"
    ) -> Float[np.ndarray, "parts classes p"]:
        """X'l of every class over every part of the table alone; ``of`` is each picture's part."""
        found, start = np.zeros((parts, classes, len(self.features))), 0
        for shard in self:
            stop = start + len(shard[labels])
            x, one_hot = shard["descriptors"].astype(np.float64), shard[labels][:, None] == np.arange(classes)
            for part in range(parts):
                here = of[start:stop] == part
                found[part] += one_hot[here].T @ x[here]
            start = stop
        return found

    def part_sums(
        self,
        of: Int[np.ndarray, " n"],
        columns: Int[np.ndarray, " k"],
        classes: Sequence[int],
        labels: str = "predictions",
    ) -> list[Sums]:
        """The sums over some ``columns`` and ``classes`` of every part of the table; ``of`` is each picture's part."""
        targets, parts = np.asarray(classes), int(of.max(initial=-1)) + 1

        def rows() -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
            start = 0
            for name, shard in zip(self._names(), self, strict=True):
                stop = start + len(shard[labels])
                yield name, shard["descriptors"][:, columns], shard[labels][:, None] == targets, of[start:stop]
                start = stop

        return sum_up_parts(rows(), len(columns), len(targets), parts)

    def _names(self) -> list[str]:
        return [path.stem for path in self._paths()]


def shard_name(k: int) -> str:
    return f"shard-{k:05d}.safetensors"


def tabulate(
    classifier: Classifier,
    images: Images,
    layers: Sequence[Layer],
    folder: Path,
    descriptor: Descriptor = Descriptor(),
    *,
    batch_size: int = 32,
    shard_size: int = SHARD,
    strict: bool = False,
    progress: Progress | None = None,
) -> DescriptorTable:
    """The table of a collection in ``folder``; shards that are there already are not made again.

    Holds no more than a batch of activations. ``progress`` is called with (pictures done, all pictures).
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = math.ceil(len(images) / shard_size)
    with evaluating(classifier.module):
        for k in range(shards):
            path = folder / shard_name(k)
            indices = range(k * shard_size, min((k + 1) * shard_size, len(images)))
            if not path.exists():
                rows, skipped = _rows(classifier, images, indices, layers, descriptor, batch_size, strict)
                write_arrays(path, rows, {"skipped": json.dumps(skipped)})
            else:
                _check_shard(path, indices, sum(layer.channels for layer in layers))
            if progress:
                progress(indices.stop, len(images))
    features = tuple(Feature(layer.name, c) for layer in layers for c in range(layer.channels))
    return DescriptorTable(folder, features, shards)


def _rows(classifier, images, indices, layers, descriptor, batch_size, strict):
    """The rows of one shard and the pictures it skipped."""
    rows = {
        "descriptors": np.empty((len(indices), sum(layer.channels for layer in layers)), np.float32),
        "predictions": np.empty(len(indices), np.int64),
        "labels": np.empty(len(indices), np.int64),
        "indices": np.empty(len(indices), np.int64),
    }
    done, skipped = 0, []
    for batch in batches(images, indices, classifier.preprocess.prepare, batch_size, strict=strict):
        skipped += batch.skipped
        n = len(batch.indices)
        if n:
            found, scores = describe(classifier, layers, _full(batch, batch_size).to(classifier.device), descriptor)
            values = (found[:n].cpu(), scores[:n].argmax(dim=1).cpu(), batch.labels, batch.indices)
            for column, value in zip(rows.values(), values, strict=True):
                column[done : done + n] = value
            done += n
    return {name: column[:done] for name, column in rows.items()}, skipped


def _full(batch: Batch, size: int) -> Tensor:
    """The inputs filled up to a whole batch, so that the same kernels run and a picture's row never depends on how
    many others came with it."""
    missing = size - len(batch.inputs)
    return batch.inputs if missing == 0 else torch.cat([batch.inputs, batch.inputs[-1:].expand(missing, -1, -1, -1)])


def _read_shard(path: Path, names: Sequence[str] | None = None) -> tuple[dict[str, np.ndarray], list[tuple[str, str]]]:
    """The columns ``names`` of a shard, by default all, and the pictures it skipped."""
    try:
        with safe_open(path, "np") as file:
            rows = {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}
            return rows, [(str(name), str(reason)) for name, reason in json.loads(file.metadata()["skipped"])]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged or missing ({error}): delete it and run the same command again") from None


def _check_shard(path: Path, indices: range, features: int) -> None:
    """Raises RunError where a shard from an earlier pass is not of these pictures and features."""
    rows, skipped = _read_shard(path)
    n = len(indices) - len(skipped)
    columns = {"descriptors": (np.float32, (n, features))} | {
        name: (np.int64, (n,)) for name in ("predictions", "labels", "indices")
    }
    if (
        {name: (row.dtype, row.shape) for name, row in rows.items()} != columns
        or not np.isfinite(rows["descriptors"]).all()
        or not np.isin(rows["indices"], indices).all()
        or rows["predictions"].min(initial=0) < 0
    ):
        raise RunError(f"{path} is damaged or of another table: delete it and run the same command again")
