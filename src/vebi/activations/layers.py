"""Layers and channels of a network, by name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from vebi.activations.recorder import ACTIVATIONS, ActivationRecorder
from vebi.errors import UsageError, require
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
    functions = set(ACTIVATIONS.values())

    def to_layer(name: str, kind: str, output: Tensor) -> Layer | None:
        if output.ndim not in (2, 4) or len(output) != 1:  # no row for every image, such as windows or tokens
            return None
        height, width = output.shape[2:] if output.ndim == 4 else (1, 1)
        return Layer(name, kind, output.shape[1], height, width, kind in functions)

    with (
        classifier.evaluation(),
        torch.no_grad(),
        ActivationRecorder(classifier.model, None, to_layer) as recorder,
    ):
        classifier.logits(classifier.zero_input())
    return [layer for layer in recorder.records.values() if layer is not None]


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

    Args:
        classifier: The model.
        patterns: Names or globs such as ``layer3.*``, one or several; or ``all`` activation functions, those that are
            ``spatial``, with more than one position, or the ``late`` ones, the second half. None is ``all``.

    Returns:
        Every layer that matches any of the patterns, once.

    Raises:
        UsageError: A pattern matches no layer, or none is given and the network has no activation function.
    """
    layers = list_layers(classifier)
    chosen: set[str] = set()
    for pattern in _as_list(patterns):
        require("a layer", pattern, str, "the name of one, or a glob, is needed")
        matches = {layer.name for layer in layers if fnmatchcase(layer.name, pattern)}
        if not matches and pattern in PRESETS:
            matches = {layer.name for layer in PRESETS[pattern]([layer for layer in layers if layer.is_activation])}
            if not matches:
                raise UsageError(
                    "the network has no activation function with N x C x H x W or N x C values: name the layers to "
                    "record"
                )
        if not matches:
            raise UsageError(f"no layer is called {pattern!r}: `vebi layers` lists those that can be recorded")
        chosen |= matches
    return tuple(layer for layer in layers if layer.name in chosen)
