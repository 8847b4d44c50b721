"""From gradients to maps, and the laws of scaling and combining them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vebi.backprop.heatmaps import (
    channel_absmax,
    channel_sum,
    clip_for_display,
    combine,
    otsu_threshold,
    positive_norm,
    rescale,
)
from vebi.errors import UsageError

maps = arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)), elements=st.integers(-9, 9)
)


def test_positive_norm_by_hand():
    gradient = torch.tensor([[[[3.0, -1.0]], [[4.0, 2.0]], [[-5.0, -1.0]]]])
    assert torch.equal(positive_norm(gradient), torch.tensor([[[5.0, 2.0]]]))
    assert not positive_norm(-torch.rand(2, 3, 4, 4)).any()


@given(maps)
def test_rescale_reaches_both_ends_map_by_map(m):
    scaled = rescale(m)
    for one, before in zip(scaled, m, strict=True):
        if before.min() < before.max():
            assert one.min() == 0
            assert one.max() == 1
            literal = [(v - before.min()) / (before.max() - before.min()) for v in before.flat]
            np.testing.assert_allclose(one.flat, literal, rtol=1e-12)
        else:
            assert not one.any()


@given(maps, st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_rescale_forgets_scale_and_shift(m, scale, shift):
    np.testing.assert_allclose(rescale(m * scale + shift), rescale(m), atol=1e-9)


@given(maps)
def test_rescale_twice_is_once(m):
    assert (rescale(rescale(m)) == rescale(m)).all()


def test_rescale_keeps_type_and_input():
    m = np.array([[1, 3], [2, 5]], np.float32)
    assert rescale(m).dtype == np.float32
    assert m.max() == 5
    assert not rescale(np.zeros((2, 3, 3), np.float32)).any()


def test_combining_by_hand():
    m = np.array([[[0.0, 1.0, 2.0]], [[10.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]])
    c = np.array([0.5, 0.25, 0.25])
    assert combine(m, c).tolist() == [[1, 0.5, 1]]
    assert combine(m, c, "mean").tolist() == [[0.25, 0.25, 0.5]]
    assert combine(m.astype(np.float32), c, "mean").dtype == np.float32
    assert (combine(m[:1], c[:1]) == rescale(m[0])).all()
    with pytest.raises(UsageError, match="'median'"):
        combine(m, c, "median")


def test_for_display_a_single_pixel_does_not_leave_the_others_dark():
    m = np.linspace(0, 1, 400).reshape(1, 20, 20)
    m[0, 0, 0] = 50
    shown = clip_for_display(m, share=0.01)
    assert shown.min() == 0
    assert shown.max() == 1
    assert (shown == 1).sum() == 4
    assert np.median(shown) > 0.45
    spike = np.zeros((1, 20, 20))
    spike[0, 3, 4] = 2
    assert (clip_for_display(spike) == rescale(spike)).all()  # nothing else is there: then it is shown as it is
    assert not clip_for_display(np.zeros((2, 3, 3))).any()
    assert (np.diff(shown.ravel()[1:]) >= 0).all()


@given(maps)
def test_combinations_stay_in_range_and_max_is_above_mean(m):
    c = np.linspace(1, 2, len(m))
    top, mean = combine(m, c), combine(m, c, "mean")
    assert ((top >= 0) & (top <= 1) & (mean >= 0) & (mean <= 1)).all()
    assert (top >= mean - 1e-12).all()


def test_two_ways_from_channels_to_a_map():
    values = torch.tensor([[[[1.0]], [[-4.0]], [[2.0]]]])
    assert channel_sum(values).item() == -1
    assert channel_absmax(values).item() == 4


def test_otsu_threshold_by_hand():
    """Two values: anything between the bins of 0.1 and 0.9, which end at 26/256 and start at 230/256. Three: of the two
    ways to part 0.1, 0.2 and 0.9, that which leaves 0.9 alone, between 52/256 and 230/256."""
    assert otsu_threshold(np.array([[0.1, 0.9, 0.1, 0.1]])) == 128 / 256
    assert otsu_threshold(np.array([[0.1, 0.2, 0.9]])) == 141 / 256
