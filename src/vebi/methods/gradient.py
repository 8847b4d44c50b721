"""The gradient (Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2014, section 3.1)."""

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
