"""The class score backpropagated under a rule that modifies the gradient: guided backpropagation and the deconvnet."""

from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop import heatmaps
from vebi.backprop.rules import check_rule
from vebi.methods.base import score_gradient
from vebi.models.classifier import Classifier


@dataclass(frozen=True)
class ModifiedBackprop:
    """The class score backpropagated to the pixels under ``rule``.

    The input gradient is reduced to a map as vebi's own are, by ``heatmaps.positive_norm``.

    Attributes:
        classifier: The network.
        stride_fix: ``"centred"``, ``"nearest"``, or None for the method as published.

    Raises:
        UsageError: Another stride fix.
    """

    rule: ClassVar[str]
    classifier: Classifier = field(repr=False)
    stride_fix: str | None = None

    def __post_init__(self) -> None:
        check_rule(self.rule, self.stride_fix)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``; zero or above."""
        return heatmaps.positive_norm(
            score_gradient(self.classifier, images, targets, rule=self.rule, stride_fix=self.stride_fix)
        )


@dataclass(frozen=True)
class GuidedBackprop(ModifiedBackprop):
    """Guided backpropagation of the class score ("Deconv+GB").

    Attributes:
        classifier: The network.
        stride_fix: ``"centred"``, ``"nearest"``, or None for the method as published.

    Raises:
        UsageError: Another stride fix.

    Reference:
        Springenberg et al., "Striving for Simplicity: The All Convolutional Net", 2015, section 3.4.

    Example:
        >>> guided = vebi.methods.GuidedBackprop(classifier, stride_fix="centred")
        >>> guided(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    rule = "guided"


@dataclass(frozen=True)
class Deconvnet(ModifiedBackprop):
    """The deconvnet: the class score backpropagated under the deconvnet rule.

    Attributes:
        classifier: The network.
        stride_fix: ``"centred"``, ``"nearest"``, or None for the method as published.

    Raises:
        UsageError: Another stride fix.

    Reference:
        Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 2.1.

    Example:
        >>> deconvnet = vebi.methods.Deconvnet(classifier)
        >>> deconvnet(torch.zeros(2, 3, 32, 32), torch.tensor([0, 2])).shape
        torch.Size([2, 32, 32])
    """

    rule = "deconvnet"
