"""LayerCAM against its equations and pytorch-grad-cam's LayerCAM, which upsamples as ours does (see
``test_grad_cam``)."""

import numpy as np
import pytest
import torch
from torch import nn
from unit.methods.nets import maps_by_hand, same, scaled

from vebi.errors import UsageError
from vebi.methods.cam import LayerCam, activations_and_gradients


def equations(activation, gradient):
    """w_ij^k = relu(g_ij^k) (7), A^ = w A (8), M = ReLU(sum_k A^) (9)."""
    total = np.zeros((16, 16))
    for k in range(len(activation)):
        for i in range(16):
            for j in range(16):
                total[i, j] += max(gradient[k, i, j], 0) * activation[k, i, j]
    return np.maximum(total, 0)


def test_written_out(plain, images, targets):
    cam = LayerCam(plain)
    assert cam.layer == "relu2"
    same(cam(images, targets), maps_by_hand(equations, plain.model, images, targets))


def theirs_of(cams, net, images, targets, name):
    wanted = [cams.utils.model_targets.ClassifierOutputTarget(int(c)) for c in targets]
    with cams.LayerCAM(net, [net.get_submodule(name)]) as reference:
        return reference(images, wanted)


@pytest.mark.parametrize("name", ["relu1", "relu2"])
def test_against_pytorch_grad_cam(plain, images, targets, cams, name):
    theirs = theirs_of(cams, plain.model, images, targets, name)
    same(scaled(LayerCam(plain, name)(images, targets)), scaled(theirs))


def test_negative_activations(plain, images, targets, cams):
    """For them is the outer ReLU."""
    net = plain.model
    net.relu2 = nn.Tanh()
    with torch.no_grad():
        net.conv2.bias -= 0.2
    activation, gradient = activations_and_gradients(plain, images, targets, "relu2")
    assert ((gradient.clamp(min=0) * activation).sum(dim=1) < 0).float().mean() > 0.1
    maps = LayerCam(plain)(images, targets)
    assert maps.min() == 0
    same(scaled(maps), scaled(theirs_of(cams, net, images, targets, "relu2")))


def test_interpolation(plain, images, targets):
    nearest, bilinear = (LayerCam(plain, None, i)(images, targets) for i in ("nearest", "bilinear"))
    assert (nearest == nearest[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2)).all()
    assert (nearest != bilinear).any()
    assert (LayerCam(plain)(images, targets) == bilinear).all()
    with pytest.raises(UsageError, match="'lanczos'"):
        LayerCam(plain, interpolation="lanczos")
