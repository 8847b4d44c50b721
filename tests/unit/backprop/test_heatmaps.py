"""Scaling laws and pictures of heatmaps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vebi.backprop.heatmaps import added, combine, for_display, from_gradient, rescale, strongest
from vebi.benchmark.common_transform import common_transform
from vebi.errors import UsageError
from vebi.reports.colors import RAMP, colourize, overlay

maps = arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)), elements=st.integers(-9, 9)
)


def test_from_gradient_by_hand():
    gradient = torch.tensor([[[[3.0, -1.0]], [[4.0, 2.0]], [[-5.0, -1.0]]]])
    assert torch.equal(from_gradient(gradient), torch.tensor([[[5.0, 2.0]]]))
    assert not from_gradient(-torch.rand(2, 3, 4, 4)).any()


@given(maps)
def test_rescale_reaches_both_ends_map_by_map(m):
    scaled = rescale(m)
    for one, before in zip(scaled, m, strict=True):
        if before.min() < before.max():
            assert one.min() == 0 and one.max() == 1
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
    assert rescale(m).dtype == np.float32 and m.max() == 5
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


def test_for_looking_at_a_single_pixel_does_not_leave_the_others_dark():
    m = np.linspace(0, 1, 400).reshape(1, 20, 20)
    m[0, 0, 0] = 50
    shown = for_display(m, share=0.01)
    assert shown.min() == 0 and shown.max() == 1
    assert (shown == 1).sum() == 4 and np.median(shown) > 0.45
    spike = np.zeros((1, 20, 20))
    spike[0, 3, 4] = 2
    assert (for_display(spike) == rescale(spike)).all()  # nothing else is there: then it is shown as it is
    assert not for_display(np.zeros((2, 3, 3))).any()
    assert (np.diff(shown.ravel()[1:]) >= 0).all()


@given(maps)
def test_combinations_stay_in_range_and_max_is_above_mean(m):
    c = np.linspace(1, 2, len(m))
    top, mean = combine(m, c), combine(m, c, "mean")
    assert ((top >= 0) & (top <= 1) & (mean >= 0) & (mean <= 1)).all()
    assert (top >= mean - 1e-12).all()


def test_colours_run_from_dark_to_bright():
    strip = colourize(np.linspace(0, 1, 50)[None])
    lightness = strip[0] @ np.array([0.2126, 0.7152, 0.0722])
    assert strip.shape == (1, 50, 3) and strip.dtype == np.uint8
    assert (np.diff(lightness) > 0).all()
    assert tuple(strip[0, 0]) == RAMP[0] and tuple(strip[0, -1]) == RAMP[-1]


def test_steps_of_the_colours_look_alike():
    """Distances in OKLab (Ottosson 2020), which is made so that equal ones look equal."""
    colours = colourize(np.linspace(0, 1, 64)[None])[0] / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    cones = linear @ [[0.4122, 0.2119, 0.0883], [0.5363, 0.6807, 0.2817], [0.0514, 0.1074, 0.63]]
    lab = np.cbrt(cones) @ [[0.2105, 1.978, 0.0259], [0.7936, -2.4286, 0.7828], [-0.0041, 0.4506, -0.8087]]
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert abs(steps / steps.mean() - 1).max() < 0.15
    assert (np.diff(lab[:, 0]) > 0).all()


def test_the_brightest_is_the_highest_whatever_lies_below():
    ground = np.repeat(np.array([[0, 128, 255]], np.uint8)[..., None], 3, axis=2)
    light = [overlay(ground, np.full((1, 3), h)) @ np.array([0.2126, 0.7152, 0.0722]) for h in (0.0, 0.6, 0.8, 1.0)]
    assert (np.diff(np.concatenate(light), axis=0) > 0).all()
    assert light[0].max() < 90 and light[3].min() > 200


def test_overlay():
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    heat = np.zeros((6, 9))
    heat[2, 3] = 1
    page = overlay(image, heat)
    assert page.shape == (6, 9, 3) and page.dtype == np.uint8
    rest = np.delete(page.reshape(-1, 3), 2 * 9 + 3, axis=0)
    assert (rest == rest[:, :1]).all()  # grey where nothing is shown
    assert abs(page[2, 3].astype(int) - RAMP[-1]).max() < 40
    assert (overlay(image, heat, strength=0.0) == overlay(image, np.zeros((6, 9)))).all()


def blob(size=56):
    y, x = np.mgrid[:size, :size]
    return (((y - 20) ** 2 + (x - 30) ** 2) < 100).astype(np.float32)


def test_the_common_transform_keeps_a_clean_region_and_drops_a_faint_ground():
    rng = np.random.default_rng(0)
    clean = blob()
    noisy = clean * rng.random((56, 56), np.float32) + 0.2 * rng.random((56, 56), np.float32)
    found = common_transform(np.stack([clean, noisy]))
    inside = clean > 0
    assert found.dtype == np.float32 and found.min() == 0 and found.max() == 1
    for one in found:
        assert one[inside].mean() > 0.9 and one[~inside].mean() < 0.05


def test_the_common_transform_ignores_scale_offset_and_company():
    rng = np.random.default_rng(1)
    maps = rng.random((3, 40, 40))
    found = common_transform(maps)
    np.testing.assert_allclose(common_transform(5 * maps + 2), found, atol=1e-6)
    for one, alone in zip(maps, found, strict=True):
        np.testing.assert_allclose(common_transform(one[None])[0], alone)
    assert not common_transform(np.full((1, 40, 40), 0.7)).any() and not common_transform(np.zeros((1, 40, 40))).any()


def test_the_threshold_of_the_common_transform_is_otsus():
    """Literally: the threshold between 256 bins that leaves the largest variance between the two sides."""
    from scipy.ndimage import gaussian_filter

    one = np.random.default_rng(2).gamma(0.5, size=(56, 56))
    blurred = rescale(gaussian_filter(one, 1.0))
    counts, edges = np.histogram(blurred, 256, (0, 1))
    centres, best = (edges[:-1] + edges[1:]) / 2, (-1.0, 0.0)
    for k in range(1, 256):
        low, high = counts[:k].sum(), counts[k:].sum()
        if low and high:
            means = (counts[:k] * centres[:k]).sum() / low, (counts[k:] * centres[k:]).sum() / high
            best = max(best, (low * high * (means[1] - means[0]) ** 2, edges[k]))
    expected = rescale(1 / (1 + np.exp((best[1] - blurred) / 0.05)))
    np.testing.assert_allclose(common_transform(one[None])[0], expected, atol=1e-6)


def test_two_ways_from_colours_to_a_map():
    values = torch.tensor([[[[1.0]], [[-4.0]], [[2.0]]]])
    assert added(values).item() == -1 and strongest(values).item() == 4
