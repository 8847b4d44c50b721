"""Images -> explanations: a prediction with one heatmap for each feature that contributed to it.

Source: Oramas, Wang and Tuytelaars, ICLR 2019, section 3.2, and their released code. For the predicted class c and the
descriptor x of an image as it was fitted, feature i contributes x_i w_ic / ||w_c||_1. Of the positive contributions the
largest few are taken back to the pixels, each from its own activation map with zeros in all other channels.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vebi.activations.layers import Feature
from vebi.activations.recorder import ActivationRecorder
from vebi.backprop import heatmaps
from vebi.backprop.feature_maps import backprop_features, forward_graph
from vebi.backprop.graph_audit import audit_graph
from vebi.data.collections import ImageCollection
from vebi.data.loader import batches, check_batch_size, report_skipped
from vebi.data.sources import is_image, open_unlabelled
from vebi.errors import ImageError, UsageError, as_count, check_progress, require
from vebi.explanation.contrast import make_gates
from vebi.explanation.contributions import descriptor_layers, top_contributions
from vebi.explanation.recipe import Recipe
from vebi.explanation.result import Evidence, Explanation
from vebi.interpretation.result import Interpretation, check_interpretation
from vebi.progress import Progress


@dataclass(frozen=True)
class ExplainOptions:
    """How images are explained.

    Attributes:
        max_features: Heatmaps per image, at most; 1 or more.
        recipe: How heatmaps are made.

    Raises:
        UsageError: No heatmap is asked for.
    """

    max_features: int = 3
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_features", as_count("max_features", self.max_features))
        require("recipe", self.recipe, Recipe, "a vebi.Recipe is needed: make one, as vebi.Recipe.paper()")


def explain(
    interpretation: Interpretation,
    image: Any,
    *,
    target: str | None = None,
    max_features: int = 3,
    recipe: Recipe = Recipe(),
) -> Explanation:
    """Explains the prediction for one image with one heatmap for each feature that contributed to it.

    For class c with the weights w_c, feature i contributes x_i w_ic / ||w_c||_1, where x is the descriptor of the image
    as it was fitted: less its mean over the images of the fit, unless that of the paper was. The features of the
    largest positive contributions are backpropagated: the backward pass of each starts with grad_output = the
    activation map of its channel, and zeros elsewhere. The recipe says what of that pass is the heatmap. Where no
    feature of the class is stronger than usual, those that are most present are shown, see ``Evidence``.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        image: A path, a Pillow image, an H x W (x 3) uint8 array, or a C x H x W float tensor that is already
            preprocessed, see ``open_images``.
        target: The class to explain, by name; by default the predicted one.
        max_features: Heatmaps at most, those of the largest contributions; 1 or more.
        recipe: How heatmaps are made, see ``Recipe``.

    Returns:
        The prediction and its evidence.

    Raises:
        UsageError: An option has a value that does not exist, the interpretation has no classifier attached, or
            ``image`` is a folder or holds many images.
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
    options, target_index = ExplainOptions(max_features, recipe), _target_index(interpretation, target)
    if not is_image(image):
        kind = f"{image} is a folder" if isinstance(image, str | os.PathLike) else f"image is a {type(image).__name__}"
        raise UsageError(
            f"{kind}, but explain takes one image (a path, a Pillow image, an array or a tensor): "
            f"use explain_each for many"
        )
    images = image if isinstance(image, str | os.PathLike) else [image]
    collection = open_unlabelled(images, interpretation.class_names, interpretation.settings.class_ids)
    (explanation,) = _stream(interpretation, collection, target_index, options, batch_size=1, strict=True)
    return explanation


def explain_each(
    interpretation: Interpretation,
    images: Any,
    *,
    target: str | None = None,
    max_features: int = 3,
    recipe: Recipe = Recipe(),
    batch_size: int = 32,
    strict: bool = False,
    progress: Progress | None = None,
) -> Iterator[Explanation]:
    """Explains many images in order; each explanation is there as soon as its batch is done.

    Options, and whether a file or folder exists, are checked at the call; the files of a list are opened during the
    iteration. An image that cannot be decoded then raises, with ``strict``, or is skipped: a warning at the end of the
    iteration names it. Skipped images yield nothing: match explanations to images by ``image_id``.
    `vebi explain` writes the explanations of files into a folder, see ``write_gallery``.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        images: A folder (all images in it, whatever its folders are called), a list of paths or of images as
            ``explain`` takes them, or a sized, indexable data set of (image, label), whose labels are not used.
        target: The class to explain in all of them, by name; by default the predicted one of each image.
        max_features: Heatmaps per image at most, those of the largest contributions; 1 or more.
        recipe: How heatmaps are made, see ``Recipe``.
        batch_size: Images per forward pass, 1 or more.
        strict: Whether an image that cannot be decoded is an error, instead of skipped with a warning at the end.
        progress: Called with (images done, images) after each batch.

    Yields:
        The explanations, see ``explain``.

    Raises:
        UsageError: An option has a value that does not exist, or the interpretation has no classifier attached.
        InputError: The file or folder does not exist, or there are no images.
        ImageError: None of the images can be decoded, or, with ``strict``, one of them cannot.

    Example:
        >>> explanations = vebi.explain_each(interpretation, "images/blue", batch_size=8)
        >>> [explanation.prediction for explanation in explanations][:2]
        ['blue', 'blue']
    """
    options, target_index = ExplainOptions(max_features, recipe), _target_index(interpretation, target)
    batch_size = check_batch_size(batch_size)
    check_progress(progress)
    collection = open_unlabelled(images, interpretation.class_names, interpretation.settings.class_ids)
    return _stream(interpretation, collection, target_index, options, batch_size, strict, progress)


