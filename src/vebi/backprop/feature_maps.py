"""Features led back to the pixels of many pictures, in as few backward passes as there can be.

One forward graph serves all of them. The pictures of a batch do not touch each other, so one backward pass takes one
feature of every picture, from whichever layers; a second feature of the same picture needs another pass.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vebi.activations.layers import Feature
from vebi.activations.recorder import Keep, Recorder
from vebi.backprop import heatmaps
from vebi.backprop.rules import check_rule, pull_back
from vebi.data.loader import batches
from vebi.data.sources import open_images
from vebi.errors import UsageError
from vebi.models.classifier import Classifier, evaluating
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
    """Raw heatmaps of the same features in all images (a folder, a list of paths or a data set), whatever the class.

    Equal to the maps of single images and features. ``batch_size`` bounds the memory: a batch's activations are held
    at once. Raises UsageError for features that the network does not have, ImageError for an image that cannot be
    decoded.
    """
    check_rule(rule, stride_fix)
    collection = open_images(images, classifier.class_names)
    found, done = [], 0
    for batch in batches(collection, range(len(collection)), classifier.preprocess.prepare, batch_size, strict=True):
        found.append(lead_back(classifier, batch.inputs, features, rule=rule, stride_fix=stride_fix))
        done += len(batch.indices)
        if progress:
            progress(done, len(collection))
    return np.concatenate(found)


def lead_back(
    classifier: Classifier,
    inputs: Float[Tensor, "n c h w"],
    features: Sequence[Feature],
    *,
    rule: str = "guided",
    stride_fix: str | None = "centred",
) -> Float[np.ndarray, "n k h w"]:
    """The same of one prepared batch."""
    if not features:
        raise UsageError("no features are given: name at least one, as Feature('layer4', 3)")
    channels: dict[str, list[int]] = {}
    for feature in features:
        channels.setdefault(feature.layer, []).append(feature.channel)

    def keep(name: str, _kind: str, activation: Tensor) -> Tensor:
        if max(channels[name]) >= activation.shape[1] or min(channels[name]) < 0:
            raise UsageError(f"{name} has {activation.shape[1]} channels, so there is no {name}:{max(channels[name])}")
        return activation.detach().clone()

    with forward_graph(classifier, inputs, channels, keep) as (inputs, recorder, _):
        maps = back_from(recorder, inputs, [list(features)] * len(inputs), rule=rule, stride_fix=stride_fix)
    return np.stack([np.stack(of_one) for of_one in maps])


def _copy(_name: str, _kind: str, activation: Tensor) -> Tensor:
    """A copy, because the network may overwrite an activation that no backward formula needs."""
    return activation.detach().clone()


@contextmanager
def forward_graph(
    classifier: Classifier, inputs: Float[Tensor, "n c h w"], layers: Iterable[str] = (), keep: Keep = _copy
) -> Iterator[tuple[Float[Tensor, "n c h w"], Recorder, Float[Tensor, "n classes"]]]:
    """One forward pass of prepared inputs with gradients on: the inputs as a leaf of the graph, a recorder of the
    ``layers`` and the class scores."""
    with evaluating(classifier.module), torch.inference_mode(False), torch.enable_grad():
        inputs = leaf(classifier, inputs)
        with Recorder(classifier.module, layers, keep) as recorder:
            scores = classifier.scores(inputs.clone())  # a network may change its input in place
        yield inputs, recorder, scores


def leaf(classifier: Classifier, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """A copy of prepared inputs for a forward graph, where the classifier is. On a processor with channels last, in
    which order its convolutions and their backward passes run up to twice as fast."""
    last = torch.channels_last if classifier.device.type == "cpu" else torch.contiguous_format
    return inputs.detach().clone(memory_format=last).to(classifier.device).requires_grad_()


def back_from(
    recorder: Recorder,
    inputs: Float[Tensor, "n c h w"],
    wanted: Sequence[Sequence[Feature]],
    *,
    rule: str,
    stride_fix: str | None,
) -> list[list[Float[np.ndarray, "h w"]]]:
    """For every picture of a recorded batch the maps of the features wanted of it.

    Each picture's features are taken from the deepest to the shallowest, so that later passes go through ever fewer
    layers.
    """
    depth = {name: k for k, name in enumerate(recorder.kept)}
    orders = [sorted(range(len(some)), key=lambda i: -depth[some[i].layer]) for some in wanted]
    maps: list[list] = [[None] * len(some) for some in wanted]
    for k in range(max(map(len, wanted), default=0)):
        seeds: dict[str, Tensor] = {}
        taking = [n for n, order in enumerate(orders) if k < len(order)]
        for n in taking:
            layer, channel = (feature := wanted[n][orders[n][k]]).layer, feature.channel
            activation = recorder.kept[layer]
            seeds.setdefault(layer, torch.zeros_like(activation))[n, channel] = activation[n, channel]
        starts = [recorder.edges[layer] for layer in seeds]
        gradient = pull_back(starts, list(seeds.values()), inputs, rule=rule, stride_fix=stride_fix)
        found = heatmaps.from_gradient(gradient).cpu().numpy()
        for n in taking:
            maps[n][orders[n][k]] = found[n]
    return maps
