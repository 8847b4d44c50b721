"""Layers and channels of a network, by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from vebi.activations.recorder import ACTIVATIONS, Recorder
from vebi.errors import UsageError
from vebi.models.classifier import Classifier, evaluating


@dataclass(frozen=True, order=True)
class Feature:
    """One channel of one layer."""

    layer: str
    channel: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.channel}"


@dataclass(frozen=True)
class Layer:
    """A place that can be tapped: ``channels`` maps of ``height`` x ``width``, 1 x 1 for a linear one."""

    name: str
    kind: str
    channels: int
    height: int
    width: int
    default: bool


def list_layers(classifier: Classifier) -> list[Layer]:
    """Every layer that can be tapped, in the order in which they end; activation functions are the default."""
    names = set(ACTIVATIONS.values())

    def describe(name: str, kind: str, output: Tensor) -> Layer | None:
        if output.ndim not in (2, 4) or len(output) != 1:  # no row for every picture, such as windows or tokens
            return None
        height, width = output.shape[2:] if output.ndim == 4 else (1, 1)
        return Layer(name, kind, output.shape[1], height, width, kind in names)

    with evaluating(classifier.module), torch.no_grad():
        with Recorder(classifier.module, None, describe) as recorder:
            classifier.scores(classifier.blank())
    return [layer for layer in recorder.kept.values() if layer is not None]


def choose_layers(classifier: Classifier, patterns: str | Sequence[str] | None = None) -> tuple[Layer, ...]:
    """The layers that match the name or glob, or any of them; the activation functions where none are given.

    Raises UsageError for a pattern that matches nothing.
    """
    layers = list_layers(classifier)
    if isinstance(patterns, str):
        patterns = [patterns]
    if patterns is None:
        chosen = [layer for layer in layers if layer.default]
        if not chosen:
            raise UsageError(
                "the network has no activation function with N x C x H x W or N x C values: name the layers to tap"
            )
        return tuple(chosen)
    for pattern in patterns:
        if not any(fnmatchcase(layer.name, pattern) for layer in layers):
            raise UsageError(f"no layer is called {pattern!r}: `vebi layers` lists those that can be tapped")
    return tuple(layer for layer in layers if any(fnmatchcase(layer.name, p) for p in patterns))