def _target_index(interpretation: Interpretation, target: str | None) -> int | None:
    """The index of the class to explain. Raises UsageError where there is no such class, or no model."""
    check_interpretation(interpretation)
    interpretation.require_classifier()
    return None if target is None else interpretation.class_index(target)


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
    """Explains one preprocessed batch.

    One forward graph serves all images; there are as many backward passes as an image has features, and one for the
    contrast of classes.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        inputs: n x c x h x w, as ``Preprocess.prepare`` makes them.
        ids: n names of images, for ``Explanation.image_id``.
        targets: n class indices to explain, by default the predicted ones.
        options: How to explain.

    Returns:
        One explanation for each image.

    Raises:
        UsageError: The interpretation has no classifier attached.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.2.
    """
    classifier = interpretation.require_classifier()
    with forward_graph(classifier, inputs, descriptor_layers(interpretation)) as (inputs, recorder, logits):
        predicted = logits.argmax(dim=1).tolist()
        probabilities = classifier.probabilities(logits).amax(dim=1).tolist()
        target_indices = predicted if targets is None else list(targets)
        top, maps, levels = evidence_maps(interpretation, inputs, recorder, logits, target_indices, options)
        starts = [recorder.gradient_edges[layer] for layer in dict.fromkeys(f.layer for row in top for f, _ in row)]
        findings = audit_graph(starts, inputs, recorder.node_modules, options.recipe.rule, options.recipe.pool_fix)
    names = interpretation.class_names
    return [
        Explanation(
            image_id=ids[n],
            prediction=names[predicted[n]],
            probability=probabilities[n],
            target=names[target_indices[n]],
            evidence=tuple(
                Evidence(feature, contribution, heatmap, before)
                for (feature, contribution), heatmap, before in zip(top[n], maps[n], levels[n], strict=True)
            ),
            audit=findings,
            combination=options.recipe.combination,
            image=classifier.preprocess.to_rgb_uint8(inputs[n].detach()),
        )
        for n in range(len(inputs))
    ]


def evidence_maps(
    interpretation: Interpretation,
    inputs: Float[Tensor, "n c h w"],
    recorder: ActivationRecorder[Tensor],
    logits: Float[Tensor, "n classes"],
    targets: Sequence[int],
    options: ExplainOptions,
) -> tuple[list[list[tuple[Feature, float]]], list[list[Float[np.ndarray, "h w"]]], list[list[heatmaps.Levels]]]:
    """The features that contribute to each image of a recorded batch, and their heatmaps.

    Args:
        interpretation: What the model has learned.
        inputs: The leaf of the graph.
        recorder: Of the forward pass, with the layers of the descriptor.
        logits: The class scores, with their graph.
        targets: The class to explain of each image.
        options: How to explain.

    Returns:
        For each image (feature, contribution), the largest first; as many heatmaps; and what these were before they
        were kept to the class.
    """
    recipe = options.recipe
    top = top_contributions(interpretation, recorder, targets, options.max_features)
    features = [[feature for feature, _ in contributions] for contributions in top]
    maps = backprop_features(
        recorder,
        inputs,
        features,
        rule=recipe.rule,
        stride_fix=recipe.stride_fix,
        pool_fix=recipe.pool_fix,
        reading=recipe.reading,
    )
    levels = [[heatmaps.levels_of(heatmap) for heatmap in row] for row in maps]
    if recipe.contrast and any(maps):
        gates = make_gates(recorder, logits, targets, inputs.shape[2:]).cpu()
        maps = [[gates.apply(n, heatmap) for heatmap in row] for n, row in enumerate(maps)]
    return top, maps, levels
