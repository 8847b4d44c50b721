"""Upsampled activations against a loop over images and features, on the toy network written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import interpretation_of
from unit.methods.nets import classifier_of, same

from vebi.activations.layers import Feature
from vebi.methods.features import UpsampledActivations


@pytest.fixture
def targets():
    return torch.tensor([0, 1, 2, 2, 1, 0])


def features_of(interpretation, activations, c, count):
    """The largest x_i w_ic above 0, x the channels' energies by their layer's, made a unit vector."""
    row = []
    for a in activations:
        energy = [float((channel.double() ** 2).sum()) for channel in a]
        row += [e / sum(energy) for e in energy]
    row = np.array(row) / np.linalg.norm(row)
    values = sorted(((row[i] * interpretation.weights[c][i], i) for i in range(20)), reverse=True)
    return [i for value, i in values[:count] if value > 0]


@torch.no_grad()
def literal_map(interpretation, x, c, count, mode):
    net = interpretation.classifier.model
    a1 = net.conv1(x[None]).clamp(min=0)
    a2 = net.conv2(F.max_pool2d(a1, 2)).clamp(min=0)
    best = torch.zeros(x.shape[1:])
    layers = set()
    for i in features_of(interpretation, (a1[0], a2[0]), c, count):
        layers.add(i < 8)
        plane = a1[0, i] if i < 8 else a2[0, i - 8]
        large = F.interpolate(plane[None, None], x.shape[1:], mode=mode)[0, 0]
        best = torch.maximum(best, (large - large.min()) / (large.max() - large.min()))
    return best, layers


@pytest.mark.parametrize(("count", "mode"), [(3, "bilinear"), (1, "nearest"), (20, "bilinear")])
def test_a_loop(interpretation, images, targets, count, mode):
    maps = UpsampledActivations(interpretation, count, mode)(images, targets)
    literal = [literal_map(interpretation, x, int(c), count, mode) for x, c in zip(images, targets, strict=True)]
    same(maps, torch.stack([heat for heat, _ in literal]))
    assert set().union(*(layers for _, layers in literal)) == ({True, False} if count > 1 else {False})


def test_defaults(interpretation, images, targets):
    maps = UpsampledActivations(interpretation)(images, targets)
    assert torch.equal(maps, UpsampledActivations(interpretation, 3, "bilinear")(images, targets))
    assert ((maps >= 0) & (maps <= 1)).all()
    assert (maps.amax(dim=(1, 2)) == 1).all()


def test_the_weighted_mean(interpretation, images, targets):
    """Between one map alone and the maximum; of one feature it is that feature's map."""
    mean, most = (UpsampledActivations(interpretation, reduction=name)(images, targets) for name in ("mean", "max"))
    assert (mean <= most + 1e-6).all()
    assert not torch.allclose(mean, most)
    one = [UpsampledActivations(interpretation, 1, reduction=name)(images, targets) for name in ("mean", "max")]
    same(*one)


def test_no_feature_speaks_for_the_class(interpretation, images, targets):
    weights = interpretation.weights.copy()
    weights[1] *= -1
    maps = UpsampledActivations(replace(interpretation, weights=weights))(images, targets)
    expected = UpsampledActivations(interpretation)(images, targets)
    assert not maps[targets == 1].any()
    assert torch.equal(maps[targets != 1], expected[targets != 1])


def test_features_without_positions(plain, images, targets):
    """They add nothing to those that have some, and make no map alone."""
    both = interpretation_of(
        replace(classifier_of(plain.model), class_names=("a", "b", "c", "d", "e")),
        (("relu2", 8), ("relu3", 24)),
        features=(Feature("relu2", 3), *(Feature("relu3", c) for c in range(24))),
        columns=(3, *range(8, 32)),
        weights=np.ones((5, 25)),
    )
    maps = UpsampledActivations(both, 25)(images, targets)
    (plane,) = UpsampledActivations(replace(both, weights=np.eye(5, 25)))(images[:1], targets[:1])
    same(maps[:1], plane[None])
    scaling = both.scaling.columns(np.arange(1, 25))
    alone = replace(
        both, features=both.features[1:], columns=both.columns[1:], weights=np.ones((5, 24)), scaling=scaling
    )
    for mode in ("nearest", "bilinear", "bicubic"):
        nothing = UpsampledActivations(alone, 3, mode)(images, targets)
        assert nothing.shape == (6, 32, 32)
        assert not nothing.any()
