"""Grad-CAM (Selvaraju et al., ICCV 2017)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from vebi.methods.cam import Cam


@dataclass(frozen=True)
class GradCam(Cam):
    """The layer's activations, weighted by the mean derivative of their channel (equations 1 and 2)."""

    @staticmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        return (gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1)
