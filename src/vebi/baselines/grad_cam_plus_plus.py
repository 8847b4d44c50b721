"""Grad-CAM++ (Chattopadhyay et al., WACV 2018)."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.baselines.cam import check_interpolation, enlarge, evidence, find_layer
from vebi.classifier import Classifier


@dataclass(frozen=True)
class GradCamPlusPlus:
    """Grad-CAM with pixel-wise weights: alpha = g^2 / (2 g^2 + g^3 sum A), and a channel's weight the sum of alpha
    max(g, 0) (equations 7 and 19, the score's exponential left out, which scales a map and nothing else).

    Where g is 0 so is alpha; elsewhere it is 1 / (2 + g sum A), free of the constant that other implementations add
    and that outweighs small derivatives. ``layer`` and ``interpolation``: see ``GradCam``.
    """

    classifier: Classifier = field(repr=False)
    layer: str | None = None
    interpolation: str = "bilinear"

    def __post_init__(self):
        check_interpolation(self.interpolation)
        object.__setattr__(self, "layer", find_layer(self.classifier, self.layer))

    def __call__(self, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        activation, gradient = evidence(self.classifier, images, targets, self.layer)
        below = 2 + gradient * activation.sum(dim=(2, 3), keepdim=True)
        # only positive derivatives count; there the denominator is at least 2, unless activations are negative
        alpha = torch.where((gradient > 0) & (below != 0), 1 / torch.where(below == 0, 1, below), 0)
        weights = (alpha * gradient.clamp(min=0)).sum(dim=(2, 3), keepdim=True)
        return enlarge((weights * activation).sum(dim=1).clamp(min=0), images, self.interpolation)
