"""Grad-CAM++ against its equations and pytorch-grad-cam's GradCAMPlusPlus, which upsamples as ours does (see
``test_grad_cam``)."""

import numpy as np
import pytest
import torch
from torch import nn
from unit.methods.nets import by_hand, classifier_of, maps_by_hand, same, scaled, with_scores_times

from vebi.errors import UsageError
from vebi.methods.cam import GradCamPlusPlus


def equations(activation, gradient, exponential=1.0, eps=0.0):
    """Equations 19, 7 and L = ReLU(sum_k w_k A^k), with Y = exp(S): its n-th derivative is exp(S) g^n."""
    total = np.zeros((16, 16))
    for a, g in zip(activation, gradient, strict=True):
        first, second, third = (exponential * g**n for n in (1, 2, 3))
        below = 2 * second + a.sum() * third + eps
        alpha = np.where(second != 0, second / np.where(below != 0, below, 1), 0)
        total += (alpha * np.maximum(first, 0)).sum() * a
    return np.maximum(total, 0)


def scores_of(net, images, targets):
    with torch.no_grad():
        return net(images).gather(1, targets[:, None])[:, 0]


def theirs_of(cams, net, images, targets):
    wanted = [cams.utils.model_targets.ClassifierOutputTarget(int(c)) for c in targets]
    with cams.GradCAMPlusPlus(net, [net.relu2]) as reference:
        return reference(images, wanted)


@pytest.mark.parametrize("factor", [1, 100, 1e-4])
def test_written_out(plain, images, targets, factor):
    classifier = with_scores_times(plain, factor)
    cam = GradCamPlusPlus(classifier)
    assert cam.layer == "relu2"
    same(cam(images, targets), maps_by_hand(equations, classifier.model, images, targets))


def test_the_exponential_of_the_score_only_scales(plain, images, targets):
    ours = GradCamPlusPlus(plain)(images, targets)
    for x, c, one in zip(images, targets, ours, strict=True):
        score = scores_of(plain.model, x[None], c[None]).exp().item()
        literal = maps_by_hand(lambda a, g, s=score: equations(a, g, s), plain.model, x[None], c[None])
        same(one[None], literal / score)


def tiny(weights):
    """Two channels, red and green of 2 x 2 pixels, and the weights of the first class's score."""
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.Flatten(), nn.Linear(8, 2, bias=False))
    with torch.no_grad():
        net[0].weight[:] = torch.eye(3)[:2, :, None, None]
        net[2].weight[:] = torch.tensor([weights, [0.0] * 8])
    return classifier_of(net, 2)


def test_in_numbers():
    """Where a derivative g is not zero, alpha is 1 / (2 + g sum A)."""
    cam = GradCamPlusPlus(tiny([2.0, -1, 0, 3, 1, 0, 0, 0]), layer="0")
    red, green = torch.tensor([[1.0, 2], [0, 3]]), torch.tensor([[4.0, 0], [0, 0]])
    maps = cam(torch.stack([red, green, red])[None], torch.tensor([0]))
    first = 2 / (2 + 2 * 6) + 3 / (2 + 3 * 6)
    torch.testing.assert_close(maps, (first * red + 1 / (2 + 4) * green)[None])


def test_where_derivatives_are_zero(plain, images, targets):
    """Max pooling leaves three of four positions without a derivative; with no positive one a map is zero."""
    _, gradient, _ = by_hand(plain.model, images[0], targets[0])
    assert (gradient == 0).float().mean() >= 0.75
    with torch.no_grad():
        plain.model.head.weight.zero_()
    maps = GradCamPlusPlus(plain)(images, targets)
    assert maps.shape == (6, 32, 32)
    assert not maps.any()


def test_where_the_denominator_is_zero():
    """Of a layer with negative activations: g sum A is -2. Nothing is infinite, and other channels count as ever."""
    cam = GradCamPlusPlus(tiny([1.0, 1, 1, 1, 1, 0, 0, 0]), layer="0")
    red, green = torch.tensor([[-2.0, 0], [0, 0]]), torch.tensor([[4.0, 0], [0, 1]])
    maps = cam(torch.stack([red, green, red])[None], torch.tensor([0]))
    torch.testing.assert_close(maps, green[None] / (2 + 5))


def test_against_pytorch_grad_cam(plain, images, targets, cams):
    """With derivatives so large that the constant of theirs, 1e-6 beside their squares, does not matter."""
    classifier = with_scores_times(plain, 1e4)
    theirs = theirs_of(cams, classifier.model, images, targets)
    same(scaled(GradCamPlusPlus(classifier)(images, targets)), scaled(theirs))


def test_small_derivatives(plain, images, targets, cams):
    """Where the constant of pytorch-grad-cam does matter: theirs is the formula with it, ours the one of the paper."""
    net = with_scores_times(plain, 1e-2).model
    theirs = scaled(theirs_of(cams, net, images, targets))
    ours = scaled(GradCamPlusPlus(with_scores_times(plain, 1e-2))(images, targets))
    same(theirs, scaled(maps_by_hand(lambda a, g: equations(a, g, eps=1e-6), net, images, targets)), 1e-3)
    same(ours, scaled(maps_by_hand(equations, net, images, targets)))
    assert np.abs(ours - theirs).max() > 0.02


def test_interpolation(plain, images, targets):
    nearest, bilinear = (GradCamPlusPlus(plain, None, i)(images, targets) for i in ("nearest", "bilinear"))
    assert (nearest == nearest[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2)).all()
    assert (nearest != bilinear).any()
    assert (GradCamPlusPlus(plain)(images, targets) == bilinear).all()
    with pytest.raises(UsageError, match="'lanczos'"):
        GradCamPlusPlus(plain, interpolation="lanczos")
