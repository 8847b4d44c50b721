"""Relevance mass and relevance rank accuracy (Arras et al., "CLEVR-XAI", Information Fusion 81, 2022)."""

from jaxtyping import Bool, Float
from torch import Tensor

from vebi.metrics.base import check, to_highest


def relevance_mass(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """The share of a map's sum that lies in the mask. In [0, 1], higher is better; maps non-negative, of any scale.

    A map of zeros scores 0: it points at nothing. Any other constant map scores the share of the mask. Source: the
    paper's relevance mass accuracy, R_within / R_total. Raises UsageError for an empty mask, for values that are
    negative or not finite and for different shapes.
    """
    check(maps, masks)
    heat = to_highest(maps)
    total = heat.sum(dim=(1, 2))  # 0 or at least 1, the highest value
    return (heat * masks).sum(dim=(1, 2)) / total.clamp(min=1)


def relevance_rank(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Of a map's K highest pixels, K the size of the mask, the share in the mask. In [0, 1], higher is better; maps
    non-negative, of any scale.

    Where pixels are tied at the K-th value, those that share the places left count by their expected share, as if
    drawn at random: a constant map scores the share of the mask. Source: the paper's relevance rank accuracy,
    |P_topK and GT| / |GT|. Raises UsageError for an empty mask, for values that are negative or not finite and for
    different shapes.
    """
    check(maps, masks)
    heat, inside = maps.flatten(1), masks.flatten(1)
    size = inside.sum(dim=1, keepdim=True)
    last = heat.sort(dim=1, descending=True).values.gather(1, size - 1)
    above, tied = heat > last, heat == last
    places = size[:, 0] - above.sum(dim=1)
    expected = places * ((tied & inside).sum(dim=1) / tied.sum(dim=1))
    return ((above & inside).sum(dim=1) + expected) / size[:, 0]
