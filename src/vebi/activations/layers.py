"""Layers and channels of a network, by name."""

import hashlib
import json
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import astuple, dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from vebi.activations.class_maps import find_class_maps
from vebi.activations.detached import describe_detached, find_detached
from vebi.activations.recorder import ACTIVATIONS, ActivationRecorder
from vebi.errors import ModelError, UsageError, VebiWarning, require
from vebi.models.classifier import Classifier, check_classifier


@dataclass(frozen=True, order=True)
class Feature:
    """One channel of one layer.

    Attributes:
        layer: Name of the layer.
        channel: Index of the channel, from 0.

    Example:
        >>> print(vebi.Feature("layer3.1.relu", 87))
        layer3.1.relu:87
    """

    layer: str
    channel: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.channel}"


@dataclass(frozen=True)
class Layer:
    """A layer that can be recorded: N x C x H x W or N x C values.

    Attributes:
        name: Name of the module that computes it, followed by the name of the activation function where that is called
            as a function, and by ``#2`` for the second call within a forward pass.
        kind: Name of the activation function, or class of the module.
        channels: Number of channels.
        height: Rows of positions, 1 for N x C values.
        width: Columns of positions, 1 for N x C values.
        is_activation: Whether it is an activation function; these are recorded by default, see ``list_layers``.

    Example:
        >>> vebi.list_layers(classifier)[1]
        Layer(name='relu1', kind='relu', channels=8, height=16, width=16, is_activation=True)
    """

    name: str
    kind: str
    channels: int
    height: int
    width: int
    is_activation: bool

    @property
    def is_spatial(self) -> bool:
        """Whether it has more than one position."""
        return self.height * self.width > 1


def list_layers(classifier: Classifier) -> list[Layer]:
    """Every layer that can be recorded, in the order in which they end; `vebi layers` prints them.

    Recorded by default are the activation functions: ReLU, leaky ReLU, ELU, SiLU, GELU, tanh and their kin, those of
    fully connected layers included; not sigmoid and softmax.

    Args:
        classifier: The model; an input of zeros passes through it once.

    Returns:
        The layers with N x C x H x W or N x C values, N the number of images.

    Raises:
        ModelError: The outputs of the model are not the class scores that it needs to have.

    Example:
        >>> [layer.name for layer in vebi.list_layers(classifier) if layer.is_activation]
        ['relu1', 'relu']
    """
    check_classifier(classifier)
    with (
        classifier.evaluation(),
        torch.no_grad(),
        ActivationRecorder(classifier.model, None, describe_layer) as recorder,
    ):
        classifier.logits(classifier.zero_input())
    return [layer for layer in recorder.records.values() if layer is not None]


def hash_activations(classifier: Classifier) -> str:
    """A hash of the names, kinds and sizes of all activation functions: of what the code says and the weights do not.

    Args:
        classifier: The model.

    Raises:
        ModelError: The model fails.
    """
    functions = [astuple(layer) for layer in list_layers(classifier) if layer.is_activation]
    return hashlib.sha256(json.dumps(functions).encode()).hexdigest()


def describe_layer(name: str, kind: str, output: Tensor) -> Layer | None:
    """A layer by its output for one image; None of one without a row for every image, such as windows or tokens."""
    if output.ndim not in (2, 4) or len(output) != 1:
        return None
    height, width = output.shape[2:] if output.ndim == 4 else (1, 1)
    return Layer(name, kind, output.shape[1], height, width, kind in ACTIVATIONS.values())


