"""Class activation maps (Grad-CAM, Grad-CAM++, LayerCAM) and what they share: the layer, its gradient, the way up."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vebi.activations.layers import Layer, choose_layers, list_layers
from vebi.backprop.feature_maps import forward_graph
from vebi.errors import UsageError
from vebi.methods.base import one_of_each
from vebi.models.classifier import Classifier

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True)
class Cam(ABC):
    """A class activation map: the positive part of what ``weigh`` makes of a layer, enlarged to the pictures.

    ``layer``: see ``find_layer``. ``interpolation`` enlarges the map: nearest, bilinear or bicubic.
    """

    classifier: Classifier = field(repr=False)
    layer: str | None = None
    interpolation: str = "bilinear"

    def __post_init__(self):
        check_interpolation(self.interpolation)
        object.__setattr__(self, "layer", find_layer(self.classifier, self.layer))

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        activation, gradient = evidence(self.classifier, images, targets, self.layer)
        return enlarge(self.weigh(activation, gradient).clamp(min=0), images, self.interpolation)

    @staticmethod
    @abstractmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        """One map of a layer's activations and the derivatives of the class score with respect to them."""


def find_layer(classifier: Classifier, name: str | None = None) -> str:
    """The layer that a class activation map is made of: the one named, else one that is found.

    Found is the last layer with as many positions as the last activation function that still has more than one. That
    is the last convolutional layer of Selvaraju et al. (2017), behind its activation function and in front of any
    pooling, and where branches end there, what a module makes of them.
    Raises UsageError where there is no such activation function, or where the layer named has no maps.
    """
    if name is not None:
        chosen = choose_layers(classifier, name)
        if len(chosen) != 1 or not _is_map(chosen[0]):
            raise UsageError(f"{name!r} names no single layer with maps of more than one position: see `vebi layers`")
        return chosen[0].name
    # pictures are square, so what is not holds something else, as tokens or channels in another place
    layers = [layer for layer in list_layers(classifier) if _is_map(layer) and layer.height == layer.width]
    last = next((layer for layer in reversed(layers) if layer.default), None)
    if last is None:
        raise UsageError(
            "the network has no activation function with N x C x H x W maps, of which a class activation map is made: "
            "name a layer, `vebi layers` lists them"
        )
    return next(layer.name for layer in reversed(layers) if layer.height == last.height)


def _is_map(layer: Layer) -> bool:
    return layer.height * layer.width > 1


def evidence(
    classifier: Classifier, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"], layer: str
) -> tuple[Float[Tensor, "n k u v"], Float[Tensor, "n k u v"]]:
    """The activations of a layer and the derivatives of the class scores, before any softmax, with respect to them."""
    with forward_graph(classifier, images, [layer]) as (_, recorder, scores):
        (gradient,) = torch.autograd.grad(scores, [recorder.edges[layer]], one_of_each(scores, targets))
        return recorder.kept[layer], gradient


def enlarge(
    cam: Float[Tensor, "n u v"], images: Float[Tensor, "n c h w"], interpolation: str
) -> Float[Tensor, "n h w"]:
    """A map of a layer at the resolution of the pictures."""
    if cam.shape[1:] == (1, 1):  # to interpolate between equal numbers leaves rounding errors, which scaling would show
        return cam.expand(-1, *images.shape[2:])
    corners = None if interpolation == "nearest" else False
    return F.interpolate(cam[:, None], images.shape[2:], mode=interpolation, align_corners=corners)[:, 0]


def check_interpolation(name: str) -> None:
    if name not in INTERPOLATIONS:
        raise UsageError(f"interpolation is {name!r}: choose one of {', '.join(INTERPOLATIONS)}")


@dataclass(frozen=True)
class GradCam(Cam):
    """The layer's activations, weighted by the mean derivative of their channel (equations 1 and 2)."""

    @staticmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        return (gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1)


@dataclass(frozen=True)
class GradCamPlusPlus(Cam):
    """Grad-CAM with pixel-wise weights: alpha = g^2 / (2 g^2 + g^3 sum A), and a channel's weight the sum of alpha
    max(g, 0) (equations 7 and 19, the score's exponential left out, which scales a map and nothing else).

    Where g is 0 so is alpha; elsewhere it is 1 / (2 + g sum A), free of the constant that other implementations add
    and that outweighs small derivatives.
    """

    @staticmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        below = 2 + gradient * activation.sum(dim=(2, 3), keepdim=True)
        # only positive derivatives count; there the denominator is at least 2, unless activations are negative
        alpha = torch.where((gradient > 0) & (below != 0), 1 / torch.where(below == 0, 1, below), 0)
        weights = (alpha * gradient.clamp(min=0)).sum(dim=(2, 3), keepdim=True)
        return (weights * activation).sum(dim=1)


@dataclass(frozen=True)
class LayerCam(Cam):
    """The layer's activations, each weighted by its own positive derivative (equations 7 to 9)."""

    @staticmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        return (gradient.clamp(min=0) * activation).sum(dim=1)
