"""Grad-CAM against its equations, captum's LayerGradCam and pytorch-grad-cam's GradCAM.

The latter enlarges by OpenCV, whose linear interpolation upwards is torch's bilinear one to 1e-6, so whole maps are
compared; both are scaled to [0, 1].
"""

import numpy as np
import pytest
import torch.nn.functional as F
from unit.methods.nets import maps_by_hand, same, scaled

from vebi.errors import UsageError
from vebi.methods.cam import GradCam


def equations(activation, gradient):
    """alpha_k = 1/Z sum_ij dy/dA_ij^k (1), L = ReLU(sum_k alpha_k A^k) (2)."""
    total = np.zeros(activation.shape[1:])
    for k in range(len(activation)):
        alpha = sum(gradient[k, i, j] for i in range(16) for j in range(16)) / 256
        total += alpha * activation[k]
    return np.maximum(total, 0)


def test_written_out(plain, pictures, targets):
    cam = GradCam(plain)
    assert cam.layer == "relu2"
    literal = maps_by_hand(equations, plain.module, pictures, targets)
    assert (literal == 0).any()  # the outer ReLU has something to do
    same(cam(pictures, targets), literal)


@pytest.mark.parametrize("name", ["relu1", "relu2"])
def test_against_captum(plain, pictures, targets, captum, name):
    reference = captum.LayerGradCam(plain.module, plain.module.get_submodule(name))
    theirs = reference.attribute(pictures, target=targets, relu_attributions=True)
    theirs = F.interpolate(theirs, (32, 32), mode="bilinear", align_corners=False)[:, 0]
    same(GradCam(plain, name)(pictures, targets), theirs)


@pytest.mark.parametrize("name", ["relu1", "relu2"])
def test_against_pytorch_grad_cam(plain, pictures, targets, cams, name):
    wanted = [cams.utils.model_targets.ClassifierOutputTarget(int(c)) for c in targets]
    with cams.GradCAM(plain.module, [plain.module.get_submodule(name)]) as reference:
        theirs = reference(pictures, wanted)
    same(scaled(GradCam(plain, name)(pictures, targets)), scaled(theirs))


def test_against_captum_on_a_resnet(resnet, captum):
    theirs = captum.LayerGradCam(resnet.net, resnet.net.layer4).attribute(
        resnet.pictures, target=resnet.targets, relu_attributions=True
    )
    theirs = F.interpolate(theirs, (64, 64), mode="bilinear", align_corners=False)[:, 0]
    same(resnet.grad_cam(resnet.pictures, resnet.targets), theirs)


def test_against_pytorch_grad_cam_on_a_resnet(resnet, cams):
    wanted = [cams.utils.model_targets.ClassifierOutputTarget(int(c)) for c in resnet.targets]
    with cams.GradCAM(resnet.net, [resnet.net.layer4]) as reference:
        theirs = reference(resnet.pictures, wanted)
    same(scaled(resnet.grad_cam(resnet.pictures, resnet.targets)), scaled(theirs))


def test_interpolation(plain, pictures, targets):
    nearest, bilinear, bicubic = (
        GradCam(plain, None, i)(pictures, targets) for i in ("nearest", "bilinear", "bicubic")
    )
    small = nearest[:, ::2, ::2]
    assert (nearest == small.repeat_interleave(2, 1).repeat_interleave(2, 2)).all()
    same(bilinear, F.interpolate(small[:, None], 32, mode="bilinear")[:, 0])
    same(bicubic, F.interpolate(small[:, None], 32, mode="bicubic")[:, 0])
    assert (GradCam(plain)(pictures, targets) == bilinear).all()


def test_unknown_interpolation_or_layer(plain):
    with pytest.raises(UsageError, match="'lanczos'"):
        GradCam(plain, interpolation="lanczos")
    with pytest.raises(UsageError, match="'relu9'"):
        GradCam(plain, "relu9")
