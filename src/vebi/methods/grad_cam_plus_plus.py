"""Grad-CAM++ (Chattopadhyay et al., WACV 2018)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vebi.methods.cam import Cam


@dataclass(frozen=True)
class GradCamPlusPlus(Cam):
    """Grad-CAM with pixel-wise weights: alpha = g^2 / (2 g^2 + g^3 sum A), and a channel's weight the sum of alpha
    max(g, 0) (equations 7 and 19, the score's exponential left out, which scales a map and nothing else).

    Where g is 0 so is alpha; elsewhere it is 1 / (2 + g sum A), free of the constant that other implementations add
    and that outweighs small derivatives.
    """

    @staticmethod
    def weigh(activation: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
        below = 2 + gradient * activation.sum(dim=(2, 3), keepdim=True)
        # only positive derivatives count; there the denominator is at least 2, unless activations are negative
        alpha = torch.where((gradient > 0) & (below != 0), 1 / torch.where(below == 0, 1, below), 0)
        weights = (alpha * gradient.clamp(min=0)).sum(dim=(2, 3), keepdim=True)
        return (weights * activation).sum(dim=1)
