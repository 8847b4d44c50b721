"""Shards of a descriptor table: safetensors files with the rows of a range of images."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vebi.activations.descriptors import describe, share_of_layer
from vebi.activations.layers import Layer
from vebi.data.collections import ImageCollection
from vebi.data.loader import Batch, batches
from vebi.errors import RunError
from vebi.files import parse_json, read_arrays, write_arrays
from vebi.models.classifier import Classifier


def shard_name(k: int) -> str:
    """The file name of shard ``k``."""
    return f"shard-{k:05d}.safetensors"


def read_shard(
    path: Path, names: Sequence[str] | None = None, settings_sha256: str | None = None
) -> tuple[dict[str, np.ndarray], list[tuple[str, str]]]:
    """The columns of a shard, and the images that it skipped.

    Args:
        path: The file.
        names: ``shares``, ``predictions``, ``labels`` or ``indices``; None for all of them.
        settings_sha256: Hash of the settings that it has to be of; None for any. Those of earlier versions have none.

    Returns:
        Name -> array, one row per image; and (id, reason) of every image without a row.

    Raises:
        RunError: The file is damaged or missing, or of other settings.
    """
    try:
        rows, metadata = read_arrays(path, names)
        skipped = [(str(name), str(reason)) for name, reason in parse_json(metadata["skipped"])]
        if settings_sha256 != metadata.get("settings", settings_sha256) and settings_sha256 is not None:
            raise RunError(f"{path} is of another fit: delete it and run the same command again")
        return rows, skipped
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged or missing ({error}): delete it and run the same command again") from None


def check_shard(path: Path, indices: range, features: int, settings_sha256: str | None = None) -> None:
    """Checks that a shard from an earlier pass is of the images ``indices``, of so many features and of the settings.

    Raises:
        RunError: It is damaged or of another table.
    """
    rows, skipped = read_shard(path, settings_sha256=settings_sha256)
    n = len(indices) - len(skipped)
    columns = {"shares": (np.dtype(np.float32), (n, features))} | {
        name: (np.dtype(np.int64), (n,)) for name in ("predictions", "labels", "indices")
    }
    if (
        {name: (row.dtype, row.shape) for name, row in rows.items()} != columns
        or not (np.isfinite(rows["shares"]) & (rows["shares"] >= 0)).all()
        or not np.isin(rows["indices"], indices).all()
        or rows["predictions"].min(initial=0) < 0
    ):
        raise RunError(f"{path} is damaged or of another table: delete it and run the same command again")


def upgrade_shard(path: Path, layers: Sequence[int], energy: str) -> None:
    """Rewrites a shard of an earlier version, which held descriptors, as shares of energy; others are left alone.

    Args:
        path: The file.
        layers: Number of channels of each layer.
        energy: The strength of a channel in its descriptors, ``squared`` or ``l2``.

    Raises:
        RunError: It is damaged.
    """
    rows, skipped = read_shard(path)
    strengths = rows.pop("descriptors", None)
    if strengths is None or strengths.ndim != 2 or strengths.shape[1] != sum(layers):
        return
    energies = np.square(strengths.astype(np.float64)) if energy == "l2" else strengths.astype(np.float64)
    shares = share_of_layer(energies, layers).astype(np.float32)
    write_arrays(path, rows | {"shares": shares}, {"skipped": json.dumps(skipped)})


def write_shard(
    path: Path,
    classifier: Classifier,
    images: ImageCollection,
    indices: range,
    layers: Sequence[Layer],
    *,
    batch_size: int,
    strict: bool,
    settings_sha256: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Passes the images ``indices`` through the model and writes their rows.

    Args:
        path: The file, which gets its name when all of it is written.
        classifier: The model, in evaluation mode.
        images: The collection.
        indices: Indices of the images of this shard.
        layers: The layers to record.
        batch_size: Images per forward pass.
        strict: Whether an image that cannot be decoded is an error.
        settings_sha256: Hash of the settings of the fit, which the shard carries.
        progress: Called with the number of images done after every batch but the last one, whose rows are not written.

    Raises:
        ImageError: With ``strict``, an image cannot be decoded.
        ModelError: Activations or class scores are not finite, or a layer did not run.
        UsageError: The batch size is below 1.
    """
    columns: dict[str, np.ndarray] = {
        "shares": np.empty((len(indices), sum(layer.channels for layer in layers)), np.float32),
        "predictions": np.empty(len(indices), np.int64),
        "labels": np.empty(len(indices), np.int64),
        "indices": np.empty(len(indices), np.int64),
    }
    done, skipped = 0, []
    for batch in batches(images, indices, classifier.preprocess.prepare, batch_size, strict=strict):
        skipped += batch.skipped
        n = len(batch.indices)
        if n:
            shares, scores = describe(classifier, layers, _fill_up(batch, batch_size).to(classifier.device))
            rows = slice(done, done + n)
            columns["shares"][rows] = shares[:n]
            columns["predictions"][rows] = scores[:n].argmax(dim=1).cpu()
            columns["labels"][rows] = batch.labels
            columns["indices"][rows] = batch.indices
            done += n
        if progress and done + len(skipped) < len(indices):
            progress(done + len(skipped))
    of_settings = {} if settings_sha256 is None else {"settings": settings_sha256}
    rows_done = {name: column[:done] for name, column in columns.items()}
    write_arrays(path, rows_done, {"skipped": json.dumps(skipped), **of_settings})


def _fill_up(batch: Batch, size: int) -> Tensor:
    """The inputs of a batch, the last one repeated up to ``size``.

    So the same kernels run, and the row of an image does not depend on how many others are in its batch.
    """
    missing = size - len(batch.inputs)
    return batch.inputs if missing == 0 else torch.cat([batch.inputs, batch.inputs[-1:].expand(missing, -1, -1, -1)])
