"""The blur against scipy's, and what it leaves alone."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from vebi.metrics.gaussian import gaussian_filter


@pytest.mark.parametrize(("sigma", "radius"), [(1.5, 5), (0.4, 1), (3.0, 7), (0.05, 0)])
def test_against_scipy(sigma, radius):
    maps = np.random.default_rng(0).normal(size=(3, 9, 14))
    expected = ndimage.gaussian_filter(maps, (0, sigma, sigma), mode="mirror", radius=(0, radius, radius))
    np.testing.assert_allclose(gaussian_filter(torch.from_numpy(maps), sigma, radius).numpy(), expected, atol=1e-12)


def test_by_hand():
    """A point of light in the middle becomes the window: 1, 2, 1 over 4 where exp(-1 / (2 sigma^2)) is a half."""
    point = torch.zeros(1, 5, 5, dtype=torch.float64)
    point[0, 2, 2] = 16
    blurred = gaussian_filter(point, (2 * np.log(2)) ** -0.5, 1)[0]
    assert blurred[1:4, 1:4].numpy() == pytest.approx(np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]))
    assert blurred.sum().item() == pytest.approx(16)


def test_a_constant_stays():
    assert gaussian_filter(torch.full((2, 8, 6), 0.7), 1.5, 5).numpy() == pytest.approx(0.7)
