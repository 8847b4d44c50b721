"""Where a feature fires: the pictures with the strongest response, cut out at the receptive field, and their average.

Source: the average visualizations of Oramas et al., ICLR 2019, section 3.1: crops of the pictures where a feature fires
most, aligned on the position of its largest activation, and averaged.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from vebi.activations.layers import Feature
from vebi.activations.recorder import Recorder
from vebi.activations.table import DescriptorTable
from vebi.backprop.receptive_field import Field, receptive_fields
from vebi.data.collections import Images, evenly
from vebi.data.loader import batches
from vebi.models.classifier import Classifier, evaluating

TOP = 100
SHOWN = 10
THUMB = 16  # crops are compared at this many pixels a side, as an eye would
PAPER = 236  # the grey of what lies outside a picture
FEW = 0.5  # where less than half of the crops have a picture, the average fades into the paper


@dataclass(frozen=True)
class Exemplar:
    """What one feature looks like: the average of the crops of ``count`` pictures and the strongest few of them.

    Crops are h x w, the receptive field of the feature in pixels of the network's input, at most the whole input.
    ``image_ids`` name the pictures of ``crops``, strongest first. ``consistency`` says how alike all ``count`` crops
    are, see ``consistency``; None for fewer than two. ``predicted`` counts the classes that the network takes all
    these pictures for, the most frequent first.
    """

    feature: Feature
    count: int
    image_ids: tuple[str, ...]
    consistency: float | None
    predicted: dict[str, int]
    average: UInt8[np.ndarray, "h w 3"] = field(repr=False)
    crops: UInt8[np.ndarray, "k h w 3"] = field(repr=False)


def find_exemplars(
    classifier: Classifier,
    images: Images,
    table: DescriptorTable,
    columns: Sequence[int],
    *,
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> list[Exemplar]:
    """An exemplar for each of the table's ``columns``; pictures are ranked by the feature's descriptor.

    Only the pictures that are needed pass through the network again.
    """
    features = [table.features[c] for c in columns]
    names = list(dict.fromkeys(f.layer for f in features))
    if not names:
        return []
    fields = receptive_fields(classifier, names)
    others = _spread_out(classifier, images, batch_size)
    builders = [_Builder(feature, fields[feature.layer]) for feature in features]
    channels = {name: [f.channel for f in features if f.layer == name] for name in names}
    slots = [channels[f.layer].index(f.channel) for f in features]
    ranks = _ranks(table, columns)
    order = sorted(ranks)
    predicted = dict(zip(table.column("indices").tolist(), table.column("predictions").tolist(), strict=True))
    done = 0
    with evaluating(classifier.module), torch.no_grad():
        for batch in batches(images, order, classifier.preprocess.prepare, batch_size, strict=True):
            with Recorder(classifier.module, names, lambda name, _, a: _peaks(a[:, channels[name]])) as recorder:
                classifier.scores(batch.inputs.clone().to(classifier.device))
            for n, index in enumerate(batch.indices):
                picture = classifier.preprocess.picture(batch.inputs[n])
                for k, rank in ranks[index]:
                    peak = tuple(recorder.kept[features[k].layer][n, slots[k]].tolist())
                    builders[k].add(picture, peak, rank, images.ids[index], others[rank % len(others)])
                    builders[k].predicted[classifier.class_names[predicted[index]]] += 1
            done += len(batch.indices)
            if progress:
                progress(done, len(order))
    return [builder.finish() for builder in builders]


def _ranks(table: DescriptorTable, columns: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """picture index -> [(which feature, rank of the picture for it)], for the pictures where a feature fires most."""
    values, indices = table.columns(columns), table.column("indices")
    ranks: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for k in range(len(columns)):
        order = np.argsort(-values[:, k], kind="stable")[:TOP]
        for rank, row in enumerate(order[values[order, k] > 0]):
            ranks[int(indices[row])].append((k, rank))
    return ranks


def _peaks(activation: Tensor) -> Int[Tensor, "n k 2"]:
    """Position (y, x) of the largest activation of every channel; a layer without positions fires at (0, 0)."""
    if activation.ndim == 2:
        activation = activation[:, :, None, None]
    flat = activation.flatten(2).argmax(dim=2)
    return torch.stack([flat // activation.shape[3], flat % activation.shape[3]], dim=2).cpu()


def _spread_out(classifier: Classifier, images: Images, batch_size: int) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Pictures from all over the data in a mixed order, for comparison with those that a feature likes."""
    indices = np.random.default_rng(0).permutation(evenly(range(len(images)), TOP)).tolist()
    found = batches(images, indices, classifier.preprocess.prepare, batch_size)
    pictures = [classifier.preprocess.picture(x) for batch in found if batch.indices for x in batch.inputs]
    return pictures or [classifier.preprocess.picture(classifier.blank()[0])]


