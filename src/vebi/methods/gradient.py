"""Gradients of the class score as they are: the gradient itself, and input x gradient."""

from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop import heatmaps
from vebi.methods.base import score_gradient
from vebi.models.classifier import Classifier


@dataclass(frozen=True)
class Gradient:
    """The gradient: the largest absolute derivative of the class score over the channels of a pixel.

    Attributes:
        classifier: The network.

    Reference:
        Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks: Visualising Image Classification Models
        and Saliency Maps", 2014, section 3.1.

    Example:
        >>> vebi.methods.Gradient(classifier)(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    classifier: Classifier = field(repr=False)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``; zero or above."""
        return heatmaps.channel_absmax(score_gradient(self.classifier, images, targets))


@dataclass(frozen=True)
class InputXGradient:
    """Input x gradient: the derivative of the class score times the normalised input, summed over channels; signed.

    Attributes:
        classifier: The network.

    Reference:
        Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating Activation
        Differences", 2016.

    Example:
        >>> maps = vebi.methods.InputXGradient(classifier)(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2]))
        >>> bool(maps.any())
        False
    """

    classifier: Classifier = field(repr=False)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``."""
        gradient = score_gradient(self.classifier, images, targets)
        return heatmaps.channel_sum(gradient * images.to(gradient.device))
