"""What a feature looks like: the images where it is strongest, lit where it fired, and the average of its crops.

Reference: the average visualizations of Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019,
section 3.1: crops of the images in which a feature is strongest, aligned on the position of its largest activation, and
averaged. There are fewer of them here and they are cut closer: the mean of many that hardly resemble each other is fog.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from scipy import ndimage
from torch import Tensor

from vebi.activations.layers import Feature
from vebi.activations.recorder import ActivationRecorder
from vebi.activations.table import DescriptorTable
from vebi.backprop.receptive_field import ReceptiveField, receptive_fields
from vebi.data.collections import ImageCollection
from vebi.data.loader import batches
from vebi.interpretation.encoded_image import EncodedImage
from vebi.interpretation.firing import cut, firing_window, light_of, light_up, show
from vebi.lasso.scaling import PLAIN
from vebi.models.classifier import Classifier
from vebi.progress import Progress

COUNTED = 100  # images whose classes are counted
AVERAGED = 10  # crops in the average
SHOWN = 6  # spotlights
SIDE = 96  # pixels a side of the average, more than small images have: crops are aligned to parts of a pixel
SPOTLIGHT = 128  # pixels a side of a spotlight, at most
SOFTNESS = 2.5  # of the light on what is averaged: less than in a spotlight is left out
THUMB, BAND = 24, (1.0, 8.0)  # crops are compared at so many pixels a side, between two Gaussians
NOTHING = 1e-6  # a crop with less in it, in grey levels, is even up to rounding
PADDING = 236  # the grey of what lies outside of most images
FEW = 0.5  # where less than half of the crops are inside their image, the average fades into it


@dataclass(frozen=True, eq=False)
class Exemplar:
    """What one feature looks like: the images in which it is strongest, and the average of what it saw there.

    Images are ranked by the descriptor, not by the raw activation. A crop is as large as the spot where the feature is
    most active and a little around it, not all that it could see, and is scaled to one size; what lies outside the
    image does not count.

    Attributes:
        feature: The feature.
        positions: Height and width of its map; (1, 1) for a feature without positions, which sees the whole image. None
            in runs of earlier versions.
        receptive_field: Height and width in pixels of what a position sees.
        count: Number of images in which it is active, up to 100.
        predicted: Class name -> number of the images that the network predicts as this class, the most frequent first.
        image_ids: Ids of the images of ``spotlights``, strongest first.
        spotlights: Up to six images in which it is strongest, dark but where it fired.
        average: The mean of the up to ten strongest crops; contrast as it came out, see ``contact_sheet``.
        contrast: The mean standard deviation of brightness within one of these crops, 0 to 127.5, which averaging takes
            away; 0 where there is none.
        consistency: How far the average is to be trusted, by how alike these crops are, at most 1: the mean cosine
            between two of them after a band-pass. 1 where all are the same up to contrast; about 0 where they have
            nothing in common, and the average is fog. The shape of the light counts as theirs: crops of even things lit
            in the same way are alike. None for fewer than two.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.1.

    Example:
        >>> exemplar = interpretation.exemplar(interpretation.features[0])
        >>> len(exemplar.image_ids) == len(exemplar.spotlights) <= exemplar.count <= 100
        True
    """

    feature: Feature
    positions: tuple[int, int] | None
    receptive_field: tuple[int, int]
    count: int
    predicted: dict[str, int]
    image_ids: tuple[str, ...]
    spotlights: tuple[EncodedImage, ...] = field(repr=False)
    average: EncodedImage = field(repr=False)
    contrast: float
    consistency: float | None


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
    builders = [_ExemplarBuilder(feature, fields[feature.layer]) for feature in features]
    ranks = _ranks(table, columns, builders, classifier.class_names)
    order, done = sorted(ranks), 0
    with classifier.evaluation(), torch.no_grad():
        for batch in batches(images, order, classifier.preprocess.prepare, batch_size, strict=True):
            maps = _maps(classifier, batch.inputs, features)
            for n, index in enumerate(batch.indices):
                image = classifier.preprocess.to_rgb_uint8(batch.inputs[n])
                for k, rank in ranks[index]:
                    builders[k].add(image, maps[k][n].double().cpu().numpy(), rank, images.ids[index])
            done += len(batch.indices)
            if progress:
                progress(done, len(order))
    return [builder.finish() for builder in builders]


def _ranks(
    table: DescriptorTable, columns: Sequence[int], builders: "Sequence[_ExemplarBuilder]", class_names: Sequence[str]
) -> dict[int, list[tuple[int, int]]]:
    """Image index -> [(which column, rank of the image for it)], for the images that are looked at.

    Counts the predicted classes of more of them on the way.
    """
    shares = replace(table, descriptor=replace(table.descriptor, scaling=PLAIN)).columns(columns)
    indices, predictions = table.column("indices"), table.column("predictions")
    ranks: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for k, builder in enumerate(builders):
        order = np.argsort(-shares[:, k], kind="stable")[:COUNTED]
        order = order[shares[order, k] > 0]
        builder.predicted.update(class_names[predictions[row]] for row in order)
        for rank, row in enumerate(order[:AVERAGED]):
            ranks[int(indices[row])].append((k, rank))
    return ranks


def _maps(
    classifier: Classifier, inputs: Float[Tensor, "n c h w"], features: Sequence[Feature]
) -> list[Float[Tensor, "n _ _"]]:
    """The activations of each feature; 1 x 1 for one without positions."""
    channels: dict[str, list[int]] = defaultdict(list)
    for feature in features:
        channels[feature.layer].append(feature.channel)

    def maps_of_layer(name: str, _kind: str, activation: Tensor) -> Tensor:
        chosen = activation[:, channels[name]].clone()
        return chosen[:, :, None, None] if chosen.ndim == 2 else chosen

    with ActivationRecorder(classifier.model, list(channels), maps_of_layer) as recorder:
        classifier.logits(inputs.clone().to(classifier.device))  # a network may change its input in place
    return [recorder.records[f.layer][:, channels[f.layer].index(f.channel)] for f in features]


class _ExemplarBuilder:
    """Sums the crops of one feature, each pixel weighted by how far it is inside its image."""

    def __init__(self, feature: Feature, receptive: ReceptiveField) -> None:
        self.feature = feature
        self.field = receptive
        self.positions = (1, 1)
        self.predicted: Counter[str] = Counter()
        self.sum = np.zeros((SIDE, SIDE, 3), np.float32)  # single precision: there are thousands of them
        self.weight = np.zeros((SIDE, SIDE, 1), np.float32)
        self.contrasts: list[float] = []
        self.thumbs: list[np.ndarray] = []
        self.spotlights: dict[int, tuple[str, EncodedImage]] = {}

    def add(
        self,
        image: UInt8[np.ndarray, "size size 3"],
        activation: Float[np.ndarray, "h w"],
        rank: int,
        image_id: str,
    ) -> None:
        """Adds what the feature saw in an image."""
        size, self.positions = image.shape[0], activation.shape
        window, light = firing_window(activation, self.field, size), light_of(activation, self.field, size)
        crop, weights = cut(light_up(image, light, SOFTNESS), window, SIDE)
        self.sum += crop * weights[..., None]
        self.weight += weights[..., None]
        self.contrasts.append(float(crop.mean(axis=2).std()))
        self.thumbs.append(_thumb(crop))
        if rank < SHOWN:
            spotlight = show(light_up(image, light), window, min(SPOTLIGHT, size))
            self.spotlights[rank] = image_id, EncodedImage.encode(spotlight)

    def finish(self) -> Exemplar:
        shown, count = [self.spotlights[rank] for rank in sorted(self.spotlights)], len(self.thumbs)
        opacity = np.minimum(1, self.weight / (FEW * max(count, 1)))
        average = opacity * self.sum / np.maximum(self.weight, 1e-6) + (1 - opacity) * PADDING
        return Exemplar(
            feature=self.feature,
            positions=self.positions,
            receptive_field=self.field.size,
            count=self.predicted.total(),
            predicted=dict(self.predicted.most_common()),
            image_ids=tuple(image_id for image_id, _ in shown),
            spotlights=tuple(image for _, image in shown),
            average=EncodedImage.encode(average.clip(0, 255).round().astype(np.uint8)),
            contrast=float(np.mean(self.contrasts)) if count else 0.0,
            consistency=consistency(np.stack(self.thumbs).astype(np.float64)) if count > 1 else None,
        )


def consistency(crops: Float[np.ndarray, "n side side 3"]) -> float:
    """How alike crops are in what makes them up, whatever their brightness and colour cast are.

    Coarse and fine are left out: what is shared by all of a crop, and single pixels.

    Args:
        crops: n >= 2 crops.

    Returns:
        The mean cosine between two crops after a band-pass, a difference of Gaussians: 1 where all are the same up to
        contrast, about 0 where they have nothing in common.
    """
    fine, coarse = (ndimage.gaussian_filter(crops, (0, sigma, sigma, 0), mode="nearest") for sigma in BAND)
    parts = (fine - coarse).reshape(len(crops), -1)
    lengths = np.linalg.norm(parts, axis=1, keepdims=True)
    directions = np.where(lengths > NOTHING, parts / np.maximum(lengths, NOTHING), 0)
    pairs = len(crops) * (len(crops) - 1)
    return float((np.square(directions.sum(axis=0)).sum() - np.square(directions).sum()) / pairs)


def _thumb(crop: Float[np.ndarray, "side side 3"]) -> UInt8[np.ndarray, "small small 3"]:
    pixels = Image.fromarray(crop.clip(0, 255).round().astype(np.uint8))
    return np.asarray(pixels.resize((THUMB, THUMB), Image.Resampling.BOX))