class _Builder:
    """Adds up the crops of one feature, counting at each pixel how many crops had a picture there."""

    def __init__(self, feature: Feature, receptive: Field):
        self.feature = feature
        self.field = receptive
        self.sum = np.zeros((*receptive.size, 3), np.uint16)  # room for 257 crops
        self.seen = np.zeros((*receptive.size, 1), np.uint8)
        self.count = 0
        self.crops = np.zeros((SHOWN, *receptive.size, 3), np.uint8)
        self.names: dict[int, str] = {}
        self.predicted: Counter[str] = Counter()
        self.thumbs: list[np.ndarray] = []
        self.others: list[np.ndarray] = []

    def add(self, picture: np.ndarray, position: tuple[int, int], rank: int, image_id: str, other: np.ndarray) -> None:
        """``other`` is a picture from anywhere in the data, which is cut at the same place for comparison."""
        corner, size = self.field.corner(position), self.field.size
        crop, inside = cut(picture, corner, size)
        self.sum += crop * inside
        self.seen += inside
        self.count += 1
        self.thumbs.append(_thumb(crop))
        self.others.append(_thumb(cut(other, corner, size)[0]))
        if rank < SHOWN:
            self.crops[rank] = crop
            self.names[rank] = image_id

    def finish(self) -> Exemplar:
        seen = np.minimum(1, self.seen / (FEW * max(self.count, 1)))
        average = seen * self.sum / np.maximum(self.seen, 1) + (1 - seen) * PAPER
        names = tuple(self.names[rank] for rank in range(len(self.names)))
        alike = consistency(np.stack(self.thumbs), np.stack(self.others)) if self.count > 1 else None
        classes = dict(self.predicted.most_common())
        average = average.round().astype(np.uint8)
        return Exemplar(self.feature, self.count, names, alike, classes, average, self.crops[: len(names)])


def consistency(crops: UInt8[np.ndarray, "n h w 3"], others: UInt8[np.ndarray, "n h w 3"]) -> float:
    """How alike n >= 2 crops are, beside n others that were cut at the same places from pictures of all kinds.

    The mean cosine between two crops after the mean of the others is taken away from both: 1 where all crops are the
    same up to contrast, about 0 where they have no more in common than cuts from anywhere.
    """
    distinct = (crops - others.mean(axis=0)).reshape(len(crops), -1)
    lengths = np.linalg.norm(distinct, axis=1, keepdims=True)
    directions = distinct / np.where(lengths > 0, lengths, 1)
    pairs = len(crops) * (len(crops) - 1)
    return float((np.square(directions.sum(axis=0)).sum() - np.square(directions).sum()) / pairs)


def _thumb(crop: np.ndarray) -> np.ndarray:
    height, width = (min(THUMB, side) for side in crop.shape[:2])
    return np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BOX))


def cut(picture: np.ndarray, corner: tuple[int, int], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A crop h x w x 3 at ``corner`` (y, x), paper grey outside the picture, and where it is inside (h x w x 1)."""
    crop = np.full((*size, 3), PAPER, np.uint8)
    inside = np.zeros((*size, 1), bool)
    spans = []
    for start, length, limit in zip(corner, size, picture.shape, strict=False):
        first, last = max(start, 0), min(start + length, limit)
        spans.append((slice(first, max(first, last)), slice(first - start, max(first, last) - start)))
    (rows, into_rows), (cols, into_cols) = spans
    crop[into_rows, into_cols] = picture[rows, cols]
    inside[into_rows, into_cols] = True
    return crop, inside
