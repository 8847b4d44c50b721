"""Images -> explanations: a prediction with one heatmap for every feature that contributed to it.

Source: Oramas, Wang and Tuytelaars, ICLR 2019, section 3.2, and their released code. For the predicted class c and the
descriptor x of an image, feature i contributes x_i w_ic / ||w_c||_1. Of the positive contributions the largest few are
led back to the pixels, each from its own activation map with zeros in all other channels.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vebi.backprop.feature_maps import back_from, forward_graph
from vebi.backprop.graph_audit import walk
from vebi.backprop.rules import check_rule
from vebi.data.collections import Images
from vebi.data.folders import gather
from vebi.data.loader import batches, report_skipped
from vebi.data.sources import open_images
from vebi.errors import ImageError, UsageError
from vebi.explanation.contributions import contributors, tapped
from vebi.explanation.result import Evidence, Explanation
from vebi.interpretation.result import Interpretation
from vebi.progress import Progress


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
