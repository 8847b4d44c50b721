"""Guided Grad-CAM and Guided Grad-CAM++ (Selvaraju et al., ICCV 2017, section 3.2; Chattopadhyay et al., WACV 2018)."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop.rules import check_rule
from vebi.methods.cam import Cam
from vebi.methods.modified_backprop import GuidedBackprop


@dataclass(frozen=True)
class GuidedCam:
    """Guided backpropagation times a class activation map, pixel by pixel: Guided Grad-CAM and its relatives.

    Attributes:
        cam: The class activation map.
        stride_fix: Of the guided part: ``"centred"``, ``"nearest"``, or None for the method as published.

    Raises:
        UsageError: Another stride fix.

    Reference:
        Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
        section 3.2; Chattopadhyay et al., "Grad-CAM++", WACV 2018.

    Example:
        >>> vebi.methods.GuidedCam(vebi.methods.GradCam(classifier))
        GuidedCam(cam=GradCam(layer='relu', interpolation='bilinear'), stride_fix=None)
    """

    cam: Cam
    stride_fix: str | None = None

    def __post_init__(self) -> None:
        check_rule("guided", self.stride_fix)

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The maps of the images for their targets, see ``Explainer``; zero or above."""
        guided = GuidedBackprop(self.cam.classifier, self.stride_fix)
        return guided(images, targets) * self.cam(images, targets)
