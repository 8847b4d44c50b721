"""Images -> explanations: a prediction with one heatmap for every feature that contributed to it.

Source: Oramas, Wang and Tuytelaars, ICLR 2019, section 3.2, and their released code. For the predicted class c and the
descriptor x of an image, feature i contributes x_i w_ic / ||w_c||_1. Of the positive contributions the largest few are
led back to the pixels, each from its own activation map with zeros in all other channels.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from vebi.activations.descriptors import channel_energy, descriptors
from vebi.activations.layers import Feature
from vebi.activations.recorder import Recorder
from vebi.backprop import heatmaps
from vebi.backprop.feature_maps import back_from, forward_graph
from vebi.backprop.graph_audit import Finding, walk
from vebi.backprop.rules import check_rule
from vebi.data.collections import Images
from vebi.data.folders import gather
from vebi.data.loader import batches, report_skipped
from vebi.data.sources import open_images
from vebi.errors import ImageError, UsageError
from vebi.interpretation.result import Interpretation
from vebi.progress import Progress


@dataclass(frozen=True)
class Evidence:
    """One feature that speaks for a class in one image.

    ``contribution`` x_i w_ic / ||w_c||_1, above 0; ``heatmap`` raw, h x w float32 at the network's input resolution.
    """

    feature: Feature
    contribution: float
    heatmap: Float[np.ndarray, "h w"] = field(repr=False)


@dataclass(frozen=True)
class Explanation:
    """A prediction and the evidence for ``target``, the class that is explained (the predicted one unless asked).

    ``probability`` is the softmax of the prediction's score; ``picture`` is what the network saw; ``evidence`` is
    sorted by contribution and empty where none of the target's features fired. ``audit`` lists the non-linearities on
    the way from the features of the batch to the picture, and whether the backward rule covers them.
    """

    image_id: str
    prediction: str
    probability: float
    target: str
    evidence: tuple[Evidence, ...]
    audit: tuple[Finding, ...] = field(repr=False)
    picture: UInt8[np.ndarray, "h w 3"] = field(repr=False)

    def combined(self, reduction: str = "max") -> Float[np.ndarray, "h w"]:
        """One map in [0, 1]: the elementwise maximum (``max``) or the contribution-weighted mean (``mean``)."""
        if not self.evidence:
            return np.zeros(self.picture.shape[:2], np.float32)
        maps = np.stack([e.heatmap for e in self.evidence])
        return heatmaps.combine(maps, np.array([e.contribution for e in self.evidence]), reduction)

    def scaled(self) -> list[Float[np.ndarray, "h w"]]:
        """Every heatmap of the evidence scaled to [0, 1] for looking at, see ``heatmaps.for_display``."""
        return [heatmaps.for_display(e.heatmap) for e in self.evidence]


@dataclass(frozen=True)
class Settings:
    """How images are explained: at most ``features`` features, a backward rule and a stride fix (see ``backward``)."""

    features: int = 3
    rule: str = "guided"
    stride_fix: str | None = "centred"

    def __post_init__(self):
        if self.features < 1:
            raise UsageError(f"features is {self.features}, but at least one heatmap is needed")
        check_rule(self.rule, self.stride_fix)


def explain(interpretation: Interpretation, images: Any, **options: Any) -> Explanation | list[Explanation]:
    """The explanation of one image, or a list of them for a folder, a list of images or a data set.

    One image is a path, a Pillow image, an H x W x 3 uint8 array or a C x H x W float tensor that is ready for the
    network. ``options`` and errors are those of ``explanations``; one image that cannot be decoded is an ImageError.
    """
    if isinstance(images, str | os.PathLike) and not Path(images).is_dir():
        return next(explanations(interpretation, images, **options | {"strict": True}))
    if _is_picture(images):
        return next(explanations(interpretation, [images], **options | {"strict": True}))
    return list(explanations(interpretation, images, **options))


def _is_picture(item: Any) -> bool:
    """A picture in memory; a batch of them has one dimension more."""
    return isinstance(item, Image.Image) or (isinstance(item, np.ndarray | Tensor) and item.ndim in (2, 3))


def explanations(
    interpretation: Interpretation,
    images: Any,
    *,
    target: str | None = None,
    features: int = 3,
    rule: str = "guided",
    stride_fix: str | None = "centred",
    batch_size: int = 32,
    strict: bool = True,
    progress: Progress | None = None,
) -> Iterator[Explanation]:
    """The explanations of a file, a folder, a list of images or a data set, one after the other, in order.

    ``target`` names a class to explain instead of the predicted one; ``features`` is the number of heatmaps at most;
    ``rule`` and ``stride_fix``: see ``backward``. With ``strict`` an image that cannot be decoded is an ImageError,
    otherwise it is skipped with a warning at the end, and an ImageError only where no image is left. ``progress`` is
    called with (images done, all images).
    Raises UsageError for options that do not exist, InputError for images that do not exist.
    """
    settings = Settings(features, rule, stride_fix)
    classes = interpretation.classes
    classifier = interpretation.require_classifier()
    if target is not None and target not in classes:
        raise UsageError(f"there is no class {target!r}: the model's classes are {', '.join(classes[:12])}")
    if isinstance(images, str | os.PathLike):
        images = gather([images])  # a heap of pictures: whether its folders are classes does not matter here
    elif not isinstance(images, Images) and hasattr(images, "__len__") and len(images) and _is_picture(images[0]):
        images = [(image, 0) for image in images]  # nor does a label
    collection = open_images(images, classes)
    skipped: list[tuple[str, str]] = []
    done = 0
    for batch in batches(collection, range(len(collection)), classifier.preprocess.prepare, batch_size, strict=strict):
        skipped += batch.skipped
        if batch.indices:
            targets = None if target is None else [classes.index(target)] * len(batch.indices)
            ids = [collection.ids[i] for i in batch.indices]
            yield from explain_batch(interpretation, batch.inputs, ids, targets, settings)
        done += len(batch.indices) + len(batch.skipped)
        if progress:
            progress(done, len(collection))
    if len(skipped) == len(collection):
        raise ImageError(f"none of the {len(skipped)} files could be decoded, first: {skipped[0][1]}")
    report_skipped(skipped, len(collection))


def explain_batch(
    interpretation: Interpretation,
    inputs: Float[Tensor, "n c h w"],
    ids: Sequence[str],
    targets: Sequence[int] | None = None,
    settings: Settings = Settings(),
) -> list[Explanation]:
    """Explanations of one prepared batch: one forward graph, and as many backward passes as a picture has features."""
    classifier = interpretation.require_classifier()
    with forward_graph(classifier, inputs, tapped(interpretation)) as (inputs, recorder, scores):
        predicted = scores.argmax(dim=1).tolist()
        probabilities = scores.softmax(dim=1).amax(dim=1).tolist()
        wanted = predicted if targets is None else list(targets)
        chosen = contributors(interpretation, recorder, wanted, settings.features)
        features = [[feature for feature, _ in evidence] for evidence in chosen]
        maps = back_from(recorder, inputs, features, rule=settings.rule, stride_fix=settings.stride_fix)
        starts = [recorder.edges[layer] for layer in dict.fromkeys(f.layer for some in features for f in some)]
        findings = walk(starts, inputs, recorder.owners, settings.rule)
    classes = interpretation.classes
    return [
        Explanation(
            image_id=ids[n],
            prediction=classes[predicted[n]],
            probability=probabilities[n],
            target=classes[wanted[n]],
            evidence=tuple(Evidence(f, c, heat) for (f, c), heat in zip(chosen[n], maps[n], strict=True)),
            audit=findings,
            picture=classifier.preprocess.picture(inputs[n].detach()),
        )
        for n in range(len(inputs))
    ]


@dataclass(frozen=True)
class CombinedMaps:
    """An ``Explainer``: the evidence for the targets as one map a picture, in [0, 1]; zeros where there is none.

    The maps of ``explain_batch`` and ``Explanation.combined``, without what else an explanation holds.
    """

    interpretation: Interpretation = field(repr=False)
    settings: Settings = Settings()
    reduction: str = "max"

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        rule, fix = self.settings.rule, self.settings.stride_fix
        classifier = self.interpretation.require_classifier()
        with forward_graph(classifier, images, tapped(self.interpretation)) as (inputs, recorder, _):
            chosen = contributors(self.interpretation, recorder, targets.tolist(), self.settings.features)
            features = [[feature for feature, _ in evidence] for evidence in chosen]
            maps = back_from(recorder, inputs, features, rule=rule, stride_fix=fix)
        return combine_all(maps, chosen, inputs, self.reduction)


def combine_all(
    maps: Sequence[Sequence[Float[np.ndarray, "h w"]]],
    chosen: Sequence[Sequence[tuple[Feature, float]]],
    inputs: Float[Tensor, "n c h w"],
    reduction: str = "max",
) -> Float[Tensor, "n h w"]:
    """For every picture its features' maps combined to one (``heatmaps.combine``), zeros where it has none."""
    found = np.zeros((len(inputs), *inputs.shape[2:]), np.float32)
    for n, (some, evidence) in enumerate(zip(maps, chosen, strict=True)):
        if evidence:
            found[n] = heatmaps.combine(np.stack(some), np.array([c for _, c in evidence]), reduction)
    return torch.from_numpy(found).to(inputs.device)


def tapped(interpretation: Interpretation) -> list[str]:
    """The layers whose activations make a descriptor."""
    return list(dict.fromkeys(layer for layer, _ in interpretation.layers))


def contributors(
    interpretation: Interpretation, recorder: Recorder, targets: Sequence[int], count: int
) -> list[list[tuple[Feature, float]]]:
    """For every recorded picture the features with the largest positive contributions to its target, with these."""
    energies = [channel_energy(recorder.kept[n], interpretation.descriptor.energy) for n in tapped(interpretation)]
    rows = descriptors(energies, interpretation.descriptor.unit_norm).double().cpu().numpy()
    return [_strongest(interpretation, row, c, count) for row, c in zip(rows, targets, strict=True)]


def _strongest(interpretation: Interpretation, row: np.ndarray, c: int, count: int) -> list[tuple[Feature, float]]:
    """The features with the largest positive contributions to class c."""
    weights = interpretation.weights[c]
    norm = np.abs(weights).sum()
    if norm == 0:
        return []
    contributions = row[list(interpretation.columns)] * weights / norm
    order = np.argsort(-contributions, kind="stable")[:count]
    return [(interpretation.features[i], float(contributions[i])) for i in order if contributions[i] > 0]
