"""Average precision: the pixels of the mask as positives, ranked by the heatmap."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from vebi.metrics.base import validate


def average_precision(maps: Shaped[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Computes the average precision of a map's pixels as scores for the mask. Higher is better.

    The sum of (R_k - R_k-1) P_k over a map's distinct values, highest first, where P_k and R_k are precision and recall
    of the pixels at or above the k-th value, as ``sklearn.metrics.average_precision_score`` defines it. Tied pixels
    enter together, so that their order decides nothing: a constant map scores the share of the mask, which is also
    about what chance scores.

    Args:
        maps: Non-negative heatmaps of any scale, n x h x w.
        masks: Ground truth, n x h x w, booleans or 0 and 1, none of them empty.

    Returns:
        Average precision in [0, 1], n.

    Raises:
        UsageError: An empty mask or one of other values, values that are negative or not finite, or different shapes.

    Example:
        >>> maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> vebi.metrics.average_precision(maps, masks)  # (1/1 + 2/3) / 2
        tensor([0.8333])
    """
    maps, masks = validate(maps, masks)
    heat, inside = maps.flatten(1).contiguous(), masks.flatten(1)
    # recall rises by 1 / |mask| with every pixel of the mask: the sum is the mean precision at their values;
    # pixels outside, set below every value, count for none of them
    hits = _at_least(torch.where(inside, heat, -1), heat)
    precision = hits / _at_least(heat, heat)
    return torch.where(inside, precision, 0).sum(dim=1) / inside.sum(dim=1)


def _at_least(rows: Float[Tensor, "n p"], values: Float[Tensor, "n q"]) -> Tensor:
    """How many elements of its row are at or above every value (n q)."""
    return rows.shape[1] - torch.searchsorted(rows.sort(dim=1).values, values)
