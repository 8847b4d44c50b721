"""Features taken back to the pixels of many images, in as few backward passes as possible.

One forward graph serves all of them. The images of a batch do not depend on each other, so one backward pass takes one
feature of every image, from whichever layers; a second feature of the same image needs another pass.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from vebi.activations.layers import Feature
from vebi.activations.recorder import ActivationRecorder, Keep
from vebi.backprop import heatmaps
from vebi.backprop.readings import blend_layers, check_reading, contribution
from vebi.backprop.rules import check_rule, require_gradient, rule_gradients
from vebi.data.loader import batches
from vebi.data.sources import open_unlabelled
from vebi.errors import ModelError, UsageError, as_count, check_progress, require
from vebi.models.classifier import Classifier, check_classifier
from vebi.models.evaluation import widen
from vebi.progress import Progress


def feature_maps(
    classifier: Classifier,
    images: Any,
    features: Sequence[Feature],
    *,
    rule: str = "guided",
    stride_fix: str | None = "centred",
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Float[np.ndarray, "n k h w"]:
    """Computes the raw heatmaps of the same features in all images, whatever their classes.

    The backward pass of a feature starts with grad_output = the activation map of its channel, and zeros elsewhere; its
    heatmap is sqrt(sum over input channels of max(g, 0)^2), where g is the input gradient. Batching does not change the
    maps, but for rounding.

    Args:
        classifier: The network.
        images: A folder (all images in it, whatever its folders are called), an image file, a list of paths or of
            images, or a sized, indexable data set of (image, label), whose labels are not used. An image is any that
            ``open_images`` takes.
        features: At least one.
        rule: Backprop rule, ``"guided"``, ``"deconvnet"`` or ``"gradient"``, see ``vebi.Recipe``.
        stride_fix: Against the checkerboard artefacts of strided operations, ``"centred"``, ``"nearest"`` or None, see
            ``vebi.Recipe``.
        batch_size: Images per forward pass, 1 or more. It limits the activations that are kept at once; the result
            takes 4 n k h w bytes in any case, and twice that while it is put together.
        progress: Called with (images done, images).

    Returns:
        n images x k features x h x w, float32, zero or above, at the network's input resolution.

    Raises:
        UsageError: An option that cannot be, no feature, or a channel that its layer does not have.
        ModelError: A layer that did not run, or from which no gradient leads to the image.
        InputError: There are no images.
        ImageError: An image cannot be decoded. That is always an error here, since rows must match images.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.2.

    Example:
        >>> features = [vebi.Feature("relu1", 2), vebi.Feature("relu", 0)]
        >>> vebi.feature_maps(classifier, "images/red", features).shape
        (24, 2, 32, 32)
    """
    check_classifier(classifier)
    check_rule(rule, stride_fix)
    check_progress(progress)
    features = _checked(features)
    collection = open_unlabelled(images, classifier.class_names, classifier.class_ids)
    maps: list[np.ndarray] = []
    done = 0
    for batch in batches(collection, range(len(collection)), classifier.preprocess.prepare, batch_size, strict=True):
        maps.append(batch_feature_maps(classifier, batch.inputs, features, rule=rule, stride_fix=stride_fix))
        done += len(batch.indices)
        if progress:
            progress(done, len(collection))
    return np.concatenate(maps)


def batch_feature_maps(
    classifier: Classifier,
    inputs: Float[Tensor, "n c h w"],
    features: Sequence[Feature],
    *,
    rule: str = "guided",
    stride_fix: str | None = "centred",
) -> Float[np.ndarray, "n k h w"]:
    """Computes the raw heatmaps of the same features in all images of one preprocessed batch.

    Args:
        classifier: The network.
        inputs: n x c x h x w, as ``Preprocess.prepare`` makes them.
        features: At least one.
        rule: See ``feature_maps``.
        stride_fix: See ``feature_maps``.

    Returns:
        Images x features x h x w, float32.

    Raises:
        UsageError: See ``feature_maps``.
    """
    channels: dict[str, list[int]] = {}
    for feature in features:
        channels.setdefault(feature.layer, []).append(feature.channel)

    def keep(name: str, _kind: str, activation: Tensor) -> Tensor:
        if max(channels[name]) >= activation.shape[1] or min(channels[name]) < 0:
            raise UsageError(f"{name} has {activation.shape[1]} channels, so there is no {name}:{max(channels[name])}")
        return _copy(name, _kind, activation)

    with forward_graph(classifier, inputs, channels, keep) as (inputs, recorder, _):
        maps = backprop_features(recorder, inputs, [list(features)] * len(inputs), rule=rule, stride_fix=stride_fix)
    return np.stack([np.stack(image_maps) for image_maps in maps])


def _checked(features: Sequence[Feature]) -> list[Feature]:
    """The features; raises UsageError where there are none, or other things."""
    needed = "a list of features is needed, at least one, as [vebi.Feature('layer4', 3)]"
    require("features", features, Iterable, needed)
    checked = list[Feature]()
    for feature in features:
        require("one of the features", feature, Feature, needed)
        require(f"the layer of {feature}", feature.layer, str, needed)
        checked.append(Feature(feature.layer, as_count(f"the channel of {feature}", feature.channel, least=0)))
    if not checked:
        raise UsageError(f"features is empty, but {needed}")
    return checked


def _copy(_name: str, _kind: str, activation: Tensor) -> Tensor:
    """A copy, because the network may overwrite an activation that no backward formula needs."""
    return widen(activation.detach().clone())


@contextmanager
def forward_graph(
    classifier: Classifier, inputs: Float[Tensor, "n c h w"], layers: Iterable[str] = (), keep: Keep[Tensor] = _copy
) -> Iterator[tuple[Float[Tensor, "n c h w"], ActivationRecorder[Tensor], Float[Tensor, "n classes"]]]:
    """One forward pass with gradients on, in evaluation mode, whose graph backward passes can use.

    Args:
        classifier: The network.
        inputs: Preprocessed images, n x c x h x w.
        layers: Names of the layers to record.
        keep: What to record of a layer, see ``ActivationRecorder``; by default a copy of its activations.

    Yields:
        The inputs as a leaf of the graph, the recorder and the class scores, n x classes.

    Raises:
        ModelError: A layer did not run, no gradient leads from it to the inputs, or the class scores cannot be used.
    """
    with classifier.evaluation(), torch.inference_mode(False), torch.enable_grad():
        inputs = leaf(classifier, inputs)
        with ActivationRecorder(classifier.model, layers, keep) as recorder:
            scores = classifier.logits(inputs.clone())  # a network may change its input in place
        if not scores.requires_grad:
            raise ModelError(
                "no gradient leads from the model's class scores to the image, it detaches them: let it return them "
                "with their graph"
            )
        yield inputs, recorder, scores


def leaf(classifier: Classifier, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Copies preprocessed inputs to where the classifier is, as the leaf of a graph.

    On a CPU with channels last: convolutions and their backward passes run up to twice as fast in this order.

    Args:
        classifier: The network.
        inputs: n x c x h x w.

    Returns:
        The copy, which requires a gradient.
    """
    last = torch.channels_last if classifier.device.type == "cpu" else torch.contiguous_format
    return inputs.detach().clone(memory_format=last).to(classifier.device).requires_grad_()


