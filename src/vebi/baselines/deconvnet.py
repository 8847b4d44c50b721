"""The deconvnet (Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, section 2.1)."""

from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from vebi import heatmap
from vebi.backward import check_rule
from vebi.baselines.explainer import score_gradient
from vebi.classifier import Classifier


@dataclass(frozen=True)
class Deconvnet:
    """The class score led back under the deconvnet's rule, as a map by ``heatmap.from_gradient``.

    ``stride_fix``: see ``backward``; None is the method as published.
    """

    classifier: Classifier = field(repr=False)
    stride_fix: str | None = None

    def __post_init__(self):
        check_rule("deconvnet", self.stride_fix)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        return heatmap.from_gradient(
            score_gradient(self.classifier, images, targets, rule="deconvnet", stride_fix=self.stride_fix)
        )
