"""What every metric refuses, and how it says so."""

import dataclasses

import pytest
import torch

from vebi.errors import UsageError
from vebi.metrics.base import Metric, check, check_maps, to_highest

MAPS, MASKS = torch.rand(3, 2, 4), torch.ones(3, 2, 4, dtype=torch.bool)


def changed(tensor, image, value):
    tensor = tensor.clone()
    tensor[image, 1, 2] = value
    return tensor


def test_what_is_in_order_passes():
    assert check(MAPS, MASKS) is None
    assert check(100 * MAPS, MASKS) is None
    assert check(torch.zeros(3, 2, 4), changed(~MASKS, slice(None), True)) is None
    assert check(MAPS[:0], MASKS[:0]) is None


@pytest.mark.parametrize("shape", [(2, 2, 4), (3, 4, 2), (1, 2, 4)])
def test_a_mask_for_every_map(shape):
    with pytest.raises(UsageError) as error:
        check(MAPS, torch.ones(shape, dtype=torch.bool))
    assert (
        str(error.value)
        == f"maps of shape (3, 2, 4) come with masks of shape {shape}: give every map a mask of its size"
    )


def test_an_empty_mask():
    masks = MASKS.clone()
    masks[1] = False
    with pytest.raises(UsageError, match="^the mask of image 1 is empty: leave such images out$"):
        check(MAPS, masks)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(value):
    with pytest.raises(
        UsageError, match="^the map of image 2 holds values that are not finite: leave such images out$"
    ):
        check_maps(changed(MAPS, 2, value))


def test_negative_values():
    maps = changed(changed(torch.zeros(3, 2, 4), 0, -0.25), 1, 2)
    with pytest.raises(UsageError) as error:
        check(maps, MASKS)
    assert str(error.value) == ("heatmaps range from -0.25 to 2: take their positive part or scale them to start at 0")


def test_to_highest():
    maps = torch.tensor([[[0.0, 2.0, 8.0]], [[0.0, 0.0, 0.0]], [[3e38, 3e38, 0.0]]])
    assert to_highest(maps).tolist() == [[[0, 0.25, 1]], [[0, 0, 0]], [[1, 1, 0]]]
    assert to_highest(torch.tensor([[[1e300, 5e299]]], dtype=torch.float64)).tolist() == [[[1, 0.5]]]


def test_a_metric_is_a_frozen_value():
    metric = Metric("zero", "nothing", lambda maps, masks: torch.zeros(len(maps)), 0.0, 1.0, True, True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        metric.low = -1.0
