"""Guided Grad-CAM and Guided Grad-CAM++ (Selvaraju et al., ICCV 2017, section 3.2; Chattopadhyay et al., WACV 2018)."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop.rules import check_rule
from vebi.methods.cam import Cam
from vebi.methods.modified_backprop import GuidedBackprop


@dataclass(frozen=True)
class GuidedCam:
    """Guided backpropagation times a class activation map, pixel by pixel.

    ``stride_fix``: see ``backward``; None is the method as published.
    """

    cam: Cam
    stride_fix: str | None = None

    def __post_init__(self):
        check_rule("guided", self.stride_fix)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        guided = GuidedBackprop(self.cam.classifier, self.stride_fix)
        return guided(images, targets) * self.cam(images, targets)
