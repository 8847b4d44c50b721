"""How a backward pass is read as a map: at the pixels, or at every layer on the way to them.

At a layer with the activations a, where the gradient of a feature is g, sum_k a_k g_k says for every position how much
of the feature comes from there: its contribution. Early layers are fine and see edges, late ones are coarse and see
things. The mean over all of them covers what was seen; its geometric mean with that of the pixels keeps the detail.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vebi.backprop.heatmaps import upsample, upsample_sum
from vebi.errors import UsageError

#: ``gradient``: the norm of the positive part of the input gradient, as the paper has it. ``contribution``: input times
#: gradient. ``layers``: contributions at the input and at all recorded layers.
READINGS = ("gradient", "contribution", "layers")
#: Of the positions of a layer the strongest that count alike, as a share: single ones would leave all others dark.
STRONGEST = 0.03


def check_reading(reading: str) -> None:
    """Raises UsageError for a reading that does not exist."""
    if reading not in READINGS:
        raise UsageError(f"the reading is {reading!r}: choose one of {', '.join(READINGS)}")


def contribution(values: Float[Tensor, "n k u v"], gradient: Float[Tensor, "n k u v"]) -> Float[Tensor, "n u v"]:
    """What every position contributes: the positive part of the sum over channels of value times gradient.

    Args:
        values: The activations of a layer, or the inputs.
        gradient: With respect to them.

    Returns:
        Zero or above, n x u x v.
    """
    return torch.einsum("nkuv,nkuv->nuv", values, gradient).clamp(min=0)


def even_out(contributions: Float[Tensor, "n u v"]) -> Float[Tensor, "n u v"]:
    """The square root of contributions, scaled so that the strongest 3 % of the positions of each map have 1.

    Args:
        contributions: Zero or above.

    Returns:
        The same in [0, 1]; a map of zeros stays one.
    """
    flat = contributions.flatten(1)
    count = max(1, round(STRONGEST * flat.shape[1]))
    high = flat.topk(count, dim=1).values[:, -1]
    high = torch.where(high > 0, high, flat.amax(dim=1))[:, None, None]
    return (contributions / high.clamp(min=torch.finfo(high.dtype).tiny)).clamp(max=1).sqrt()


def blend_layers(contributions: Sequence[Float[Tensor, "n _ _"]], size: Sequence[int]) -> Float[Tensor, "n h w"]:
    """The geometric mean of where the layers agree that a feature comes from, and of what is fine there.

    Args:
        contributions: Of the input and of layers, see ``contribution``; the first one is that of the input.
        size: Height and width of the input.

    Returns:
        In [0, 1]: the root of the mean of all evened contributions, enlarged to the input, times those of the input,
        averaged over 3 x 3 pixels. Layers that say nothing of an image (of zeros) do not count for it, the input
        included.
    """
    evened = [even_out(maps) for maps in contributions]
    counted = torch.stack([_says_something(maps) for maps in contributions]).sum(dim=0)
    coverage = upsample_sum(evened, size) / counted.clamp(min=1)
    detail = F.avg_pool2d(upsample(evened[0], size), 3, stride=1, padding=1, count_include_pad=False)
    return torch.where(_says_something(contributions[0]), (coverage * detail).sqrt(), coverage)


def _says_something(maps: Float[Tensor, "n u v"]) -> Bool[Tensor, "n 1 1"]:
    """Which maps are not of zeros."""
    return maps.flatten(1).any(dim=1)[:, None, None]
