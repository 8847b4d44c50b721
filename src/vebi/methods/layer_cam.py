"""LayerCAM (Jiang et al., IEEE Transactions on Image Processing 2021)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from vebi.methods.cam import Cam


@dataclass(frozen=True)
class LayerCam(Cam):
    """The layer's activations, each weighted by its own positive derivative (equations 7 to 9)."""

    @staticmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        return (gradient.clamp(min=0) * activation).sum(dim=1)
