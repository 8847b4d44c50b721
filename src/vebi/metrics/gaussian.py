"""The Gaussian blur of maps, on any device: the window of SSIM, and the baseline that images are blurred to."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def gaussian_filter(maps: Float[Tensor, "n h w"], sigma: float, radius: int) -> Float[Tensor, "n h w"]:
    """Blurs maps by a Gaussian window that is cut off and has the sum 1; maps are mirrored at their border.

    Args:
        maps: n x h x w.
        sigma: Standard deviation in pixels, above 0.
        radius: The window has 2 radius + 1 pixels on a side; below h and w.

    Returns:
        The same shape and type.
    """
    distance = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    window = torch.exp(-(distance**2) / (2 * sigma**2))
    window = window / window.sum()
    padded = F.pad(maps[:, None], (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))[:, 0]
