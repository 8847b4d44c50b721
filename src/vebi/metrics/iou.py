"""Intersection over union of a heatmap's upper level sets with a mask (Oramas et al., ICLR 2019, section 4.3)."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from vebi.errors import UsageError
from vebi.metrics.base import as_maps, validate

#: Thresholds, evenly spaced on [0, 1].
STEPS = 101


def iou_curve(
    maps: Shaped[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"], thresholds: Float[Tensor, " t"]
) -> Float[Tensor, "n t"]:
    """Computes the IoU of {map >= t} with the mask for every threshold t.

    Args:
        maps: Heatmaps in [0, 1], n x h x w.
        masks: Ground truth, n x h x w, booleans or 0 and 1, none of them empty.
        thresholds: t of them, in rising order.

    Returns:
        IoU in [0, 1], n x t.

    Raises:
        UsageError: Maps outside of [0, 1] or not finite, an empty mask, or maps and masks of different shapes.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 4.3.

    Example:
        >>> maps = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
        >>> masks = torch.tensor([[[True, True], [False, False]]])
        >>> vebi.metrics.iou_curve(maps, masks, torch.tensor([0.0, 0.5, 1.0]))
        tensor([[0.5000, 1.0000, 0.5000]])
    """
    maps, masks = validate(maps, masks)
    if (maps > 1).any():
        raise UsageError(f"heatmaps range from {maps.min():.3g} to {maps.max():.3g}: scale them to [0, 1] first")
    size = masks.sum(dim=(1, 2))
    # a pixel counts for all thresholds up to its value: count pixels by the last of them, then add up from above
    last = torch.searchsorted(thresholds.to(maps), maps.contiguous(), right=True).flatten(1)

    def at_least(weights: Tensor) -> Tensor:
        counts = torch.zeros(len(maps), len(thresholds) + 1, device=maps.device)
        return counts.scatter_add_(1, last, weights.flatten(1).float()).flip(1).cumsum(1).flip(1)[:, 1:]

    intersection = at_least(masks)
    return intersection / (at_least(torch.ones_like(masks)) + size[:, None] - intersection)


def auc_iou(maps: Shaped[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"], steps: int = STEPS) -> Float[Tensor, " n"]:
    """Computes the area under the IoU curve of every map. Higher is better.

    Args:
        maps: Heatmaps in [0, 1], n x h x w.
        masks: Ground truth, n x h x w, booleans or 0 and 1, none of them empty.
        steps: How many thresholds, evenly spaced on [0, 1], the mean is taken over.

    Returns:
        Mean IoU in [0, 1], n.

    Raises:
        UsageError: See ``iou_curve``.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 4.3.

    Example:
        >>> maps = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
        >>> masks = torch.tensor([[[True, True], [False, False]]])
        >>> vebi.metrics.auc_iou(maps, masks, steps=3)
        tensor([0.6667])
    """
    return iou_curve(maps, masks, _thresholds(steps, maps)).mean(dim=1)


def best_iou(maps: Shaped[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"], steps: int = STEPS) -> Float[Tensor, " n"]:
    """Computes the largest IoU over the thresholds of ``auc_iou``. Higher is better.

    That is how well a map does where the threshold is picked per image, with the mask at hand. Never below the share of
    the image that the mask covers, since at threshold 0 all of the image counts.

    Args:
        maps: Heatmaps in [0, 1], n x h x w.
        masks: Ground truth, n x h x w, booleans or 0 and 1, none of them empty.
        steps: How many thresholds, evenly spaced on [0, 1], are tried.

    Returns:
        Largest IoU in [0, 1], n.

    Raises:
        UsageError: See ``iou_curve``.

    Example:
        >>> maps = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
        >>> masks = torch.tensor([[[True, True], [False, False]]])
        >>> vebi.metrics.best_iou(maps, masks)
        tensor([1.])
    """
    return iou_curve(maps, masks, _thresholds(steps, maps)).amax(dim=1)


def _thresholds(steps: int, maps: Tensor) -> Tensor:
    maps = as_maps("maps", maps)
    return torch.linspace(0, 1, steps, dtype=maps.dtype, device=maps.device)
