"""The descriptors of a data set as a table on disk, shard by shard, resumable.

A shard gets its name when all of it is written: a pass that was stopped at any moment resumes with the first shard that
is missing, and gives the same table as one that was not stopped.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vebi.activations.descriptors import Descriptor, descriptors
from vebi.activations.layers import Feature, Layer
from vebi.activations.shards import check_shard, read_shard, shard_name, upgrade_shard, write_shard
from vebi.data.collections import ImageCollection
from vebi.errors import RunError
from vebi.lasso.moments import Moments, accumulate, accumulate_parts
from vebi.lasso.scaling import Problem, Scaling, make_problem
from vebi.models.classifier import Classifier
from vebi.progress import Progress

#: Images per shard.
SHARD = 512


@dataclass(frozen=True)
class DescriptorTable:
    """A folder of shards: descriptors (images x features), labels, predictions and image ids, in image order.

    What lies on disk is the share of each channel in the energy of its layer; the descriptor that is asked for is made
    of it whenever the table is read. Iterating yields shard by shard a mapping of ``descriptors`` n x p float64,
    ``labels``, ``predictions`` and ``indices`` n int64. Images that could not be decoded have no row.

    Attributes:
        folder: Where the shards are.
        features: The p features, one per column of ``descriptors``.
        shards: Number of shards.
        descriptor: What is made of the shares.
        settings_sha256: Hash of the settings that all shards have to be of; None for any.

    Example:
        >>> from pathlib import Path
        >>> from vebi.activations.layers import choose_layers
        >>> from vebi.activations.table import tabulate
        >>> table = tabulate(classifier, vebi.open_images("images"), choose_layers(classifier), Path("table"))
        >>> table.columns([0, 1]).shape
        (72, 2)
        >>> len(table.features), table.shards
        (20, 1)
    """

    folder: Path
    features: tuple[Feature, ...]
    shards: int
    descriptor: Descriptor = field(default_factory=Descriptor)
    settings_sha256: str | None = None

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        for path in self._paths():
            shard = read_shard(path, settings_sha256=self.settings_sha256)[0]
            yield shard | {"descriptors": descriptors(shard.pop("shares"), self._layers, self.descriptor)}

    def column(self, name: str) -> Int[np.ndarray, " n"]:
        """One number per image.

        Args:
            name: ``labels`` (true class, -1 where there is none), ``predictions`` (predicted class) or ``indices``
                (index of the image in its collection).

        Returns:
            One number per image that has a row, in image order.

        Raises:
            RunError: A shard is damaged or missing.
        """
        return np.concatenate([read_shard(path, [name])[0][name] for path in self._paths()])

    def columns(self, features: Sequence[int]) -> Float[np.ndarray, "n k"]:
        """The descriptors of a few features, before columns are centred or standardised.

        Args:
            features: Indices into ``features``.

        Returns:
            Images x k, float64.

        Raises:
            RunError: A shard is damaged or missing.
        """
        return np.concatenate([shard["descriptors"][:, list(features)] for shard in self])

    def skipped(self) -> list[tuple[str, str]]:
        """(id, reason) of every image without a row.

        Raises:
            RunError: A shard is damaged or missing.
        """
        return [pair for path in self._paths() for pair in read_shard(path, [])[1]]

    def problem(self, classes: int, labels: str = "predictions") -> Problem:
        """The mu-Lasso of all classes over all images, in the form of the descriptor, with one-hot targets.

        An image without a true class is of no class.

        Args:
            classes: Number of classes of the model.
            labels: ``predictions`` (predicted class) or ``labels`` (true class).

        Returns:
            The problem.

        Raises:
            RunError: A shard is damaged or missing, or holds a class that the model does not have.
        """
        one_hot = np.arange(classes)

        def shards() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
            for name, shard in zip(self._names(), self, strict=True):
                if max(shard["predictions"].max(initial=0), shard["labels"].max(initial=0)) >= classes:
                    raise RunError(
                        f"{self.folder / name}.safetensors is damaged, it holds a class beyond the {classes} of the "
                        f"model: delete it and run the same command again"
                    )
                yield name, shard["descriptors"], shard[labels][:, None] == one_hot

        moments = accumulate(shards(), len(self.features), classes)
        return make_problem(moments, self.descriptor.form, overwrite=True)

    def gradients(
        self, weights: Float[np.ndarray, "classes p"], scaling: Scaling, labels: str = "predictions"
    ) -> Float[np.ndarray, "classes p"]:
        """The gradients Z'(Zw - t) of every class, from the rows themselves.

        Args:
            weights: The weights w of every class, classes x features.
            scaling: What makes Z and t of the rows.
            labels: ``predictions`` or ``labels``.

        Returns:
            Classes x features, float64.
        """
        gradients = np.zeros(weights.shape)
        for shard in self:
            z, targets = self._scaled(shard, scaling, labels)
            gradients += (weights @ z.T - targets.T) @ z
        return gradients

    def label_sums(
        self, part_of_row: Int[np.ndarray, " n"], parts: int, scaling: Scaling, labels: str = "predictions"
    ) -> Float[np.ndarray, "parts classes p"]:
        """Z't of every class, over every part of the rows by itself.

        Args:
            part_of_row: The part of every row, 0 to parts - 1.
            parts: Number of parts.
            scaling: What makes Z and t of the rows.
            labels: ``predictions`` or ``labels``.

        Returns:
            Parts x classes x features, float64.
        """
        sums, start = np.zeros((parts, len(scaling.constants), len(self.features))), 0
        for shard in self:
            stop = start + len(shard[labels])
            z, targets = self._scaled(shard, scaling, labels)
            for part in range(parts):
                in_part = part_of_row[start:stop] == part
                sums[part] += targets[in_part].T @ z[in_part]
            start = stop
        return sums

    def part_moments(
        self,
        part_of_row: Int[np.ndarray, " n"],
        columns: Int[np.ndarray, " k"],
        classes: Sequence[int],
        labels: str = "predictions",
    ) -> list[Moments]:
        """The moments of every part of the rows by itself, for some features and classes.

        Args:
            part_of_row: The part of every row, from 0.
            columns: Indices into ``features``.
            classes: Indices of classes.
            labels: ``predictions`` or ``labels``.

        Returns:
            One per part, with the shapes of k features and len(classes) classes.
        """
        one_hot, parts = np.asarray(classes), int(part_of_row.max(initial=-1)) + 1

        def shards() -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
            start = 0
            for name, shard in zip(self._names(), self, strict=True):
                stop = start + len(shard[labels])
                targets = shard[labels][:, None] == one_hot
                yield name, shard["descriptors"][:, columns], targets, part_of_row[start:stop]
                start = stop

        return accumulate_parts(shards(), len(columns), len(one_hot), parts)

    def _scaled(self, shard: Mapping[str, np.ndarray], scaling: Scaling, labels: str) -> tuple[np.ndarray, np.ndarray]:
        """The rows Z and the targets T of a shard."""
        one_hot = shard[labels][:, None] == np.arange(len(scaling.constants))
        return scaling.apply(shard["descriptors"]), one_hot - scaling.constants

    @cached_property
    def _layers(self) -> list[int]:
        """Number of features of each layer."""
        return [len(list(group)) for _, group in itertools.groupby(self.features, key=lambda feature: feature.layer)]

    def _paths(self) -> list[Path]:
        return [self.folder / shard_name(k) for k in range(self.shards)]

    def _names(self) -> list[str]:
        return [path.stem for path in self._paths()]


def tabulate(
    classifier: Classifier,
    images: ImageCollection,
    layers: Sequence[Layer],
    folder: Path,
    descriptor: Descriptor = Descriptor(),
    *,
    batch_size: int = 32,
    shard_size: int = SHARD,
    strict: bool = False,
    settings_sha256: str | None = None,
    progress: Progress | None = None,
) -> DescriptorTable:
    """The table of a collection; shards that are in the folder already are kept.

    No more than a batch of activations is in memory.

    Args:
        classifier: The model.
        images: The images.
        layers: The layers to record.
        folder: Where the shards go; made where it does not exist.
        descriptor: What is made of the shares of energy that the table holds.
        batch_size: Images per forward pass.
        shard_size: Images per shard; to resume, the same as before.
        strict: Whether an image that cannot be decoded is an error.
        settings_sha256: Hash of the settings of the fit; shards of others are refused.
        progress: Called with (images done, images) after every batch.

    Returns:
        The table, with one row for every image that can be decoded.

    Raises:
        ImageError: With ``strict``, an image cannot be decoded.
        ModelError: Activations or class scores are not finite, or a layer did not run.
        RunError: A shard in the folder is damaged or of another table.
        UsageError: The batch size is below 1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = math.ceil(len(images) / shard_size)
    with classifier.evaluation():
        for k in range(shards):
            path = folder / shard_name(k)
            indices = range(k * shard_size, min((k + 1) * shard_size, len(images)))
            if not path.exists():
                write_shard(
                    path,
                    classifier,
                    images,
                    indices,
                    layers,
                    batch_size=batch_size,
                    strict=strict,
                    settings_sha256=settings_sha256,
                    progress=_count_from(progress, indices.start, len(images)),
                )
            else:
                upgrade_shard(path, [layer.channels for layer in layers], descriptor.energy)
                check_shard(path, indices, sum(layer.channels for layer in layers), settings_sha256)
            if progress:
                progress(indices.stop, len(images))
    features = tuple(Feature(layer.name, c) for layer in layers for c in range(layer.channels))
    return DescriptorTable(folder, features, shards, descriptor, settings_sha256)


def _count_from(progress: Progress | None, start: int, total: int) -> Callable[[int], None] | None:
    return None if progress is None else lambda done: progress(start + done, total)
