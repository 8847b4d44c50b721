"""LayerCAM (Jiang et al., IEEE Transactions on Image Processing 2021)."""

from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from vebi.baselines.cam import check_interpolation, enlarge, evidence, find_layer
from vebi.classifier import Classifier


@dataclass(frozen=True)
class LayerCam:
    """The positive part of the layer's activations, each weighted by its own positive derivative (equations 7 to 9).

    ``layer`` and ``interpolation``: see ``GradCam``.
    """

    classifier: Classifier = field(repr=False)
    layer: str | None = None
    interpolation: str = "bilinear"

    def __post_init__(self):
        check_interpolation(self.interpolation)
        object.__setattr__(self, "layer", find_layer(self.classifier, self.layer))

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        activation, gradient = evidence(self.classifier, images, targets, self.layer)
        return enlarge((gradient.clamp(min=0) * activation).sum(dim=1).clamp(min=0), images, self.interpolation)
