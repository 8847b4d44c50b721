"""What every metric refuses, and how it says so."""

import dataclasses
import re

import pytest
import torch

from vebi.errors import UsageError
from vebi.metrics import (
    METRICS,
    gini_index,
    grid_pointing,
    is_empty,
    rank_correlation,
    structural_similarity,
)
from vebi.metrics.base import Metric, scale_to_max, validate, validate_maps

MAPS, MASKS = torch.rand(3, 2, 4), torch.ones(3, 2, 4, dtype=torch.bool)


def changed(tensor, image, value):
    tensor = tensor.clone()
    tensor[image, 1, 2] = value
    return tensor


def test_what_is_in_order_passes():
    for maps in (MAPS, 100 * MAPS, MAPS.double(), MAPS[:0]):
        checked, masks = validate(maps, MASKS[: len(maps)])
        assert checked is maps
        assert torch.equal(masks, MASKS[: len(maps)])
    assert validate(torch.zeros(3, 2, 4), changed(~MASKS, slice(None), True))[1].sum() == 3


DTYPES = "bool uint8 uint16 uint32 int8 int16 int64 float16 bfloat16 float64"


@pytest.mark.parametrize("dtype", [getattr(torch, name) for name in DTYPES.split()])
def test_maps_of_any_real_type(dtype):
    maps, masks = torch.arange(48).reshape(3, 4, 4) % 5, torch.arange(48).reshape(3, 4, 4) % 3 == 0
    for metric in METRICS:
        given = (maps if metric.scale_free and dtype != torch.bool else maps // 4).to(dtype)
        scores = metric.function(given.float(), masks)
        assert torch.equal(metric.function(given, masks), scores)
        assert torch.equal(metric.function(given, masks.to(dtype)), scores)
    given = maps.repeat(1, 3, 3).to(dtype)
    assert torch.equal(gini_index(given), gini_index(given.float()))
    assert not is_empty(given).any()
    cells = torch.tensor([0, 1, 2])
    assert torch.equal(grid_pointing(given, 2, 2, cells), grid_pointing(given.float(), 2, 2, cells))
    for compare in (rank_correlation, structural_similarity):
        assert compare(given, given.float()).allclose(torch.ones(3))


def test_many_ties_of_small_integers_overflow_in_no_metric():
    maps, masks = torch.zeros(1, 40, 40, dtype=torch.uint8), torch.ones(1, 40, 40, dtype=torch.bool)
    for metric in METRICS:
        assert torch.equal(metric.function(maps, masks), metric.function(maps.float(), masks))


@pytest.mark.parametrize(
    ("given", "fact"),
    [
        (torch.ones(3, 2, 4) * 1j, "complex"),
        (torch.ones(3, 2, 4).to_sparse(), r"sparse.*to_dense"),
        (torch.ones(3, 2, 4, device="meta"), "meta"),
    ],
    ids=["complex", "sparse", "meta"],
)
def test_tensors_that_hold_no_map_or_mask_are_refused(given, fact):
    for metric in METRICS:
        for name, maps, masks in (("maps", given, MASKS), ("masks", MAPS, given)):
            with pytest.raises(UsageError, match=f"^{name} .*{fact}"):
                metric.function(maps, masks)
    with pytest.raises(UsageError, match=fact):
        is_empty(given)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
def test_masks_of_0_and_1_are_those_of_booleans(dtype):
    masks = changed(MASKS, 1, False)
    for metric in METRICS:
        maps = MAPS / MAPS.amax()
        assert torch.equal(metric.function(maps, masks.to(dtype)), metric.function(maps, masks))
        for value in (255, 2, -1):
            if value > 0 or dtype != torch.uint8:
                with pytest.raises(UsageError, match=f"masks hold the value {value}, but booleans, or 0 and 1"):
                    metric.function(maps, (masks.to(torch.int64) * value).to(dtype))


@pytest.mark.parametrize("shape", [(2, 2, 4), (3, 4, 2), (1, 2, 4)])
def test_a_mask_for_every_map(shape):
    with pytest.raises(UsageError, match=re.escape("(3, 2, 4)")) as error:
        validate(MAPS, torch.ones(shape, dtype=torch.bool))
    assert str(shape) in str(error.value)


def test_an_empty_mask():
    masks = MASKS.clone()
    masks[1] = False
    with pytest.raises(UsageError, match=r"mask.*image 1\b"):
        validate(MAPS, masks)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(value):
    with pytest.raises(UsageError, match=r"map.*image 2\b.*not finite"):
        validate_maps(changed(MAPS, 2, value))


def test_negative_values():
    maps = changed(changed(torch.zeros(3, 2, 4), 0, -0.25), 1, 2)
    with pytest.raises(UsageError, match=r"-0\.25 to 2\b"):
        validate(maps, MASKS)


def test_scale_to_max():
    maps = torch.tensor([[[0.0, 2.0, 8.0]], [[0.0, 0.0, 0.0]], [[3e38, 3e38, 0.0]]])
    assert scale_to_max(maps).tolist() == [[[0, 0.25, 1]], [[0, 0, 0]], [[1, 1, 0]]]
    assert scale_to_max(torch.tensor([[[1e300, 5e299]]], dtype=torch.float64)).tolist() == [[[1, 0.5]]]


def test_a_metric_is_a_frozen_value():
    metric = Metric("zero", "nothing", lambda maps, masks: torch.zeros(len(maps)), 0.0, 1.0, True, True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        metric.low = -1.0
