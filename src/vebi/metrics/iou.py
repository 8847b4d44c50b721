"""Intersection over union of a heatmap's upper level sets with a mask (Oramas et al., ICLR 2019, section 4.3)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vebi.errors import UsageError
from vebi.metrics.base import check

#: Thresholds, evenly spread on [0, 1].
STEPS = 101


def iou_curve(
    maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"], thresholds: Float[Tensor, " t"]
) -> Float[Tensor, "n t"]:
    """IoU of {map >= t} with the mask for every threshold t, given in rising order; maps in [0, 1].

    Raises UsageError for maps outside [0, 1], for an empty mask, with which no map can overlap, and for maps and masks
    of different shapes.
    """
    check(maps, masks)
    if (maps > 1).any():
        raise UsageError(f"heatmaps range from {maps.min():.3g} to {maps.max():.3g}: scale them to [0, 1] first")
    size = masks.sum(dim=(1, 2))
    # a pixel counts for all thresholds up to its value: count pixels by the last of them, then add up from above
    last = torch.searchsorted(thresholds.to(maps.device), maps.contiguous(), right=True).flatten(1)

    def at_least(weights: Tensor) -> Tensor:
        counts = torch.zeros(len(maps), len(thresholds) + 1, device=maps.device)
        return counts.scatter_add_(1, last, weights.flatten(1).float()).flip(1).cumsum(1).flip(1)[:, 1:]

    common = at_least(masks)
    return common / (at_least(torch.ones_like(masks)) + size[:, None] - common)


def auc_iou(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"], steps: int = STEPS) -> Float[Tensor, " n"]:
    """Area under the IoU curve of every map: the mean over ``steps`` thresholds evenly spread on [0, 1]. In [0, 1].

    Higher is better. Maps in [0, 1]; raises UsageError as ``iou_curve`` does.
    """
    return iou_curve(maps, masks, _spread(steps, maps)).mean(dim=1)


def best_iou(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"], steps: int = STEPS) -> Float[Tensor, " n"]:
    """The largest IoU over the thresholds of ``auc_iou``: how well a map does where somebody picks the threshold for
    every image with the mask in hand. In [0, 1], higher is better.

    Never below the share of the mask, since at threshold 0 the whole picture counts. Maps in [0, 1]; raises UsageError
    as ``iou_curve`` does.
    """
    return iou_curve(maps, masks, _spread(steps, maps)).amax(dim=1)


def _spread(steps: int, maps: Tensor) -> Tensor:
    return torch.linspace(0, 1, steps, dtype=maps.dtype, device=maps.device)
