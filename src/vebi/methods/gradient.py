"""Gradients of the class score as they are: the gradient itself, and input x gradient."""

from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop import heatmaps
from vebi.methods.base import score_gradient
from vebi.models.classifier import Classifier


@dataclass(frozen=True)
class Gradient:
    """The largest absolute derivative of the class score over the colours of a pixel."""

    classifier: Classifier = field(repr=False)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        return heatmaps.strongest(score_gradient(self.classifier, images, targets))


@dataclass(frozen=True)
class InputXGradient:
    """The derivative of the class score times the normalised input, added over the colours; signed."""

    classifier: Classifier = field(repr=False)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        gradient = score_gradient(self.classifier, images, targets)
        return heatmaps.added(gradient * images.to(gradient.device))
