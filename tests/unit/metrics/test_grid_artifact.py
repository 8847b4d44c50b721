"""Exact values for patterns worked out by hand, and what the stride fix does to them."""

import numpy as np
import pytest
import torch
from torch import nn

from vebi.activations.layers import Feature
from vebi.backprop.feature_maps import batch_feature_maps
from vebi.errors import UsageError
from vebi.metrics.grid_artifact import grid_energy, low_pass, low_pass_correlation, white_noise
from vebi.models.classifier import Classifier
from vebi.models.flowernet import FlowerNet
from vebi.models.preprocess import Preprocess

Y, X = np.mgrid[:48, :48].astype(float)
BLOB = np.exp(-((Y - 24) ** 2 + (X - 24) ** 2) / 100)


def grid(s):
    return ((Y % s == 0) & (X % s == 0)).astype(float)


@pytest.mark.parametrize("s", [2, 3, 4, 6])
def test_a_grid_is_all_grid_and_a_blob_is_none(s):
    assert grid_energy(grid(s)[None], s) == pytest.approx(1, abs=1e-3)
    assert grid_energy(BLOB[None], s) == pytest.approx(0, abs=1e-3)
    assert grid_energy((BLOB * (1 + 3 * grid(s)))[None], s) > 0.3  # a grid in the shape of an object


def test_of_a_sum_the_share_is_that_of_the_energies():
    wave, line = np.cos(2 * np.pi * 5 * X / 48), np.cos(2 * np.pi * X / 4)
    for a in (0.5, 1.0, 3.0):
        assert grid_energy((wave + a * line)[None], 4) == pytest.approx(a**2 / (1 + a**2), abs=1e-3)


def test_a_grid_of_another_period_counts_where_frequencies_meet():
    line = np.cos(2 * np.pi * X / 4)[None]
    assert grid_energy(line, 2) == pytest.approx(0, abs=1e-3)
    assert grid_energy(line, 8) == pytest.approx(1, abs=1e-3)


def test_white_noise_has_the_share_of_the_bins():
    noise = np.random.default_rng(0).normal(size=(200, 48, 48))
    assert white_noise(48, 48, 4) == 15 * 9 / (48 * 48 - 9)
    assert white_noise(51, 50, 4) == white_noise(48, 48, 4)
    assert grid_energy(noise, 4).mean() == pytest.approx(white_noise(48, 48, 4), rel=0.05)


@pytest.mark.parametrize("s", [5, 7])
def test_a_stride_that_does_not_divide_the_size(s):
    assert grid_energy(grid(s)[None], s) == pytest.approx(1, abs=1e-3)


def test_laws():
    maps = np.random.default_rng(1).random((3, 40, 32)) * BLOB[:40, :32]
    energy = grid_energy(maps, 4)
    assert grid_energy(7 * maps, 4) == pytest.approx(energy)
    assert grid_energy(maps + 5, 4) == pytest.approx(energy, abs=1e-6)
    assert grid_energy(maps.transpose(0, 2, 1), 4) == pytest.approx(energy)
    assert ((energy >= 0) & (energy <= 1)).all()
    assert grid_energy(np.zeros((2, 16, 16)), 2).tolist() == [0, 0]


@pytest.mark.parametrize("type_", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-12, 1 / 3, 1e9])
def test_raw_maps_may_be_of_any_size(scale, type_):
    assert grid_energy(np.full((1, 48, 48), scale, type_), 4) == 0  # rounding is no energy
    wave, line = np.cos(2 * np.pi * 5 * X / 48), np.cos(2 * np.pi * X / 4)
    maps = (scale * np.stack([wave + line, line])).astype(type_)
    assert grid_energy(maps, 4) == pytest.approx([0.5, 1], abs=1e-3)
    assert low_pass_correlation(maps[:1], scale * maps[:1], 4) == pytest.approx(1)
    assert low_pass_correlation(maps[:1], np.full((1, 48, 48), scale, type_), 4) == 0


@pytest.mark.parametrize(("k", "share"), [(0, 1), (1, 6 / 7), (2, 1 / 6), (8, 0)])
def test_a_modulated_line_counts_as_far_as_it_stays_near_the_line(k, share):
    """cos(k y) moves half of a line by k bins to either side, and the window smears each half as -1, 2, -1. That
    makes -1, 2, -2, 2, -1 around the line for k = 1, and -1, 2, -1, 0, -1, 2, -1 for k = 2; the middle three count."""
    y, x = (2 * np.pi * axis / 96 for axis in np.mgrid[:96, :96])
    assert grid_energy((np.cos(k * y) * np.cos(24 * x))[None], 4) == pytest.approx(share, abs=0.01)


def test_what_lies_below_the_grid():
    slow, fast = np.cos(2 * np.pi * 3 * X / 48), np.cos(2 * np.pi * X / 4)
    assert low_pass((1 + slow + fast)[None], 4)[0] == pytest.approx(1 + slow)
    assert low_pass_correlation((slow + fast)[None], (2 * slow - fast + 1)[None], 4) == pytest.approx(1)
    assert low_pass_correlation(slow[None], -slow[None], 4) == pytest.approx(-1)
    assert low_pass_correlation(slow[None], np.ones((1, 48, 48)), 4) == 0


@pytest.mark.parametrize(("stride", "side"), [(1, 16), (0, 16), (4, 15)])
def test_impossible_strides(stride, side):
    with pytest.raises(UsageError, match=rf"stride is {stride}\b.*{side} x {side}"):
        grid_energy(np.zeros((1, side, side)), stride)


class Coarse(nn.Module):
    """Begins with an 11 x 11 convolution of stride 4."""

    def __init__(self):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 32, 11, stride=4, padding=2), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()

    def forward(self, x):
        return self.relu2(self.conv2(self.relu1(self.conv1(x)))).mean((2, 3))


@pytest.mark.parametrize(
    ("make", "stride", "layers"), [(lambda: FlowerNet(6), 2, ("relu1", "relu2")), (Coarse, 4, ("relu1", "relu2"))]
)
def test_the_stride_fix_takes_the_grid_away_and_leaves_the_rest(make, stride, layers):
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():  # smooth as those of trained networks: of noise there is no content below the grid to keep
        rough = torch.randn(32, 3, 3, 3)
        net.conv1.weight.copy_(nn.functional.interpolate(rough, net.conv1.kernel_size, mode="bicubic"))
    classifier = Classifier(net, Preprocess(112, (0.5,) * 3, (0.25,) * 3))
    images = nn.functional.interpolate(torch.randn(3, 3, 14, 14), size=112, mode="bicubic")
    features = [Feature(layer, c) for layer in layers for c in (1, 4, 9)]
    plain, fixed = (
        batch_feature_maps(classifier, images, features, stride_fix=fix).reshape(-1, 112, 112).astype(float)
        for fix in (None, "centred")
    )
    fires = plain.any(axis=(1, 2)) & fixed.any(axis=(1, 2))
    assert fires.mean() > 0.5
    plain, fixed = plain[fires], fixed[fires]
    assert grid_energy(plain, stride).mean() >= 5 * grid_energy(fixed, stride).mean()
    assert low_pass_correlation(plain, fixed, stride).mean() >= 0.9
