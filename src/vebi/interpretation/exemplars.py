"""What a feature looks like: crops of the images in which it is strongest, and their average.

Reference: the average visualizations of Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019,
section 3.1: crops of the images in which a feature is strongest, aligned on the position of its largest activation, and
averaged.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor

from vebi.activations.layers import Feature
from vebi.activations.recorder import ActivationRecorder
from vebi.activations.table import DescriptorTable
from vebi.backprop.receptive_field import ReceptiveField, receptive_fields
from vebi.data.collections import ImageCollection, evenly_spaced
from vebi.data.loader import batches
from vebi.models.classifier import Classifier, eval_mode
from vebi.progress import Progress

TOP = 100  # images per feature
SHOWN = 10  # crops that are kept
THUMB = 16  # crops are compared at this many pixels a side, as an eye would
PADDING = 236  # the grey of what lies outside an image
FEW = 0.5  # where less than half of the crops are inside their image, the average fades into the padding


@dataclass(frozen=True, eq=False)
class Exemplar:
    """What one feature looks like: its top-activating patches and their mean, the paper's average visualization.

    The up to 100 images in whose descriptor the feature is strongest are taken: they are ranked by the descriptor, not
    by the raw activation. Each is cropped at the receptive field of the position where the feature is most active:
    these pixels made it so. A crop is h x w pixels of the network's input, at most the whole input; what lies outside
    the image is grey.

    Attributes:
        feature: The feature.
        count: Number of images; 0 for a feature that is active in none.
        image_ids: Ids of the images of ``crops``, strongest first.
        consistency: How alike all crops are, at most 1: the mean cosine between two of them, after the mean of crops
            from images of all kinds at the same positions is subtracted. 1 where all are the same up to contrast, about
            0 where they are no more alike than crops from anywhere. None for fewer than two.
        predicted: Class name -> number of the images that the network predicts as this class, the most frequent first.
        average: The mean of all crops, h x w x 3.
        crops: The strongest k <= 10 crops, k x h x w x 3.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.1.

    Example:
        >>> exemplar = interpretation.exemplar(interpretation.features[0])
        >>> len(exemplar.image_ids) == len(exemplar.crops) <= exemplar.count <= 100
        True
        >>> exemplar.average.shape == exemplar.crops.shape[1:]
        True
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
    images: ImageCollection,
    table: DescriptorTable,
    columns: Sequence[int],
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> list[Exemplar]:
    """The exemplar of each feature in some columns of a table.

    Only the images that are needed pass through the network, once each.

    Args:
        classifier: The model, with class names.
        images: The images of the table.
        table: Their descriptors, by which images are ranked.
        columns: The columns of the features.
        batch_size: Images per forward pass.
        progress: Called with (images done, all that are needed).

    Returns:
        An exemplar for each column.
    """
    features = [table.features[c] for c in columns]
    names = list(dict.fromkeys(feature.layer for feature in features))
    if not names:
        return []
    assert classifier.class_names is not None  # a fit names the classes
    fields = receptive_fields(classifier, names)
    references = _reference_images(classifier, images, batch_size)
    builders = [_ExemplarBuilder(feature, fields[feature.layer]) for feature in features]
    ranks = _ranks(table, columns)
    order = sorted(ranks)
    predicted = dict(zip(table.column("indices").tolist(), table.column("predictions").tolist(), strict=True))
    done = 0
    with eval_mode(classifier.model), torch.no_grad():
        for batch in batches(images, order, classifier.preprocess.prepare, batch_size, strict=True):
            peaks = _peaks(classifier, batch.inputs, features)
            for n, index in enumerate(batch.indices):
                image = classifier.preprocess.to_rgb_uint8(batch.inputs[n])
                for k, rank in ranks[index]:
                    reference = references[rank % len(references)]
                    builders[k].add(
                        image, (int(peaks[n, k, 0]), int(peaks[n, k, 1])), rank, images.ids[index], reference
                    )
                    builders[k].predicted[classifier.class_names[predicted[index]]] += 1
            done += len(batch.indices)
            if progress:
                progress(done, len(order))
    return [builder.finish() for builder in builders]


