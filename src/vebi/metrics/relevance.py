"""Relevance mass and relevance rank accuracy (Arras et al., "CLEVR-XAI", Information Fusion 81, 2022)."""

from jaxtyping import Float, Shaped
from torch import Tensor

from vebi.metrics.base import scale_to_max, validate


def relevance_mass(maps: Shaped[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Computes the share of a map's sum that lies in the mask. Higher is better.

    A map of zeros scores 0: it points at nothing. Any other constant map scores the share of the mask.

    Args:
        maps: Non-negative heatmaps of any scale, n x h x w.
        masks: Ground truth, n x h x w, booleans or 0 and 1, none of them empty.

    Returns:
        Shares in [0, 1], n.

    Raises:
        UsageError: An empty mask or one of other values, values that are negative or not finite, or different shapes.

    Reference:
        Arras, Osman and Samek, "CLEVR-XAI: A Benchmark Dataset for the Ground Truth Evaluation of Neural Network
        Explanations", Information Fusion 81, 2022: relevance mass accuracy, R_within / R_total.

    Example:
        >>> maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> vebi.metrics.relevance_mass(maps, masks)
        tensor([0.6000])
    """
    maps, masks = validate(maps, masks)
    heat = scale_to_max(maps)
    total = heat.sum(dim=(1, 2))  # 0 or at least 1, the highest value
    return (heat * masks).sum(dim=(1, 2)) / total.clamp(min=1)


def relevance_rank(maps: Shaped[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Computes the share of a map's K highest pixels in the mask, K its size. Higher is better.

    Where pixels are tied at the K-th value, those of them that are still needed count by their expected share, as if
    drawn at random: a constant map scores the share of the mask.

    Args:
        maps: Non-negative heatmaps of any scale, n x h x w.
        masks: Ground truth, n x h x w, booleans or 0 and 1, none of them empty.

    Returns:
        Shares in [0, 1], n.

    Raises:
        UsageError: An empty mask or one of other values, values that are negative or not finite, or different shapes.

    Reference:
        Arras, Osman and Samek, "CLEVR-XAI: A Benchmark Dataset for the Ground Truth Evaluation of Neural Network
        Explanations", Information Fusion 81, 2022: relevance rank accuracy, |P_topK and GT| / |GT|.

    Example:
        >>> maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> vebi.metrics.relevance_rank(maps, masks)
        tensor([0.5000])
    """
    maps, masks = validate(maps, masks)
    heat, inside = maps.flatten(1), masks.flatten(1)
    size = inside.sum(dim=1, keepdim=True)
    last = heat.sort(dim=1, descending=True).values.gather(1, size - 1)
    above, tied = heat > last, heat == last
    needed = size[:, 0] - above.sum(dim=1)
    expected = needed * ((tied & inside).sum(dim=1) / tied.sum(dim=1))
    return ((above & inside).sum(dim=1) + expected) / size[:, 0]
