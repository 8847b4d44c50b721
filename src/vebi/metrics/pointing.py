"""The pointing game (Zhang et al., "Top-down neural attention by excitation backprop", IJCV 2018)."""

from jaxtyping import Bool, Float
from torch import Tensor

from vebi.metrics.base import check


def pointing_game(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Whether a map's highest pixel lies in the mask: 1 or 0. Higher is better; maps non-negative, of any scale.

    Where several pixels share the maximum, the share of them in the mask, what picking one at random would score on
    average: a constant map scores the share of the mask, not 0 or 1 by luck. There is no tolerance radius around the
    mask, where published results often allow 15 pixels: scores here can be lower.
    Raises UsageError for an empty mask, for values that are negative or not finite and for different shapes.
    """
    check(maps, masks)
    highest = maps == maps.amax(dim=(1, 2), keepdim=True)
    return (highest & masks).sum(dim=(1, 2)) / highest.sum(dim=(1, 2))
