"""How alike two maps of an image are, over all pixels or over a foreground."""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from vebi.errors import UsageError
from vebi.metrics.base import validate_finite, validate_masks
from vebi.metrics.gaussian import gaussian_filter

#: Of the Gaussian window of SSIM in pixels: 11 x 11 of them.
SIGMA, RADIUS = 1.5, 5
#: The constants of SSIM, for values in [0, 1].
C1, C2 = 0.01**2, 0.03**2


def is_empty(maps: Shaped[Tensor, "n h w"], where: Shaped[Tensor, "m y x"] | None = None) -> Bool[Tensor, " n"]:
    """Tells which maps say nothing: all of their values are the same, mostly zero.

    Args:
        maps: Heatmaps of any scale, n x h x w.
        where: The pixels that count, n x h x w, at least one per map; None for all of them.

    Returns:
        True for each empty map, n: those that ``rank_correlation`` and ``structural_similarity`` have no number for.

    Raises:
        UsageError: Values that are not finite, or a foreground of another shape or without a pixel.

    Example:
        >>> vebi.metrics.is_empty(torch.tensor([[[0.0, 0.0]], [[0.0, 2.0]]]))
        tensor([ True, False])
    """
    maps, _, where = _validate_pairs(maps, maps, where)
    return _is_constant(maps, where)


def rank_correlation(
    one: Shaped[Tensor, "n h w"], other: Shaped[Tensor, "m y x"], where: Shaped[Tensor, "k v u"] | None = None
) -> Float[Tensor, " n"]:
    """Computes Spearman's rank correlation of every pair of maps: 1 where both order the pixels alike.

    Tied pixels share the mean of their ranks. Only the order of values counts, so that maps may be of any scale and
    sign; take absolute values first where the sign is not to count.

    Args:
        one: Heatmaps, n x h x w.
        other: As many, to compare with.
        where: The pixels that count, n x h x w, at least one per pair; None for all of them.

    Returns:
        Correlations in [-1, 1], n; NaN where one of the two is constant on the pixels that count. Such pairs are to be
        counted and reported apart: 0 would say that two orders have nothing in common, and here there is no order.

    Raises:
        UsageError: Different shapes, values that are not finite, or a foreground without a pixel.

    Reference:
        Spearman, "The Proof and Measurement of Association between Two Things", American Journal of Psychology 15(1),
        1904; for maps before and after a randomisation in Adebayo et al., "Sanity Checks for Saliency Maps",
        NeurIPS 2018, section 3.

    Example:
        >>> maps = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
        >>> vebi.metrics.rank_correlation(maps, maps**2), vebi.metrics.rank_correlation(maps, -maps)
        (tensor([1.]), tensor([-1.]))
    """
    one, other, where = _validate_pairs(one, other, where)
    a, b = (_centred_ranks(maps, where) for maps in (one, other))
    return ((a * b).sum(dim=1) / (a.square().sum(dim=1) * b.square().sum(dim=1)).sqrt()).clamp(-1, 1).float()


def structural_similarity(
    one: Shaped[Tensor, "n h w"], other: Shaped[Tensor, "m y x"], where: Shaped[Tensor, "k v u"] | None = None
) -> Float[Tensor, " n"]:
    """Computes the mean structural similarity (SSIM) of every pair of maps: 1 where both are the same.

    Each map is min-max scaled to [0, 1] first, over all of its pixels, so that scale and offset do not count and the
    range of the data is 1. Statistics are those of a Gaussian window of 11 x 11 pixels, standard deviation 1.5; at its
    border a map is mirrored. The window of a pixel that counts sees its neighbours that do not count, too.

    Args:
        one: Heatmaps of any scale, n x h x w, at least 11 x 11.
        other: As many, to compare with.
        where: The pixels whose windows the mean is taken over, n x h x w, at least one per pair; None for all of them.

    Returns:
        Similarities in [-1, 1], n; NaN where one of the two is constant on the pixels that count, see
        ``rank_correlation``.

    Raises:
        UsageError: Different shapes, maps that are smaller than a window, values that are not finite, or a foreground
            without a pixel.

    Reference:
        Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity",
        IEEE Transactions on Image Processing 13(4), 2004, eq. 13 to 17.

    Example:
        >>> maps = torch.eye(16)[None]
        >>> vebi.metrics.structural_similarity(maps, 3 * maps + 1)
        tensor([1.])
    """
    one, other, where = _validate_pairs(one, other, where)
    height, width = one.shape[1:]
    if min(height, width) <= 2 * RADIUS:
        raise UsageError(
            f"maps have {height} x {width} pixels, but a window of SSIM has {2 * RADIUS + 1} x {2 * RADIUS + 1}: "
            f"give maps that are as large"
        )
    a, b = (_scale(maps.double()) for maps in (one, other))
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = (
        gaussian_filter(maps, SIGMA, RADIUS) for maps in (a, b, a * a, b * b, a * b)
    )
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    covariance, variances = mean_ab - mean_a * mean_b, mean_aa - mean_a**2 + mean_bb - mean_b**2
    similarity = luminance * (2 * covariance + C2) / (variances + C2)
    mean = torch.where(where, similarity, 0).sum(dim=(1, 2)) / where.sum(dim=(1, 2))
    constant = _is_constant(one, where) | _is_constant(other, where)
    return torch.where(constant, torch.nan, mean).float()


def _validate_pairs(
    one: Tensor, other: Tensor, where: Tensor | None
) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "n h w"], Bool[Tensor, "n h w"]]:
    """Pairs that can be compared, as floats, and their pixels that count."""
    one, other = (validate_finite(maps) for maps in (one, other))
    if one.shape != other.shape:
        raise UsageError(
            f"maps of shape {tuple(one.shape)} are compared with maps of shape {tuple(other.shape)}: "
            f"give every map one of its size"
        )
    return one, other, torch.ones_like(one, dtype=torch.bool) if where is None else validate_masks(one, where)


def _centred_ranks(maps: Float[Tensor, "n h w"], where: Bool[Tensor, "n h w"]) -> Float[Tensor, "n p"]:
    """Ranks among the pixels that count, tied ones at the mean of theirs, minus the mean rank; 0 elsewhere."""
    inside = where.flatten(1)
    values = torch.where(inside, maps.flatten(1).double(), torch.inf)  # ranked behind all others
    ordered = values.sort(dim=1).values
    below, up_to = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return torch.where(inside, (below + up_to - inside.sum(dim=1, keepdim=True)).double() / 2, 0)


def _scale(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Min-max scales every map to [0, 1]; a constant one becomes zero."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1)


def _is_constant(maps: Float[Tensor, "n h w"], where: Bool[Tensor, "n h w"]) -> Bool[Tensor, " n"]:
    """Whether all pixels that count have one value, per map."""
    highest = torch.where(where, maps, -torch.inf).amax(dim=(1, 2))
    return highest == torch.where(where, maps, torch.inf).amin(dim=(1, 2))
