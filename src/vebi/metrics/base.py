"""What a metric is that holds heatmaps against masks, and the input that all of them refuse."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vebi.errors import UsageError


@dataclass(frozen=True)
class Metric:
    """A function of maps (n h w) and masks (n h w) to one score an image (n), and how to read the score.

    Scores lie in [low, high]. A ``scale_free`` metric takes non-negative maps of any scale, since to multiply a map by
    a positive number changes nothing; any other one takes maps in [0, 1], since it looks at the values themselves.
    """

    name: str
    title: str
    function: Callable[[Tensor, Tensor], Tensor]
    low: float
    high: float
    higher_is_better: bool
    scale_free: bool


def check_maps(maps: Float[Tensor, "n h w"]) -> None:
    """Raises UsageError for values that are not finite or negative: evidence against a class is no evidence for it."""
    broken = ~maps.isfinite().flatten(1).all(dim=1)
    if broken.any():
        raise UsageError(f"the map of image {_first(broken)} holds values that are not finite: leave such images out")
    if (maps < 0).any():
        raise UsageError(
            f"heatmaps range from {maps.min():.3g} to {maps.max():.3g}: "
            f"take their positive part or scale them to start at 0"
        )


def check(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "m y x"]) -> None:
    """Raises UsageError for maps and masks of different shapes, for maps that ``check_maps`` refuses and for an empty
    mask, with which no map can overlap."""
    if maps.shape != masks.shape:
        raise UsageError(
            f"maps of shape {tuple(maps.shape)} come with masks of shape {tuple(masks.shape)}: "
            f"give every map a mask of its size"
        )
    check_maps(maps)
    empty = ~masks.flatten(1).any(dim=1)
    if empty.any():
        raise UsageError(f"the mask of image {_first(empty)} is empty: leave such images out")


def to_highest(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Non-negative maps divided by their highest value, in float32: a sum of them cannot overflow. Zeros stay zeros."""
    highest = maps.amax(dim=(1, 2), keepdim=True)
    return (maps / torch.where(highest > 0, highest, 1)).float()


def _first(there: Bool[Tensor, " n"]) -> int:
    return int(there.nonzero()[0])
