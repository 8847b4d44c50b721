"""Grad-CAM against its equations, captum's LayerGradCam and pytorch-grad-cam's GradCAM.

The latter upsamples by OpenCV, whose linear interpolation upwards is torch's bilinear one to 1e-6, so whole maps are
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


def test_written_out(plain, images, targets):
    cam = GradCam(plain)
    assert cam.layer == "relu2"
    literal = maps_by_hand(equations, plain.model, images, targets)
    assert (literal == 0).any()  # the outer ReLU has something to do
    same(cam(images, targets), literal)


@pytest.mark.parametrize("name", ["relu1", "relu2"])
def test_against_captum(plain, images, targets, captum, name):
    reference = captum.LayerGradCam(plain.model, plain.model.get_submodule(name))
    theirs = reference.attribute(images, target=targets, relu_attributions=True)
    theirs = F.interpolate(theirs, (32, 32), mode="bilinear", align_corners=False)[:, 0]
    same(GradCam(plain, name)(images, targets), theirs)


@pytest.mark.parametrize("name", ["relu1", "relu2"])
def test_against_pytorch_grad_cam(plain, images, targets, cams, name):
    wanted = [cams.utils.model_targets.ClassifierOutputTarget(int(c)) for c in targets]
    with cams.GradCAM(plain.model, [plain.model.get_submodule(name)]) as reference:
        theirs = reference(images, wanted)
    same(scaled(GradCam(plain, name)(images, targets)), scaled(theirs))


def test_against_captum_on_a_resnet(resnet, captum):
    theirs = captum.LayerGradCam(resnet.net, resnet.net.layer4).attribute(
        resnet.images, target=resnet.targets, relu_attributions=True
    )
    theirs = F.interpolate(theirs, (64, 64), mode="bilinear", align_corners=False)[:, 0]
    same(resnet.grad_cam(resnet.images, resnet.targets), theirs)


def test_against_pytorch_grad_cam_on_a_resnet(resnet, cams):
    wanted = [cams.utils.model_targets.ClassifierOutputTarget(int(c)) for c in resnet.targets]
    with cams.GradCAM(resnet.net, [resnet.net.layer4]) as reference:
        theirs = reference(resnet.images, wanted)
    same(scaled(resnet.grad_cam(resnet.images, resnet.targets)), scaled(theirs))


def test_interpolation(plain, images, targets):
    nearest, bilinear, bicubic = (GradCam(plain, None, i)(images, targets) for i in ("nearest", "bilinear", "bicubic"))
    small = nearest[:, ::2, ::2]
    assert (nearest == small.repeat_interleave(2, 1).repeat_interleave(2, 2)).all()
    same(bilinear, F.interpolate(small[:, None], 32, mode="bilinear")[:, 0])
    same(bicubic, F.interpolate(small[:, None], 32, mode="bicubic")[:, 0])
    assert (GradCam(plain)(images, targets) == bilinear).all()


def test_unknown_interpolation_or_layer(plain):
    with pytest.raises(UsageError, match="'lanczos'"):
        GradCam(plain, interpolation="lanczos")
    with pytest.raises(UsageError, match="'relu9'"):
        GradCam(plain, "relu9")
