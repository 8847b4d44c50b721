"""Grad-CAM (Selvaraju et al., ICCV 2017)."""

from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from vebi.baselines.cam import check_interpolation, enlarge, evidence, find_layer
from vebi.classifier import Classifier


@dataclass(frozen=True)
class GradCam:
    """The positive part of the layer's activations, weighted by the mean derivative of their channel (equations 1, 2).

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
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        return enlarge((weights * activation).sum(dim=1).clamp(min=0), images, self.interpolation)