def spatial_layers(recorder: ActivationRecorder[Tensor]) -> list[str]:
    """The names of the recorded layers that have more than one position, in the order in which they ended."""
    return [name for name, a in recorder.records.items() if a.ndim == 4 and a[0, 0].numel() > 1]


def backprop_features(
    recorder: ActivationRecorder[Tensor],
    inputs: Float[Tensor, "n c h w"],
    features: Sequence[Sequence[Feature]],
    *,
    rule: str,
    stride_fix: str | None,
    pool_fix: bool = False,
    reading: str = "gradient",
) -> list[list[Float[np.ndarray, "h w"]]]:
    """Takes the features of each image of a recorded batch back to the pixels.

    Each starts from its own activation map, with zeros in all other channels.

    Args:
        recorder: Of the forward pass, with the activations of all layers that are named.
        inputs: The leaf of the graph, n x c x h x w.
        features: For each image the features to take back; they may differ.
        rule: Backprop rule.
        stride_fix: Stride fix or None.
        pool_fix: Whether max pooling is passed as average pooling is.
        reading: How a backward pass becomes a map, see ``vebi.backprop.readings``.

    Returns:
        For each image a raw heatmap of each of its features, h x w, float32.

    Raises:
        UsageError: A rule or stride fix that does not exist.
        ModelError: No gradient leads from a feature to the inputs.
    """
    check_reading(reading)
    layers = spatial_layers(recorder) if reading == "layers" else []
    ends = [get_gradient_edge(inputs), *(recorder.gradient_edges[name] for name in layers)]
    values = [inputs.detach(), *(recorder.records[name] for name in layers)]
    maps: dict[tuple[int, int], np.ndarray] = {}
    for backward_pass in _backward_passes(features, {name: k for k, name in enumerate(recorder.records)}):
        seeds: dict[str, Tensor] = {}
        for n, i in backward_pass:
            layer, channel = features[n][i].layer, features[n][i].channel
            activation = recorder.records[layer]
            if layer not in seeds:
                seeds[layer] = torch.zeros_like(activation)
            seeds[layer][n, channel] = activation[n, channel]
        starts = [recorder.gradient_edges[layer] for layer in seeds]
        gradients = rule_gradients(
            starts, list(seeds.values()), ends, rule=rule, stride_fix=stride_fix, pool_fix=pool_fix
        )
        read = _read(values, gradients, reading).float().cpu().numpy()
        maps |= {(n, i): read[n] for n, i in backward_pass}
    return [[maps[n, i] for i in range(len(row))] for n, row in enumerate(features)]


def _read(values: Sequence[Tensor], gradients: Sequence[Tensor | None], reading: str) -> Float[Tensor, "n h w"]:
    """The map of a backward pass; the first of values and gradients are those of the inputs."""
    if reading == "gradient":
        return heatmaps.positive_norm(require_gradient(gradients[0]))
    require_gradient(gradients[0])
    contributions = [contribution(a, g) for a, g in zip(values, gradients, strict=True) if g is not None]
    return contributions[0] if reading == "contribution" else blend_layers(contributions, values[0].shape[2:])


def _backward_passes(features: Sequence[Sequence[Feature]], depth: Mapping[str, int]) -> list[list[tuple[int, int]]]:
    """For each pass the images and the indices of the feature that each of them takes in it.

    The features of an image are taken from the deepest to the shallowest: later passes go through ever fewer layers.
    """
    orders = [sorted(range(len(row)), key=[-depth[feature.layer] for feature in row].__getitem__) for row in features]
    count = max(map(len, orders), default=0)
    return [[(n, order[k]) for n, order in enumerate(orders) if k < len(order)] for k in range(count)]
