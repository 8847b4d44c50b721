"""Gradients of the class score as they are: the gradient itself, input x gradient, and means of them."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop import heatmaps
from vebi.errors import UsageError
from vebi.methods.base import check_counts, score_gradient
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


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients: the input times the mean gradient on the straight way to it; summed over channels, signed.

    The way starts at the zero of the normalised input, the mean colour, and its integral is taken by the midpoint rule.
    As it gets finer, the sum of a map approaches the class score less that of the start (completeness).

    Attributes:
        classifier: The network.
        n_steps: Gradients per image, 1 or more.

    Raises:
        UsageError: No step.

    Reference:
        Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, equations 1 and 3.

    Example:
        >>> image, label = vebi.open_images("images").load(0)
        >>> inputs = classifier.preprocess.prepare(image)[None]
        >>> total = vebi.methods.IntegratedGradients(classifier)(inputs, torch.tensor([2])).sum()
        >>> difference = (classifier.logits(inputs) - classifier.logits(classifier.zero_input()))[0, 2]
        >>> bool((total / difference - 1).abs() < 0.05)
        True
    """

    classifier: Classifier = field(repr=False)
    n_steps: int = 32

    def __post_init__(self) -> None:
        check_counts(n_steps=self.n_steps)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``."""
        images = images.detach().to(self.classifier.device)
        total = torch.zeros_like(images)
        for k in range(self.n_steps):
            total = total + score_gradient(self.classifier, (k + 0.5) / self.n_steps * images, targets)
        return heatmaps.channel_sum(total / self.n_steps * images)


@dataclass(frozen=True)
class SmoothGrad:
    """SmoothGrad: the mean of the maps of ``Gradient`` over copies of an image with Gaussian noise.

    The noise is drawn once, the same for every image, and scaled to each.

    Attributes:
        classifier: The network.
        n_samples: Noisy copies per image, 1 or more.
        noise: Standard deviation of the noise as a share of the range (max - min) of the normalised input, 0 or more.
        seed: Of the noise.

    Raises:
        UsageError: No sample, or a noise below 0.

    Reference:
        Smilkov et al., "SmoothGrad: Removing Noise by Adding Noise", 2017, sections 2.2 and 3.2.

    Example:
        >>> smooth = vebi.methods.SmoothGrad(classifier, n_samples=4)
        >>> smooth
        SmoothGrad(n_samples=4, noise=0.15, seed=0)
        >>> smooth(torch.randn(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    classifier: Classifier = field(repr=False)
    n_samples: int = 16
    noise: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(n_samples=self.n_samples)
        if not self.noise >= 0:
            raise UsageError(f"noise is {self.noise}: give 0 or more, a share of the range of the input")

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``; zero or above."""
        images = images.detach().to(self.classifier.device)
        deviation = self.noise * (images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True))
        chance = torch.Generator().manual_seed(self.seed)
        total = torch.zeros_like(images[:, 0])
        for _ in range(self.n_samples):
            unit = torch.randn(images.shape[1:], generator=chance).to(images)
            gradient = score_gradient(self.classifier, images + deviation * unit, targets)
            total = total + heatmaps.channel_absmax(gradient)
        return total / self.n_samples