#: Name -> what of the activation functions it stands for, where no layer has that name.
PRESETS: dict[str, Callable[[Sequence[Layer]], Sequence[Layer]]] = {
    "all": lambda activations: activations,
    "spatial": lambda activations: [layer for layer in activations if layer.is_spatial],
    "late": lambda activations: activations[len(activations) // 2 :],
}


def _as_list(patterns: str | Sequence[str] | None) -> list[str]:
    """One pattern or several as a list, that of all activation functions where there is none."""
    if isinstance(patterns, str) or not isinstance(patterns, Iterable):
        return ["all"] if patterns is None else [patterns]
    return list(patterns) or ["all"]


def choose_layers(classifier: Classifier, patterns: str | Sequence[str] | None = None) -> tuple[Layer, ...]:
    """The layers with the given names, in the order in which they end.

    What is a fixed function of single class scores, such as the last activation of SqueezeNet, is left out unless it is
    named: it would explain a class by its own score. So is what no gradient leads from to the image.

    Args:
        classifier: The model.
        patterns: Names; globs such as ``layer3.*``, which stand for activation functions where they match any; or
            ``all`` activation functions, those that are ``spatial``, with more than one position, or the ``late``
            ones, the second half. What begins with ``!`` is left out of what the others name. None is ``all``.

    Returns:
        Every layer that matches any of the patterns, once.

    Raises:
        UsageError: A pattern matches no layer, none is left, or none is given and the network has no activation
            function.
        ModelError: From one that is named, or from all of them, no gradient leads to the image.
    """
    layers = leading_layers(classifier, patterns)
    maps = _class_maps(classifier, layers, _as_list(patterns))
    left = tuple(layer for layer in layers if layer.name not in maps)
    if not left:
        raise UsageError(
            f"{', '.join(sorted(maps))} is the class scores themselves, and no other layer is left: name one"
        )
    return left


def leading_layers(classifier: Classifier, patterns: str | Sequence[str] | None = None) -> list[Layer]:
    """The layers that match and from which a gradient leads to the image; it is said which are left out, and why.

    Args:
        classifier: The model.
        patterns: See ``choose_layers``.

    Raises:
        UsageError: A pattern matches no layer, or none is left.
        ModelError: One that is named, or all, would be left out.
    """
    layers, named = match_layers(list_layers(classifier), patterns), _as_list(patterns)
    detached = find_detached(classifier, [layer.name for layer in layers])
    if not detached:
        return list(layers)
    asked = [name for name in detached if name in named]
    if asked or len(detached) == len(layers):
        raise ModelError(
            f"{describe_detached(detached, asked or list(detached))}, so no gradient leads from there to the image: "
            f"give a model that does not, or name other layers"
        )
    warnings.warn(
        f"{describe_detached(detached, list(detached))}, so no gradient leads from there to the image, and what is cut "
        f"off is left out",
        VebiWarning,
        stacklevel=3,
    )
    return [layer for layer in layers if layer.name not in detached]


def match_layers(layers: Sequence[Layer], patterns: str | Sequence[str] | None = None) -> list[Layer]:
    """Those of some layers that match, see ``choose_layers``, the class scores themselves included.

    Raises:
        UsageError: A pattern matches no layer, or none is left.
    """
    wanted, unwanted = list[str](), list[str]()
    for pattern in _as_list(patterns):
        require("a layer", pattern, str, "the name of one, or a glob, is needed")
        (unwanted if pattern.startswith("!") else wanted).append(pattern.removeprefix("!"))
    chosen = set().union(*(_matches(layers, pattern) for pattern in wanted or ["all"]))
    chosen -= set().union(*(_matches(layers, pattern, every=True) for pattern in unwanted))
    if not chosen:
        raise UsageError("no layer is left: name one that is not excluded")
    return [layer for layer in layers if layer.name in chosen]


def _matches(layers: Sequence[Layer], pattern: str, *, every: bool = False) -> set[str]:
    """The names that a pattern stands for: of a glob those of activation functions, where it matches any.

    With ``every`` those of other layers, too. Raises UsageError where there are none.
    """
    if any(layer.name == pattern for layer in layers):
        return {pattern}
    matches = [layer for layer in layers if fnmatchcase(layer.name, pattern)]
    activations = [layer for layer in layers if layer.is_activation]
    if not matches and pattern in PRESETS:
        matches = list(PRESETS[pattern](activations))
        if not matches:
            raise UsageError(
                "the network has no activation function with N x C x H x W or N x C values: name the layers to record"
            )
    if not matches:
        raise UsageError(f"no layer is called {pattern!r}: `vebi layers` lists those that can be recorded")
    of_functions = [layer for layer in matches if layer.is_activation]
    return {layer.name for layer in (matches if every else of_functions or matches)}


def _class_maps(classifier: Classifier, chosen: Sequence[Layer], named: Collection[str]) -> set[str]:
    """Layers that are the class scores themselves, and said to be left out; one that is named stays, and it is said."""
    classes = classifier.probe().classes
    of_classes = [layer.name for layer in chosen if layer.channels == classes]
    maps = find_class_maps(classifier, [layer.name for layer in chosen], of_classes)
    for name in sorted(maps):
        what = "explains classes by their own scores" if name in named else "is left out"
        warnings.warn(
            f"the layer {name} is the class scores themselves, or made of them alone, and {what}",
            VebiWarning,
            stacklevel=4,
        )
    return maps - set(named)
