"""What a metric is that scores heatmaps against masks, and the input that all of them refuse."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from vebi.errors import UsageError, require


@dataclass(frozen=True)
class Metric:
    """A metric of heatmaps with masks as ground truth, and how to read its scores.

    Attributes:
        name: Its key in results.
        title: What a reader calls it.
        function: Maps of any real type and masks, both n x h x w -> one score per image, n.
        low: The lowest score that is possible.
        high: The highest one.
        higher_is_better: Whether a higher score is better.
        scale_free: True where maps are non-negative of any scale, since multiplying a map by a positive number changes
            nothing; False where maps lie in [0, 1], since the metric looks at the values themselves.

    Example:
        >>> metric = vebi.metrics.METRICS[0]
        >>> metric.name, metric.low, metric.high, metric.higher_is_better
        ('auc_iou', 0.0, 1.0, True)
        >>> metric.function(torch.eye(2)[None], torch.ones(1, 2, 2, dtype=torch.bool))
        tensor([0.5050])
    """

    name: str
    title: str
    function: Callable[[Tensor, Tensor], Tensor]
    low: float
    high: float
    higher_is_better: bool
    scale_free: bool


def as_maps(name: str, given: Shaped[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Maps of any real type as floats, in which values can be compared and added up without an overflow.

    Args:
        name: What messages call them.
        given: n x h x w.

    Returns:
        The same maps in double precision where they are given so, otherwise in single precision.

    Raises:
        UsageError: They are no tensor, of another shape, complex, sparse or without values.
    """
    require(name, given, Tensor, "a torch.Tensor is needed: use torch.from_numpy for an array")
    if given.ndim != 3:
        raise UsageError(f"{name} have the shape {tuple(given.shape)}, but n x h x w is needed, one map per image")
    if given.is_complex():
        raise UsageError(f"{name} are complex, but real values are needed: take their absolute values first")
    if given.layout != torch.strided:
        raise UsageError(f"{name} are sparse ({given.layout}), but dense ones are needed: use their to_dense()")
    if given.is_meta:
        raise UsageError(
            f"{name} on the device meta hold no values, but values are needed: make them on another device"
        )
    return given if given.dtype == torch.float64 else given.float()


def validate_finite(maps: Shaped[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Refuses maps with NaN or infinity.

    Args:
        maps: n x h x w.

    Returns:
        The maps as floats, see ``as_maps``.

    Raises:
        UsageError: Maps that ``as_maps`` refuses, or values that are not finite.
    """
    maps = as_maps("maps", maps)
    broken = ~maps.isfinite().flatten(1).all(dim=1)
    if broken.any():
        raise UsageError(f"the map of image {_first(broken)} holds values that are not finite: leave such images out")
    return maps


def validate_maps(maps: Shaped[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Refuses maps with negative values: evidence against a class is no evidence for it.

    Args:
        maps: n x h x w.

    Returns:
        The maps as floats, see ``as_maps``.

    Raises:
        UsageError: Maps that ``validate_finite`` refuses, or values that are negative.
    """
    maps = validate_finite(maps)
    if (maps < 0).any():
        raise UsageError(
            f"heatmaps range from {maps.min():.3g} to {maps.max():.3g}: "
            f"take their positive part or scale them to start at 0"
        )
    return maps


def validate_masks(maps: Shaped[Tensor, "n h w"], masks: Shaped[Tensor, "m y x"]) -> Bool[Tensor, "m y x"]:
    """Refuses masks that do not fit their maps, those of other values than 0 and 1, and empty ones.

    Args:
        maps: n x h x w.
        masks: n x h x w, each with at least one pixel; of booleans, or of 0 and 1.

    Returns:
        The masks as booleans.

    Raises:
        UsageError: Maps and masks of different shapes, an empty mask, or one of other values.
    """
    values = as_maps("masks", masks)
    other = values[(values != 0) & (values != 1)]
    if len(other):
        raise UsageError(
            f"masks hold the value {other[0].item():g}, but booleans, or 0 and 1, are needed: compare them with 0 first"
        )
    if maps.shape != masks.shape:
        raise UsageError(
            f"maps of shape {tuple(maps.shape)} come with masks of shape {tuple(masks.shape)}: "
            f"give every map a mask of its size"
        )
    masks = values.bool()
    empty = ~masks.flatten(1).any(dim=1)
    if empty.any():
        raise UsageError(f"the mask of image {_first(empty)} is empty: leave such images out")
    return masks


def validate(
    maps: Shaped[Tensor, "n h w"], masks: Shaped[Tensor, "m y x"]
) -> tuple[Float[Tensor, "n h w"], Bool[Tensor, "m y x"]]:
    """Refuses maps and masks that cannot be scored.

    Args:
        maps: n x h x w, of any real type.
        masks: n x h x w, each with at least one pixel: no map can overlap with an empty one.

    Returns:
        The maps as floats, see ``as_maps``, and the masks as booleans.

    Raises:
        UsageError: Maps that ``validate_maps`` refuses, or masks that ``validate_masks`` refuses.
    """
    maps = as_maps("maps", maps)
    masks = validate_masks(maps, masks)
    return validate_maps(maps), masks


def scale_to_max(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Divides each map by its highest value, so that a sum of values cannot overflow.

    Args:
        maps: Non-negative, n x h x w.

    Returns:
        The same shape, float32, in [0, 1]; a map of zeros stays zero.
    """
    highest = maps.amax(dim=(1, 2), keepdim=True)
    return (maps / torch.where(highest > 0, highest, 1)).float()


def _first(flags: Bool[Tensor, " n"]) -> int:
    """The index of the first True."""
    return int(flags.nonzero()[0])
