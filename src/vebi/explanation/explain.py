"""Images -> explanations: a prediction with one heatmap for each feature that contributed to it.

Source: Oramas, Wang and Tuytelaars, ICLR 2019, section 3.2, and their released code. For the predicted class c and the
descriptor x of an image, feature i contributes x_i w_ic / ||w_c||_1. Of the positive contributions the largest few are
taken back to the pixels, each from its own activation map with zeros in all other channels.
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

from vebi.backprop.feature_maps import backprop_features, forward_graph
from vebi.backprop.graph_audit import audit_graph
from vebi.backprop.rules import check_rule
from vebi.data.collections import ImageCollection
from vebi.data.folders import expand_paths
from vebi.data.loader import batches, check_batch_size, report_skipped
from vebi.data.sources import open_images
from vebi.errors import ImageError, UsageError, join_names
from vebi.explanation.contributions import descriptor_layers, top_contributions
from vebi.explanation.result import Evidence, Explanation
from vebi.interpretation.result import Interpretation
from vebi.progress import Progress


@dataclass(frozen=True)
class ExplainOptions:
    """How images are explained.

    Attributes:
        max_features: Heatmaps per image, at most; 1 or more.
        rule: Backprop rule: ``"guided"``, ``"deconvnet"`` or ``"gradient"``, see ``vebi.backprop.rules``.
        stride_fix: ``"centred"``, ``"nearest"`` or None, see ``vebi.backprop.stride_fix``.

    Raises:
        UsageError: An option has a value that does not exist.
    """

    max_features: int = 3
    rule: str = "guided"
    stride_fix: str | None = "centred"

    def __post_init__(self) -> None:
        if self.max_features < 1:
            raise UsageError(f"max_features is {self.max_features}, but at least one heatmap is needed")
        check_rule(self.rule, self.stride_fix)


def explain(
    interpretation: Interpretation,
    image: Any,
    *,
    target: str | None = None,
    max_features: int = 3,
    rule: str = "guided",
    stride_fix: str | None = "centred",
) -> Explanation:
    """Explains the prediction for one image with one heatmap for each feature that contributed to it.

    Args:
        interpretation: What the model has learned, bound to the model.
        image: A path, a Pillow image, an H x W (x 3) uint8 array, or a C x H x W float tensor that is ready for the
            network.
        target: The class to explain, by name; by default the predicted one.
        max_features: Heatmaps at most, those of the largest contributions; 1 or more.
        rule: Backprop rule: ``"guided"``, ``"deconvnet"`` or ``"gradient"``.
        stride_fix: Against the grid artefacts of strided operations: ``"centred"``, ``"nearest"`` or None.

    Returns:
        The prediction and its evidence.

    Raises:
        UsageError: An option has a value that does not exist, the interpretation is bound to no model, or ``image`` is
            a folder or holds many images.
        InputError: The image does not exist.
        ImageError: The image cannot be decoded.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.2.

    Example:
        >>> explanation = vebi.explain(interpretation, "images/red/00.png")
        >>> explanation.prediction
        'red'
        >>> explanation.evidence[0].heatmap.shape
        (32, 32)
    """
    options, target_index = ExplainOptions(max_features, rule, stride_fix), _target_index(interpretation, target)
    if not _is_image(image):
        kind = f"{image} is a folder" if isinstance(image, str | os.PathLike) else f"image is a {type(image).__name__}"
        raise UsageError(
            f"{kind}, but explain takes one image (a path, a Pillow image, an array or a tensor): "
            f"use explain_each for many"
        )
    collection = _collection(image if isinstance(image, str | os.PathLike) else [image], interpretation.class_names)
    (explanation,) = _stream(interpretation, collection, target_index, options, batch_size=1, strict=True)
    return explanation


def explain_each(
    interpretation: Interpretation,
    images: Any,
    *,
    target: str | None = None,
    max_features: int = 3,
    rule: str = "guided",
    stride_fix: str | None = "centred",
    batch_size: int = 32,
    strict: bool = False,
    progress: Progress | None = None,
) -> Iterator[Explanation]:
    """Explains many images in order; each explanation is there as soon as its batch is done.

    Options and images are checked at the call, not when the first explanation is asked for.

    Args:
        interpretation: What the model has learned, bound to the model.
        images: A folder (all images in it, whatever its folders are called), a list of paths or images, or a sized,
            indexable data set of (image, label).
        target: The class to explain in all of them, by name; by default the predicted one of each image.
        max_features: Heatmaps per image at most, those of the largest contributions; 1 or more.
        rule: Backprop rule: ``"guided"``, ``"deconvnet"`` or ``"gradient"``.
        stride_fix: Against the grid artefacts of strided operations: ``"centred"``, ``"nearest"`` or None.
        batch_size: Images per forward pass, 1 or more.
        strict: Whether an image that cannot be decoded is an error, instead of skipped with a warning at the end.
        progress: Called with (images done, images) after each batch.

    Yields:
        The explanations.

    Raises:
        UsageError: An option has a value that does not exist, or the interpretation is bound to no model.
        InputError: An image does not exist, or there are none.
        ImageError: None of the images can be decoded, or, with ``strict``, one of them cannot.

    Example:
        >>> explanations = vebi.explain_each(interpretation, "images/blue", batch_size=8)
        >>> [explanation.prediction for explanation in explanations][:2]
        ['blue', 'blue']
    """
    options, target_index = ExplainOptions(max_features, rule, stride_fix), _target_index(interpretation, target)
    check_batch_size(batch_size)
    collection = _collection(images, interpretation.class_names)
    return _stream(interpretation, collection, target_index, options, batch_size, strict, progress)


def _target_index(interpretation: Interpretation, target: str | None) -> int | None:
    """The index of the class to explain. Raises UsageError where there is no such class, or no model."""
    interpretation.require_classifier()
    if target is not None and target not in interpretation.class_names:
        raise UsageError(
            f"there is no class {target!r}: the model's classes are {join_names(interpretation.class_names)}"
        )
    return None if target is None else interpretation.class_names.index(target)


def _is_image(item: Any) -> bool:
    """Whether this is one image; a batch of arrays or tensors has one dimension more."""
    if isinstance(item, str | os.PathLike):
        return not Path(item).is_dir()
    return isinstance(item, Image.Image) or (isinstance(item, np.ndarray | Tensor) and item.ndim in (2, 3))


def _collection(images: Any, class_names: tuple[str, ...]) -> ImageCollection:
    """The images as a collection. Labels do not matter, nor whether folders are named as classes."""
    if isinstance(images, str | os.PathLike):
        images = expand_paths([images])
    elif not isinstance(images, ImageCollection) and hasattr(images, "__len__") and len(images):
        first = images[0]
        if _is_image(first) and not isinstance(first, str | os.PathLike):
            images = [(image, 0) for image in images]
    return open_images(images, class_names)


def _stream(
    interpretation: Interpretation,
    collection: ImageCollection,
    target_index: int | None,
    options: ExplainOptions,
    batch_size: int,
    strict: bool,
    progress: Progress | None = None,
) -> Iterator[Explanation]:
    """The explanations of a collection, batch by batch."""
    preprocess = interpretation.require_classifier().preprocess
    skipped: list[tuple[str, str]] = []
    done = 0
    for batch in batches(collection, range(len(collection)), preprocess.prepare, batch_size, strict=strict):
        skipped += batch.skipped
        if batch.indices:
            targets = None if target_index is None else [target_index] * len(batch.indices)
            ids = [collection.ids[i] for i in batch.indices]
            yield from explain_batch(interpretation, batch.inputs, ids, targets, options)
        done += len(batch.indices) + len(batch.skipped)
        if progress:
            progress(done, len(collection))
    if len(skipped) == len(collection):
        raise ImageError(f"none of the {len(skipped)} images could be decoded, first: {skipped[0][1]}")
    report_skipped(skipped, len(collection))


def explain_batch(
    interpretation: Interpretation,
    inputs: Float[Tensor, "n c h w"],
    ids: Sequence[str],
    targets: Sequence[int] | None = None,
    options: ExplainOptions = ExplainOptions(),
) -> list[Explanation]:
    """Explains one prepared batch.

    One forward graph serves all images; there are as many backward passes as an image has features, not more.

    Args:
        interpretation: What the model has learned, bound to the model.
        inputs: n x c x h x w, as ``Preprocess.prepare`` makes them.
        ids: n names of images, for ``Explanation.image_id``.
        targets: n class indices to explain, by default the predicted ones.
        options: How to explain.

    Returns:
        One explanation for each image.

    Raises:
        UsageError: The interpretation is bound to no model.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.2.
    """
    classifier = interpretation.require_classifier()
    with forward_graph(classifier, inputs, descriptor_layers(interpretation)) as (inputs, recorder, logits):
        predicted = logits.argmax(dim=1).tolist()
        probabilities = logits.softmax(dim=1).amax(dim=1).tolist()
        target_indices = predicted if targets is None else list(targets)
        top = top_contributions(interpretation, recorder, target_indices, options.max_features)
        features = [[feature for feature, _ in contributions] for contributions in top]
        maps = backprop_features(recorder, inputs, features, rule=options.rule, stride_fix=options.stride_fix)
        starts = [recorder.gradient_edges[layer] for layer in dict.fromkeys(f.layer for row in features for f in row)]
        findings = audit_graph(starts, inputs, recorder.node_modules, options.rule)
    names = interpretation.class_names
    return [
        Explanation(
            image_id=ids[n],
            prediction=names[predicted[n]],
            probability=probabilities[n],
            target=names[target_indices[n]],
            evidence=tuple(Evidence(f, c, heatmap) for (f, c), heatmap in zip(top[n], maps[n], strict=True)),
            audit=findings,
            image=classifier.preprocess.to_rgb_uint8(inputs[n].detach()),
        )
        for n in range(len(inputs))
    ]
