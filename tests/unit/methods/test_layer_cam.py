"""LayerCAM against its equations and pytorch-grad-cam's LayerCAM, whose way of enlarging is that of ours (see
``test_grad_cam``)."""

import numpy as np
import pytest
import torch
from torch import nn
from unit.methods.nets import maps_by_hand, same, scaled

from vebi.errors import UsageError
from vebi.methods.cam import LayerCam, evidence


def equations(activation, gradient):
    """w_ij^k = relu(g_ij^k) (7), A^ = w A (8), M = ReLU(sum_k A^) (9)."""
    total = np.zeros((16, 16))
    for k in range(len(activation)):
        for i in range(16):
            for j in range(16):
                total[i, j] += max(gradient[k, i, j], 0) * activation[k, i, j]
    return np.maximum(total, 0)


def test_written_out(plain, pictures, targets):
    cam = LayerCam(plain)
    assert cam.layer == "relu2"
    same(cam(pictures, targets), maps_by_hand(equations, plain.module, pictures, targets))


def theirs_of(cams, net, pictures, targets, name):
    wanted = [cams.utils.model_targets.ClassifierOutputTarget(int(c)) for c in targets]
    with cams.LayerCAM(net, [net.get_submodule(name)]) as reference:
        return reference(pictures, wanted)


@pytest.mark.parametrize("name", ["relu1", "relu2"])
def test_against_pytorch_grad_cam(plain, pictures, targets, cams, name):
    theirs = theirs_of(cams, plain.module, pictures, targets, name)
    same(scaled(LayerCam(plain, name)(pictures, targets)), scaled(theirs))


def test_negative_activations(plain, pictures, targets, cams):
    """For them is the outer ReLU."""
    net = plain.module
    net.relu2 = nn.Tanh()
    with torch.no_grad():
        net.conv2.bias -= 0.2
    activation, gradient = evidence(plain, pictures, targets, "relu2")
    assert ((gradient.clamp(min=0) * activation).sum(dim=1) < 0).float().mean() > 0.1
    maps = LayerCam(plain)(pictures, targets)
    assert maps.min() == 0
    same(scaled(maps), scaled(theirs_of(cams, net, pictures, targets, "relu2")))


def test_interpolation(plain, pictures, targets):
    nearest, bilinear = (LayerCam(plain, None, i)(pictures, targets) for i in ("nearest", "bilinear"))
    assert (nearest == nearest[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2)).all()
    assert (nearest != bilinear).any() and (LayerCam(plain)(pictures, targets) == bilinear).all()
    with pytest.raises(UsageError, match="'lanczos'"):
        LayerCam(plain, interpolation="lanczos")