def _ranks(table: DescriptorTable, columns: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """Image index -> [(which column, rank of the image for it)], for the images in which a feature is strongest."""
    values, indices = table.columns(columns), table.column("indices")
    ranks: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for k in range(len(columns)):
        order = np.argsort(-values[:, k], kind="stable")[:TOP]
        for rank, row in enumerate(order[values[order, k] > 0]):
            ranks[int(indices[row])].append((k, rank))
    return ranks


def _peaks(
    classifier: Classifier, inputs: Float[Tensor, "n c h w"], features: Sequence[Feature]
) -> Int[Tensor, "n k 2"]:
    """The position (y, x) of the largest activation of each feature for each image."""
    channels: dict[str, list[int]] = defaultdict(list)
    for feature in features:
        channels[feature.layer].append(feature.channel)

    def positions(name: str, _kind: str, activation: Tensor) -> Tensor:
        return _peak_positions(activation[:, channels[name]])

    with ActivationRecorder(classifier.model, list(channels), positions) as recorder:
        classifier.logits(inputs.clone().to(classifier.device))  # a network may change its input in place
    peaks = [recorder.records[f.layer][:, channels[f.layer].index(f.channel)] for f in features]
    return torch.stack(peaks, dim=1)


def _peak_positions(activation: Tensor) -> Int[Tensor, "n k 2"]:
    """Position (y, x) of the largest activation of each channel; (0, 0) for a layer without positions."""
    if activation.ndim == 2:
        activation = activation[:, :, None, None]
    flat = activation.flatten(2).argmax(dim=2)
    return torch.stack([flat // activation.shape[3], flat % activation.shape[3]], dim=2).cpu()


def _reference_images(
    classifier: Classifier, images: ImageCollection, batch_size: int
) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Images from all over the data in a mixed order, to compare those with in which a feature is strongest."""
    indices = np.random.default_rng(0).permutation(evenly_spaced(range(len(images)), TOP)).tolist()
    loaded = batches(images, indices, classifier.preprocess.prepare, batch_size)
    references = [classifier.preprocess.to_rgb_uint8(x) for batch in loaded if batch.indices for x in batch.inputs]
    return references or [classifier.preprocess.to_rgb_uint8(classifier.zero_input()[0])]


class _ExemplarBuilder:
    """Sums the crops of one feature, and counts at each pixel how many of them are inside their image."""

    def __init__(self, feature: Feature, receptive: ReceptiveField) -> None:
        self.feature = feature
        self.field = receptive
        self.sum = np.zeros((*receptive.size, 3), np.uint16)  # room for 257 crops
        self.inside = np.zeros((*receptive.size, 1), np.uint8)
        self.count = 0
        self.crops = np.zeros((SHOWN, *receptive.size, 3), np.uint8)
        self.names: dict[int, str] = {}
        self.predicted: Counter[str] = Counter()
        self.thumbs: list[np.ndarray] = []
        self.references: list[np.ndarray] = []

    def add(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        position: tuple[int, int],
        rank: int,
        image_id: str,
        reference: UInt8[np.ndarray, "h w 3"],
    ) -> None:
        """Adds a crop, and that of a reference image at the same position."""
        corner, size = self.field.corner(position), self.field.size
        crop, inside = padded_crop(image, corner, size)
        self.sum += crop * inside
        self.inside += inside
        self.count += 1
        self.thumbs.append(_thumb(crop))
        self.references.append(_thumb(padded_crop(reference, corner, size)[0]))
        if rank < SHOWN:
            self.crops[rank] = crop
            self.names[rank] = image_id

    def finish(self) -> Exemplar:
        opacity = np.minimum(1, self.inside / (FEW * max(self.count, 1)))
        average = opacity * self.sum / np.maximum(self.inside, 1) + (1 - opacity) * PADDING
        return Exemplar(
            feature=self.feature,
            count=self.count,
            image_ids=tuple(self.names[rank] for rank in range(len(self.names))),
            consistency=consistency(np.stack(self.thumbs), np.stack(self.references)) if self.count > 1 else None,
            predicted=dict(self.predicted.most_common()),
            average=average.round().astype(np.uint8),
            crops=self.crops[: len(self.names)],
        )


def consistency(crops: UInt8[np.ndarray, "n h w 3"], references: UInt8[np.ndarray, "n h w 3"]) -> float:
    """How alike crops are, compared with crops from images of all kinds.

    Args:
        crops: n >= 2 crops.
        references: n crops at the same positions, from images of all kinds.

    Returns:
        The mean cosine between two crops after the mean of the references is subtracted from both: 1 where all crops
        are the same up to contrast, about 0 where they are no more alike than crops from anywhere.
    """
    distinct = (crops - references.mean(axis=0)).reshape(len(crops), -1)
    lengths = np.linalg.norm(distinct, axis=1, keepdims=True)
    directions = distinct / np.where(lengths > 0, lengths, 1)
    pairs = len(crops) * (len(crops) - 1)
    return float((np.square(directions.sum(axis=0)).sum() - np.square(directions).sum()) / pairs)


def _thumb(crop: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "small_h small_w 3"]:
    height, width = (min(THUMB, side) for side in crop.shape[:2])
    return np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BOX))


def padded_crop(
    image: UInt8[np.ndarray, "image_h image_w 3"], corner: tuple[int, int], size: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w 1"]]:
    """A crop of an image, grey where it lies outside the image.

    Args:
        image: The pixels.
        corner: Its top left pixel (y, x), which may lie outside the image.
        size: (h, w).

    Returns:
        The crop, and where it is inside the image.
    """
    crop = np.full((*size, 3), PADDING, np.uint8)
    inside = np.zeros((*size, 1), bool)
    spans = []
    for start, length, limit in zip(corner, size, image.shape[:2], strict=True):
        first, last = max(start, 0), min(start + length, limit)
        spans.append((slice(first, max(first, last)), slice(first - start, max(first, last) - start)))
    (rows, crop_rows), (cols, crop_cols) = spans
    crop[crop_rows, crop_cols] = image[rows, cols]
    inside[crop_rows, crop_cols] = True
    return crop, inside
