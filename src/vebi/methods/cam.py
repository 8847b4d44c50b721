"""Class activation maps (Grad-CAM, Grad-CAM++, LayerCAM) and what they share: the layer, its gradient, upsampling."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.activations.layers import list_layers, match_layers
from vebi.backprop.feature_maps import forward_graph
from vebi.backprop.heatmaps import upsample
from vebi.errors import UsageError
from vebi.methods.base import one_hot
from vebi.models.classifier import Classifier
from vebi.models.model_errors import errors_of_backward

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")

#: Class scores and targets -> where backpropagation starts.
Seed = Callable[[Float[Tensor, "n classes"], Int[Tensor, " n"]], Float[Tensor, "n classes"]]


@dataclass(frozen=True)
class Cam(ABC):
    """A class activation map: the positive part of what ``weigh`` makes of a layer, upsampled to the images.

    Attributes:
        classifier: The network.
        layer: Name of the layer, found where none is given; see ``find_layer``.
        interpolation: How the map is upsampled: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.

    Raises:
        UsageError: Another interpolation, or a layer without maps.
    """

    classifier: Classifier = field(repr=False)
    layer: str | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        check_interpolation(self.interpolation)
        object.__setattr__(self, "layer", find_layer(self.classifier, self.layer))

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``; zero or above."""
        assert self.layer is not None  # __post_init__ has found one
        activation, gradient = activations_and_gradients(self.classifier, images, targets, self.layer, self.seed)
        return upsample(self.weigh(activation, gradient).clamp(min=0), images.shape[2:], self.interpolation)

    def seed(self, scores: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n classes"]:
        """The derivatives of what is explained with respect to the class scores: by default it is the target's."""
        return one_hot(scores, targets)

    @staticmethod
    @abstractmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        """One map of a layer's activations and the derivatives of the class score with respect to them."""


@dataclass(frozen=True)
class GradCam(Cam):
    """Grad-CAM: a layer's activations, weighted by the mean derivative of their channel.

    Attributes:
        classifier: The network.
        layer: Name of the layer; by default the last convolutional one, behind its activation function.
        interpolation: How the map is upsampled: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.

    Raises:
        UsageError: Another interpolation, or a layer without maps.

    Reference:
        Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
        equations 1 and 2.

    Example:
        >>> grad_cam = vebi.methods.GradCam(classifier)
        >>> grad_cam
        GradCam(layer='relu', interpolation='bilinear')
        >>> grad_cam(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    @staticmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        """The sum over channels k of alpha_k A^k, alpha_k the mean of dy/dA^k (equations 1 and 2)."""
        return (gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1)


@dataclass(frozen=True)
class GradCamPlusPlus(Cam):
    """Grad-CAM++: a layer's activations, weighted by pixel-wise weighted positive derivatives of their channel.

    alpha = g^2 / (2 g^2 + g^3 sum A) at every position, and a channel's weight is the sum of alpha max(g, 0). The
    exponential of the score is left out: it scales a map and changes nothing else. Where the derivative g is 0 so is
    alpha; elsewhere it is 1 / (2 + g sum A), free of the constant that other implementations add and that outweighs
    small derivatives.

    Attributes:
        classifier: The network.
        layer: Name of the layer; by default the last convolutional one, behind its activation function.
        interpolation: How the map is upsampled: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.

    Raises:
        UsageError: Another interpolation, or a layer without maps.

    Reference:
        Chattopadhyay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep Convolutional
        Networks", WACV 2018, equations 7 and 19.

    Example:
        >>> vebi.methods.GradCamPlusPlus(classifier, layer="relu1")
        GradCamPlusPlus(layer='relu1', interpolation='bilinear')
    """

    @staticmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        """The sum over channels k of w_k A^k, w_k the sum of alpha max(g, 0) (equations 7 and 19)."""
        below = 2 + gradient * activation.sum(dim=(2, 3), keepdim=True)
        # only positive derivatives count; there the denominator is at least 2, unless activations are negative
        alpha = torch.where((gradient > 0) & (below != 0), 1 / torch.where(below == 0, 1, below), 0)
        weights = (alpha * gradient.clamp(min=0)).sum(dim=(2, 3), keepdim=True)
        return (weights * activation).sum(dim=1)


@dataclass(frozen=True)
class LayerCam(Cam):
    """LayerCAM: a layer's activations, each weighted by its own positive derivative.

    Attributes:
        classifier: The network.
        layer: Name of the layer; by default the last convolutional one, behind its activation function.
        interpolation: How the map is upsampled: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.

    Raises:
        UsageError: Another interpolation, or a layer without maps.

    Reference:
        Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE Transactions on
        Image Processing 2021, equations 7 to 9.

    Example:
        >>> vebi.methods.LayerCam(classifier, "relu1", "nearest")
        LayerCam(layer='relu1', interpolation='nearest')
    """

    @staticmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        """The sum over channels of max(g, 0) A (equations 7 to 9)."""
        return (gradient.clamp(min=0) * activation).sum(dim=1)


def find_layer(classifier: Classifier, name: str | None = None) -> str:
    """Finds the layer that a class activation map is made of.

    By default that is the last layer with as many positions as the last activation function that still has more than
    one: the last convolutional layer of Selvaraju et al. (2017), behind its activation function and in front of any
    pooling, and where branches end there, what a module makes of them.

    Args:
        classifier: The network.
        name: Name or glob of a layer to take instead.

    Returns:
        The name of the layer.

    Raises:
        UsageError: There is no such activation function, or ``name`` is no single layer with maps.
    """
    if name is not None:
        chosen = match_layers(list_layers(classifier), name)
        if len(chosen) != 1 or not chosen[0].is_spatial:
            raise UsageError(f"{name!r} names no single layer with maps of more than one position: see `vebi layers`")
        return chosen[0].name
    # images are square, so a layer that is not holds something else, such as tokens or channels on another axis
    layers = [layer for layer in list_layers(classifier) if layer.is_spatial and layer.height == layer.width]
    last = next((layer for layer in reversed(layers) if layer.is_activation), None)
    if last is None:
        raise UsageError(
            "the network has no activation function with N x C x H x W maps, of which a class activation map is made: "
            "name a layer, `vebi layers` lists them"
        )
    return next(layer.name for layer in reversed(layers) if layer.height == last.height)


def activations_and_gradients(
    classifier: Classifier,
    images: Float[Tensor, "n c h w"],
    targets: Int[Tensor, " n"],
    layer: str,
    seed: Seed = one_hot,
) -> tuple[Float[Tensor, "n k u v"], Float[Tensor, "n k u v"]]:
    """The activations of a layer and the derivatives of the class scores, before any softmax, with respect to them.

    Both are as wide as the images, whatever the network computes in.
    """
    with forward_graph(classifier, images, [layer]) as (_, recorder, scores):
        start = seed(scores.detach(), targets)
        with errors_of_backward():
            (gradient,) = torch.autograd.grad(scores, [recorder.gradient_edges[layer]], start)
        return recorder.records[layer].to(images.dtype), gradient.to(images.dtype)


def check_interpolation(name: str) -> None:
    """Raises UsageError for an interpolation that does not exist."""
    if name not in INTERPOLATIONS:
        raise UsageError(f"interpolation is {name!r}: choose one of {', '.join(INTERPOLATIONS)}")
