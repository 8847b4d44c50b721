"""Descriptors against their definition written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vebi.activations.descriptors import Descriptor, channel_energy, describe, descriptors, energy_shares
from vebi.activations.layers import choose_layers
from vebi.errors import ModelError, UsageError
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


def literal(activations, energy, unit_norm):
    """METHOD: per channel the sum of squares (or its root), l1 per layer, side by side, l2 over all."""
    rows = []
    for n in range(len(activations[0])):
        row = []
        for activation in activations:
            values = []
            for channel in activation[n]:
                total = sum(float(v) ** 2 for v in channel.flatten())
                values.append(total if energy == "squared" else total**0.5)
            total = sum(values)
            row += [v / total if total > 0 else 0.0 for v in values]
        length = sum(v**2 for v in row) ** 0.5
        rows.append([v / length for v in row] if unit_norm and length > 0 else row)
    return np.array(rows)


@pytest.mark.parametrize("energy", ["squared", "l2"])
@pytest.mark.parametrize("unit_norm", [True, False])
def test_definition(energy, unit_norm):
    torch.manual_seed(0)
    activations = [torch.randn(3, 4, 5, 6), torch.randn(3, 2), torch.randn(3, 3, 1, 1).relu()]
    activations[1][2] = 0  # silent for the last image
    shares = energy_shares([channel_energy(a) for a in activations])
    assert shares.dtype == np.float32
    for scaling in ("plain", "centred", "standardised"):  # columns are scaled later, all images together
        got = descriptors(shares, [4, 2, 3], Descriptor(energy, unit_norm, scaling))
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, literal(activations, energy, unit_norm), rtol=1e-5)
        assert (got[2, 4:6] == 0).all()


@pytest.mark.parametrize("energy", ["squared", "l2"])
def test_logarithms_of_shares(energy):
    rng = np.random.default_rng(0)
    shares = rng.random((5, 7)).astype(np.float32)
    shares[1, :3] = 0
    plain = descriptors(shares, [3, 4], Descriptor(energy, False, "plain"))
    log, clr = (descriptors(shares, [3, 4], Descriptor(energy, False, scaling)) for scaling in ("log", "clr"))
    np.testing.assert_allclose(log, np.log(plain + 1e-4))
    for layer in (slice(0, 3), slice(3, 7)):
        np.testing.assert_allclose(clr[:, layer], log[:, layer] - log[:, layer].mean(axis=1, keepdims=True), atol=1e-12)
    assert np.isfinite(log).all()


def test_shares_of_a_layer_add_up_to_one_to_the_last_digit():
    """Else columns that depend on each other would not, by the rounding of single precision."""
    shares = energy_shares([torch.rand(50, 40), torch.rand(50, 9)])
    for energy in ("squared", "l2"):
        rows = descriptors(shares, [40, 9], Descriptor(energy, False))
        np.testing.assert_allclose(rows[:, :40].sum(axis=1), 1, atol=1e-14)
        np.testing.assert_allclose(rows[:, 40:].sum(axis=1), 1, atol=1e-14)


def test_silence_is_zero_and_not_nan():
    silent = energy_shares([torch.zeros(2, 3), torch.zeros(2, 4)])
    for unit_norm in (True, False):
        assert (descriptors(silent, [3, 4], Descriptor("l2", unit_norm)) == 0).all()
    faint = energy_shares([channel_energy(torch.tensor([[1e-15, 3e-15]]))])
    rows = descriptors(faint, [2], Descriptor("squared", True))
    np.testing.assert_allclose(rows, [[0.1 / 0.82**0.5, 0.9 / 0.82**0.5]], rtol=1e-6)


@pytest.mark.parametrize("options", [("max",), ("l2", True, "scaled")])
def test_descriptors_that_cannot_be(options):
    with pytest.raises(UsageError, match=repr(options[-1])):
        Descriptor(*options)


class Nan(nn.Module):
    """The second of its two layers gives ``value`` where the first is above 0."""

    def __init__(self, value=float("nan")):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)
        self.value = value

    def forward(self, x):
        x = F.relu(self.conv(x))
        y = F.silu(torch.where(x > 0, self.value, x))
        return self.head(torch.nan_to_num(y, 0, 0, 0).mean((2, 3)) + x.mean((2, 3)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("hidden", [True, False])
def test_activations_that_are_not_finite(value, hidden):
    net = Nan(value)
    if not hidden:  # then the class scores are not finite either
        net.forward = lambda x: net.head(F.silu(F.relu(net.conv(x)) * value).mean((2, 3)))
    classifier = Classifier(net, Preprocess(8, (0.5,) * 3, (0.5,) * 3))
    good = Nan(0.0)
    layers = choose_layers(Classifier(good, classifier.preprocess))
    with pytest.raises(ModelError, match=r"silu .*NaN" if hidden else r"class scores \(float32\) hold NaN"):
        describe(classifier, layers, torch.randn(2, 3, 8, 8))
    assert not any(m._forward_hooks for m in net.modules())


def test_description_of_a_batch(toy):
    x = torch.randn(5, 3, 32, 32)
    shares, scores = describe(toy, choose_layers(toy), x)
    net = toy.model
    with torch.no_grad():
        a = F.relu(net.conv1(x))
        b = F.relu(net.conv2(F.max_pool2d(a, 2)))
        np.testing.assert_allclose(shares, literal([a, b], "squared", False), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(scores, net(x))
