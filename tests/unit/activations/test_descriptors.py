"""Descriptors against their definition written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vebi.activations.descriptors import Descriptor, channel_energy, describe, descriptors
from vebi.activations.layers import choose_layers
from vebi.errors import ModelError
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
    return torch.tensor(rows)


@pytest.mark.parametrize("energy", ["squared", "l2"])
@pytest.mark.parametrize("unit_norm", [True, False])
def test_definition(energy, unit_norm):
    torch.manual_seed(0)
    activations = [torch.randn(3, 4, 5, 6), torch.randn(3, 2), torch.randn(3, 3, 1, 1).relu()]
    activations[1][2] = 0  # silent for the last image
    got = descriptors([channel_energy(a, energy) for a in activations], unit_norm)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, literal(activations, energy, unit_norm))
    assert (got[2, 4:6] == 0).all()


def test_silence_is_zero_and_not_nan():
    silent = [torch.zeros(2, 3), torch.zeros(2, 4)]
    for unit_norm in (True, False):
        assert torch.equal(descriptors(silent, unit_norm), torch.zeros(2, 7))
    faint = descriptors([torch.tensor([[1e-30, 3e-30]])], True)
    torch.testing.assert_close(faint, torch.tensor([[1.0, 3.0]]) / 10**0.5)


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
    if not hidden:  # then the class scores are not finite either, and the layer is named all the same
        net.forward = lambda x: net.head(F.silu(F.relu(net.conv(x)) * value).mean((2, 3)))
    classifier = Classifier(net, Preprocess(8, (0.5,) * 3, (0.5,) * 3))
    good = Nan(0.0)
    layers = choose_layers(Classifier(good, classifier.preprocess))
    with pytest.raises(ModelError, match=r"silu .*NaN"):
        describe(classifier, layers, torch.randn(2, 3, 8, 8), Descriptor())
    assert not any(m._forward_hooks for m in net.modules())


def test_description_of_a_batch(toy):
    x = torch.randn(5, 3, 32, 32)
    rows, scores = describe(toy, choose_layers(toy), x, Descriptor())
    net = toy.model
    with torch.no_grad():
        a = F.relu(net.conv1(x))
        b = F.relu(net.conv2(F.max_pool2d(a, 2)))
        torch.testing.assert_close(rows, literal([a, b], "squared", True), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(scores, net(x))
