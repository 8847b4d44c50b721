"""What an image becomes where its evidence is hidden."""

import torch
from jaxtyping import Float
from torch import Tensor

from vebi.errors import UsageError
from vebi.metrics.gaussian import gaussian_filter

BASELINES = ("blur", "grey")
#: Standard deviation of the blur: 10 pixels of 224 on the shorter side. The window ends at four of them.
SIGMA, TRUNCATE = 10 / 224, 4


def baseline_images(images: Float[Tensor, "n c h w"], baseline: str) -> Float[Tensor, "n c h w"]:
    """Makes the images without evidence that pixels are replaced by.

    Args:
        images: Preprocessed, n x c x h x w.
        baseline: ``"blur"``, each image blurred by a Gaussian whose standard deviation is 10/224 of its shorter side,
            or ``"grey"``, zeros: the mean colour of the preprocessing.

    Returns:
        The same shape.

    Raises:
        UsageError: Another baseline.
    """
    if baseline not in BASELINES:
        raise UsageError(f"the baseline is {baseline!r}: choose {' or '.join(BASELINES)}")
    if baseline == "grey":
        return torch.zeros_like(images)
    sigma = SIGMA * min(images.shape[2:])
    return gaussian_filter(images.flatten(0, 1), sigma, round(TRUNCATE * sigma)).view_as(images)
