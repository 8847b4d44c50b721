"""What holds for every metric: range, direction, independence of images, scale, device; what none of them takes."""

import inspect

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vebi.errors import UsageError
from vebi.metrics.registry import METRICS

SHAPE = (3, 3, 4)
#: Few distinct values, so that ties are common.
BATCHES = arrays(np.float32, SHAPE, elements=st.integers(0, 8).map(lambda i: i / 8))
MASKS = arrays(np.bool_, SHAPE)

every = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def tensors(maps, masks):
    """With masks that are not empty."""
    masks = masks.copy()
    masks[:, 1, 2] |= ~masks.any(axis=(1, 2))
    return torch.from_numpy(maps), torch.from_numpy(masks)


def quadrant(n):
    masks = torch.zeros(n, 8, 8, dtype=torch.bool)
    masks[:, :4, :4] = True
    return masks


def test_the_table():
    assert [metric.name for metric in METRICS] == [
        "auc_iou", "best_iou", "average_precision", "pointing_game", "relevance_mass", "relevance_rank",
    ]  # fmt: skip
    assert len({metric.title for metric in METRICS}) == len(METRICS)
    assert all((metric.low, metric.high, metric.higher_is_better) == (0, 1, True) for metric in METRICS)
    assert [metric.name for metric in METRICS if not metric.scale_free] == ["auc_iou", "best_iou"]


@every
def test_its_arguments_are_maps_and_masks(metric):
    first = list(inspect.signature(metric.function).parameters.values())
    assert [parameter.name for parameter in first[:2]] == ["maps", "masks"]
    assert all(parameter.default is not inspect.Parameter.empty for parameter in first[2:])


@every
def test_direction(metric):
    generator = torch.Generator().manual_seed(0)
    masks = quadrant(100)
    perfect = masks.float()
    right = metric.function(perfect, masks).mean()
    chance = metric.function(torch.rand(100, 8, 8, generator=generator), masks).mean()
    wrong = metric.function(1 - perfect, masks).mean()
    worse, better = (wrong, right) if metric.higher_is_better else (right, wrong)
    assert worse <= chance < better
    assert better > 0.95
    assert worse <= 0.25


@every
@settings(max_examples=40, deadline=None)
@given(maps=BATCHES, masks=MASKS)
def test_range(metric, maps, masks):
    scores = metric.function(*tensors(maps, masks))
    assert scores.shape == (3,)
    assert scores.dtype == torch.float32
    assert ((scores >= metric.low) & (scores <= metric.high)).all()


@every
@settings(max_examples=40, deadline=None)
@given(maps=BATCHES, masks=MASKS, order=st.permutations(range(3)))
def test_images_do_not_mix(metric, maps, masks, order):
    maps, masks = tensors(maps, masks)
    scores = metric.function(maps, masks)
    torch.testing.assert_close(metric.function(maps[order], masks[order]), scores[order])
    for i in range(3):
        torch.testing.assert_close(metric.function(maps[i : i + 1], masks[i : i + 1]), scores[i : i + 1])


@every
@settings(max_examples=40, deadline=None)
@given(maps=BATCHES, masks=MASKS, factor=st.floats(1e-30, 1e30))
def test_scale(metric, maps, masks, factor):
    maps, masks = tensors(maps, masks)
    if metric.scale_free:
        torch.testing.assert_close(metric.function(factor * maps, masks), metric.function(maps, masks))
    elif (factor * maps).max() > 1:
        with pytest.raises(UsageError, match="range from"):
            metric.function(factor * maps, masks)


@every
@settings(max_examples=20, deadline=None)
@given(maps=BATCHES, masks=MASKS, positions=st.permutations(range(12)))
def test_positions_do_not_count(metric, maps, masks, positions):
    maps, masks = tensors(maps, masks)
    moved = (x.flatten(1)[:, positions].reshape(SHAPE) for x in (maps, masks))
    torch.testing.assert_close(metric.function(*moved), metric.function(maps, masks))


@every
def test_the_whole_image_as_mask_leaves_nothing_to_miss(metric):
    maps, full = torch.rand(4, 5, 6) + 1e-3, torch.ones(4, 5, 6, dtype=torch.bool)
    maps[:, 0, 0] = 1
    maps = maps.clamp(max=1)
    if metric.name == "auc_iou":  # what lies under the threshold is missed
        maps = torch.ones(4, 5, 6)
    assert metric.function(maps, full).tolist() == pytest.approx([1, 1, 1, 1])


@every
def test_no_images_no_scores(metric):
    assert metric.function(torch.zeros(0, 4, 5), torch.zeros(0, 4, 5, dtype=torch.bool)).shape == (0,)


@every
def test_everything_stays_on_the_device_of_the_maps(metric):
    maps, masks = torch.rand(3, 5, 6), torch.rand(3, 5, 6) > 0.5
    masks[:, 0, 0] = True
    expected = metric.function(maps, masks)
    with torch.device("meta"):  # where a tensor lands that is made without a device
        torch.testing.assert_close(metric.function(maps, masks), expected)


@every
def test_views_and_half_precision(metric):
    maps, masks = torch.rand(3, 6, 5), torch.rand(3, 6, 5) > 0.5
    masks[:, 0, 0] = True
    maps = (maps * 64).round() / 64  # exact in half precision
    expected = metric.function(maps, masks)
    turned = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (maps, masks))
    torch.testing.assert_close(metric.function(*turned), expected)
    torch.testing.assert_close(metric.function(maps[:1].expand(3, -1, -1), masks)[0], expected[0])
    torch.testing.assert_close(metric.function(maps.double(), masks), expected, check_dtype=False)
    if metric.scale_free:
        torch.testing.assert_close(metric.function(maps.half(), masks), expected, rtol=1e-3, atol=1e-3)


@every
def test_the_input_is_left_as_it_was(metric):
    maps, masks = torch.rand(3, 5, 6), torch.ones(3, 5, 6, dtype=torch.bool)
    before = maps.clone()
    metric.function(maps, masks)
    assert torch.equal(maps, before)
    assert masks.all()


@pytest.fixture
def unchecked():
    """Without the checks of shapes that only tests have."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@every
@pytest.mark.parametrize(
    ("maps", "masks", "fact"),
    [
        (torch.rand(2, 3, 4), torch.ones(2, 4, 3, dtype=torch.bool), r"\(2, 3, 4\).*\(2, 4, 3\)"),
        (torch.rand(2, 3, 4), torch.ones(1, 3, 4, dtype=torch.bool), r"\(2, 3, 4\).*\(1, 3, 4\)"),
        (torch.rand(2, 3, 4), torch.arange(2)[:, None, None].expand(2, 3, 4) == 0, r"mask.*image 1\b"),
        (torch.rand(2, 3, 4) - 1, torch.ones(2, 3, 4, dtype=torch.bool), "range from"),
        (torch.rand(2, 3, 4) / 0, torch.ones(2, 3, 4, dtype=torch.bool), "not finite"),
    ],
)
def test_bad_input(metric, maps, masks, fact, unchecked):
    with pytest.raises(UsageError, match=fact):
        metric.function(maps, masks)
