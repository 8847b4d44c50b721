"""Occlusion, RISE and Score-CAM against their definitions written out, and captum's Occlusion."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from unit.methods.nets import classifier_of, same

from vebi.errors import UsageError
from vebi.methods.perturbation import Occlusion, Rise, ScoreCam, passes


def test_passes():
    assert [list(range(7))[part] for part in passes(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [list(range(6))[part] for part in passes(6, 3)] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("kind", [Occlusion, Rise, ScoreCam])
def test_the_size_of_a_pass_changes_nothing(plain, images, targets, kind):
    largest = 0

    def watch(_module, inputs):
        nonlocal largest
        largest = max(largest, len(inputs[0]))

    handle = plain.model.register_forward_pre_hook(watch)
    maps = kind(plain, batch_size=7)(images, targets)
    handle.remove()
    assert largest == 7
    same(maps, kind(plain)(images, targets))


@pytest.mark.parametrize("kind", [Occlusion, Rise])
def test_a_map_owes_nothing_to_its_batch(plain, images, targets, kind):
    explain = kind(plain)
    together = explain(images, targets)
    for i in range(6):
        assert torch.equal(explain(images[i : i + 1], targets[i : i + 1])[0], together[i])


# --- occlusion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "stride", "starts"), [(8, 8, [0, 8, 16, 24]), (16, 5, [0, 5, 10, 15, 16])])
def test_occlusion_written_out(plain, images, targets, window, stride, starts):
    """For each pixel the mean drop over the windows that cover it; a last window ends at the border."""
    literal = torch.zeros(6, 32, 32, dtype=torch.float64)
    count = torch.zeros(32, 32)
    scores = plain.model(images)
    for y in starts:
        for x in starts:
            hidden = images.clone()
            hidden[:, :, y : y + window, x : x + window] = 0
            drop = (scores - plain.model(hidden)).gather(1, targets[:, None])[:, 0]
            literal[:, y : y + window, x : x + window] += drop.detach()[:, None, None]
            count[y : y + window, x : x + window] += 1
    assert count.min() >= 1
    maps = Occlusion(plain, window, stride)(images, targets)
    same(maps, literal / count)
    assert maps.min() < 0 < maps.max()


def test_occlusion_finds_what_the_score_is_made_of(targets):
    """The score is the sum of a patch: only windows that touch it change it, by what they hide of it."""

    class Patch(nn.Module):
        def forward(self, x):
            total = x[:, :, 8:16, 4:12].sum(dim=(1, 2, 3))
            return torch.stack([total, -total], dim=1)

    maps = Occlusion(classifier_of(Patch()), 4, 4)(torch.ones(2, 3, 32, 32), torch.tensor([0, 1]))
    expected = torch.zeros(32, 32)
    expected[8:16, 4:12] = 3 * 4 * 4
    assert torch.equal(maps, torch.stack([expected, -expected]))


def test_occlusion_against_captum(plain, images, targets, captum):
    """Whose map is the mean over windows, too, where stride and window cover the image without a rest."""
    reference = captum.Occlusion(plain.model)
    theirs = reference.attribute(images, (3, 8, 8), strides=(3, 4, 4), target=targets, baselines=0)
    same(Occlusion(plain, 8, 4)(images, targets), theirs[:, 0], 1e-3)


@pytest.mark.parametrize("options", [{"window": 33}, {"window": 4, "stride": 5}, {"stride": 0}, {"batch_size": 0}])
def test_windows_that_cannot_be(plain, options):
    with pytest.raises(UsageError, match=str(next(reversed(options.values())))):
        Occlusion(plain, **options)


# --- RISE -------------------------------------------------------------------------------------------------------------


def test_rise_written_out(plain, images, targets):
    """1 / (E[M] N) times the sum of f(I * M_i) M_i, each mask a grid of cells enlarged and shifted."""
    chance = torch.Generator().manual_seed(5)
    grids = (torch.rand(9, 1, 5, 5, generator=chance) < 0.3).float()
    down, right = torch.randint(7, (9,), generator=chance), torch.randint(7, (9,), generator=chance)  # 7 = ceil(32 / 5)
    literal = torch.zeros(6, 32, 32)
    for grid, y, x in zip(grids, down.tolist(), right.tolist(), strict=True):
        mask = F.interpolate(grid[None], (42, 42), mode="bilinear")[0, 0, y : y + 32, x : x + 32]
        probability = plain.model(images * mask).softmax(dim=1).gather(1, targets[:, None])
        literal += probability.detach()[:, :, None] * mask / (0.3 * 9)
    same(Rise(plain, n_masks=9, cells=5, probability=0.3, seed=5)(images, targets), literal)


@pytest.mark.parametrize(("height", "width", "cells"), [(32, 32, 7), (24, 40, 7), (33, 32, 4), (5, 5, 7)])
def test_masks_of_rise(plain, height, width, cells):
    """As large as the image, in [0, 1], on average seen as often as is asked for."""
    masks = torch.cat(list(Rise(plain, 600, cells, 0.3)._masks(height, width)))
    assert masks.shape == (600, height, width)
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-6
    assert (masks.mean(dim=0) - 0.3).abs().max() < 5 * math.sqrt(0.3 * 0.7 / 600)


def test_the_seed_of_rise(plain, images, targets):
    one, other = (Rise(plain, 20, seed=seed)(images, targets) for seed in (0, 1))
    assert ((one - other).abs().amax(dim=(1, 2)) > 0.05 * one.amax(dim=(1, 2))).all()


@pytest.mark.parametrize("options", [{"n_masks": 0}, {"cells": 0}, {"probability": 0}, {"probability": 1}])
def test_masks_that_cannot_be(plain, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        Rise(plain, **options)


# --- Score-CAM --------------------------------------------------------------------------------------------------------


def score_cam(net, x, target, mode):
    """ReLU(sum_k (f(X * H_k) - f(0)) A_k), H_k the upsampled activation of channel k scaled to [0, 1]."""
    with torch.no_grad():
        activation = net.relu2(net.conv2(net.relu1(net.conv1(x[None]))))[0]
        baseline = net(torch.zeros_like(x)[None]).softmax(dim=1)[0, target]
        total = torch.zeros(16, 16)
        for channel in activation:
            mask = F.interpolate(channel[None, None], 32, mode=mode)[0, 0]
            if channel.max() > channel.min():
                mask = (mask - mask.min()) / (mask.max() - mask.min())
                total += (net((x * mask)[None]).softmax(dim=1)[0, target] - baseline) * channel
        return F.interpolate(total.clamp(min=0)[None, None], 32, mode=mode)[0, 0]


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_score_cam_written_out(plain, images, targets, mode):
    with torch.no_grad():
        plain.model.head.weight *= 4  # probabilities that differ
    cam = ScoreCam(plain, interpolation=mode)
    assert cam.layer == "relu2"
    literal = torch.stack([score_cam(plain.model, x, c, mode) for x, c in zip(images, targets.tolist(), strict=True)])
    same(cam(images, targets), literal)


def test_a_channel_that_is_the_same_everywhere_counts_nothing(plain, images, targets):
    """Not even by the rounding errors of its upsampling."""
    with torch.no_grad():
        plain.model.conv2.weight[3] = 0
        plain.model.conv2.bias[3] = 1 / 3
    cam = ScoreCam(plain)
    constant = torch.full((1, 7, 7), 1 / 3)
    enlarged = F.interpolate(constant[None], 32, mode="bilinear")
    assert enlarged.max() > enlarged.min()
    assert not cam._masks(constant, images[0]).any()
    literal = torch.stack([score_cam(plain.model, x, c, "bilinear") for x, c in zip(images, targets, strict=True)])
    same(cam(images, targets), literal)


def test_score_cam_is_blank_where_no_channel_raises_the_probability(plain, images, targets):
    """Of a class that the mean colour already has."""
    with torch.no_grad():
        plain.model.head.bias[2] += 100
    assert not ScoreCam(plain)(images, torch.full((6,), 2)).any()


def test_score_cam_of_another_layer(plain, images, targets):
    early = ScoreCam(plain, "relu1")
    assert early.layer == "relu1"
    assert (early(images, targets) - ScoreCam(plain)(images, targets)).abs().max() > 0
    with pytest.raises(UsageError, match="relu3"):
        ScoreCam(plain, "relu3")
