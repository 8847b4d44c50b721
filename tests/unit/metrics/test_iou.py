"""IoU curves against values worked out by hand and a slow loop over pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vebi.errors import UsageError
from vebi.metrics.iou import auc_iou, best_iou, iou_curve


def literal(heat, mask, t):
    """|{heat >= t} and mask| / |{heat >= t} or mask|, pixel by pixel."""
    common = either = 0
    for h, m in zip(heat.flat, mask.flat, strict=True):
        common += h >= t and m
        either += h >= t or m
    return common / either


def tensors(heat, mask):
    return torch.tensor(heat, dtype=torch.float32)[None], torch.tensor(mask, dtype=torch.bool)[None]


def test_by_hand():
    heat, mask = tensors([[1.0, 0.6], [0.2, 0.0]], [[1, 0], [1, 0]])
    curve = iou_curve(heat, mask, torch.tensor([0.0, 0.2, 0.21, 0.6, 0.7, 1.0]))
    assert curve[0].tolist() == pytest.approx([2 / 4, 2 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2])
    # 101 thresholds: 0; .01 to .20; .21 to .60; .61 to 1
    heat, mask = heat.double(), mask
    expected = (2 / 4 + 20 * 2 / 3 + 40 / 3 + 40 / 2) / 101
    assert auc_iou(heat, mask).item() == pytest.approx(expected, abs=0.01)
    assert auc_iou(heat, mask, steps=3).item() == pytest.approx((2 / 4 + 1 / 3 + 1 / 2) / 3)


def test_special_maps():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, :2] = True
    perfect = mask.float()
    assert auc_iou(perfect, mask).item() == pytest.approx((0.5 + 100) / 101)
    assert auc_iou(1 - perfect, mask).item() == pytest.approx(0.5 / 101)
    assert auc_iou(torch.zeros(1, 4, 4), mask).item() == pytest.approx(0.5 / 101)
    assert auc_iou(torch.ones(1, 4, 4), mask).item() == pytest.approx(0.5)
    assert auc_iou(torch.ones(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)).item() == 1


def test_best_iou_by_hand():
    heat, mask = tensors([[1.0, 0.6], [0.2, 0.0]], [[1, 0], [1, 0]])
    assert best_iou(heat, mask).item() == pytest.approx(2 / 3)  # of 2/4, 2/3, 1/3 and 1/2, see above
    assert best_iou(heat, mask, steps=3).item() == pytest.approx(1 / 2)  # thresholds 0, 0.5, 1 miss it
    quarter = torch.zeros(1, 4, 4, dtype=torch.bool)
    quarter[0, 0] = True
    perfect = quarter.float()
    assert best_iou(perfect, quarter).item() == 1
    for empty_handed in (1 - perfect, torch.zeros(1, 4, 4), torch.ones(1, 4, 4)):
        assert best_iou(empty_handed, quarter).item() == 0.25  # nothing beats all of the image
    assert best_iou(torch.rand(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)).item() == 1


def test_images_do_not_mix():
    generator = torch.Generator().manual_seed(0)
    maps, masks = torch.rand(5, 6, 7, generator=generator), torch.rand(5, 6, 7, generator=generator) > 0.6
    for metric in (auc_iou, best_iou):
        alone = torch.cat([metric(m[None], k[None]) for m, k in zip(maps, masks, strict=True)])
        torch.testing.assert_close(metric(maps, masks), alone)


@settings(max_examples=60, deadline=None)
@given(
    heat=arrays(np.float32, (3, 4), elements=st.integers(0, 20).map(lambda i: i / 20)),
    mask=arrays(np.bool_, (3, 4)),
    thresholds=st.lists(st.integers(0, 20).map(lambda i: i / 20), min_size=1, max_size=8).map(sorted),
)
def test_against_a_slow_loop(heat, mask, thresholds):
    mask[0, 0] = True
    thresholds = np.array(thresholds, np.float32)
    got = iou_curve(*tensors(heat, mask), torch.from_numpy(thresholds))
    np.testing.assert_allclose(got[0], [literal(heat, mask, t) for t in thresholds], rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(heat=arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)), mask=arrays(np.bool_, (3, 4)))
def test_area_is_the_mean_over_the_curve(heat, mask):
    mask[2, 1] = True
    grid = torch.linspace(0, 1, 101).numpy()
    expected = np.mean([literal(heat, mask, t) for t in grid])
    got = auc_iou(*tensors(heat, mask)).item()
    assert got == pytest.approx(expected, rel=1e-5)
    assert 0 <= got <= 1
    assert best_iou(*tensors(heat, mask)).item() == pytest.approx(max(literal(heat, mask, t) for t in grid), rel=1e-5)


def test_bad_input():
    masks = torch.ones(2, 3, 3, dtype=torch.bool)
    for bad in (1.5, -0.1):
        with pytest.raises(UsageError, match="range from"):
            auc_iou(torch.full((2, 3, 3), bad), masks)
    with pytest.raises(UsageError, match=r"image 0\b.*not finite"):
        auc_iou(torch.full((2, 3, 3), float("nan")), masks)
    masks[1] = False
    with pytest.raises(UsageError, match=r"mask.*image 1\b"):
        auc_iou(torch.rand(2, 3, 3), masks)
