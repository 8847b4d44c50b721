"""The class score taken back to the pixels under a modified rule: guided backpropagation and the deconvnet."""

from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop import heatmaps
from vebi.backprop.rules import check_rule
from vebi.methods.base import score_gradient
from vebi.models.classifier import Classifier


@dataclass(frozen=True)
class LedBack:
    """The class score led back to the pixels under a ``rule``, as a map by the same reduction as vebi's own
    (``heatmaps.from_gradient``).

    ``stride_fix``: see ``backward``; None is the method as published.
    """

    rule: ClassVar[str]
    classifier: Classifier = field(repr=False)
    stride_fix: str | None = None

    def __post_init__(self):
        check_rule(self.rule, self.stride_fix)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        return heatmaps.from_gradient(
            score_gradient(self.classifier, images, targets, rule=self.rule, stride_fix=self.stride_fix)
        )


@dataclass(frozen=True)
class GuidedBackprop(LedBack):
    """The class score led back under the guided rule."""

    rule = "guided"


@dataclass(frozen=True)
class Deconvnet(LedBack):
    """The class score led back under the deconvnet's rule."""

    rule = "deconvnet"
