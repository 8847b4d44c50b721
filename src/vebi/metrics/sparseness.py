"""How few pixels hold most of a map."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from vebi.metrics.base import validate_finite


def gini_index(maps: Shaped[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Computes the Gini index of the absolute values of every map. Higher is sparser, which is not better by itself.

    With the values c_1 <= ... <= c_p it is 1 - 2 sum over k of (c_k / sum c) (p - k + 1/2) / p, for p = h w pixels.
    Neither the scale of a map nor the place of its values counts. No mask is needed, so it is no ``Metric`` and has no
    row in ``METRICS``.

    Args:
        maps: Heatmaps of any scale and sign, n x h x w.

    Returns:
        Indices in [0, 1 - 1 / p], n: 0 where all values are alike, 1 - 1 / p where a single pixel is not zero. NaN for
        a map of zeros, which is neither sparse nor dense: count such maps apart.

    Raises:
        UsageError: Values that are not finite.

    Reference:
        Hurley and Rickard, "Comparing Measures of Sparsity", IEEE Transactions on Information Theory 55(10), 2009,
        table I; as a score of attributions in Chalasani et al., "Concise Explanations of Neural Networks using
        Adversarial Training", ICML 2020.

    Example:
        >>> maps = torch.tensor([[[0.0, 0.0], [0.0, 5.0]], [[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
        >>> vebi.metrics.gini_index(maps)
        tensor([0.7500, 0.0000,    nan])
    """
    maps = validate_finite(maps)
    values = maps.flatten(1).double().abs().sort(dim=1).values
    values = values / values[:, -1:]  # by the highest, so that no sum overflows; 0 / 0 is the NaN of a map of zeros
    size = values.shape[1]
    # the formula, with the sum of the values brought under one fraction line: exactly 0 for a constant map
    weights = 2 * torch.arange(1, size + 1, dtype=values.dtype, device=values.device) - size - 1
    return ((weights * values).sum(dim=1) / (size * values.sum(dim=1))).clamp(min=0).float()
