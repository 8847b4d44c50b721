"""What an explanation holds: a prediction with one heatmap for every feature that contributed."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from vebi.activations.layers import Feature
from vebi.backprop import heatmaps
from vebi.backprop.graph_audit import Finding


@dataclass(frozen=True)
class Evidence:
    """One feature that speaks for a class in one image.

    ``contribution`` x_i w_ic / ||w_c||_1, above 0; ``heatmap`` raw, h x w float32 at the network's input resolution.
    """

    feature: Feature
    contribution: float
    heatmap: Float[np.ndarray, "h w"] = field(repr=False)


@dataclass(frozen=True)
class Explanation:
    """A prediction and the evidence for ``target``, the class that is explained (the predicted one unless asked).

    ``probability`` is the softmax of the prediction's score; ``picture`` is what the network saw; ``evidence`` is
    sorted by contribution and empty where none of the target's features fired. ``audit`` lists the non-linearities on
    the way from the features of the batch to the picture, and whether the backward rule covers them.
    """

    image_id: str
    prediction: str
    probability: float
    target: str
    evidence: tuple[Evidence, ...]
    audit: tuple[Finding, ...] = field(repr=False)
    picture: UInt8[np.ndarray, "h w 3"] = field(repr=False)

    def combined(self, reduction: str = "max") -> Float[np.ndarray, "h w"]:
        """One map in [0, 1]: the elementwise maximum (``max``) or the contribution-weighted mean (``mean``)."""
        if not self.evidence:
            return np.zeros(self.picture.shape[:2], np.float32)
        maps = np.stack([e.heatmap for e in self.evidence])
        return heatmaps.combine(maps, np.array([e.contribution for e in self.evidence]), reduction)

    def scaled(self) -> list[Float[np.ndarray, "h w"]]:
        """Every heatmap of the evidence scaled to [0, 1] for looking at, see ``heatmaps.for_display``."""
        return [heatmaps.for_display(e.heatmap) for e in self.evidence]
