"""Guided class activation maps against their equation and captum's GuidedGradCam."""

import numpy as np
import pytest
import torch
from unit.methods.nets import gradients_by_hand, maps_by_hand, same, without_reuse

from vebi.errors import UsageError
from vebi.methods.cam import GradCam, GradCamPlusPlus
from vebi.methods.guided_cam import GuidedCam
from vebi.methods.modified_backprop import GuidedBackprop

quiet = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")


def grad_cam(activation, gradient):
    return np.maximum((gradient.mean(axis=(1, 2), keepdims=True) * activation).sum(axis=0), 0)


def grad_cam_plus_plus(activation, gradient):
    total = (activation.sum(axis=(1, 2), keepdims=True) * gradient**3) + 2 * gradient**2
    alpha = gradient**2 / np.where(total == 0, 1, total)
    weights = (alpha * np.maximum(gradient, 0)).sum(axis=(1, 2), keepdims=True)
    return np.maximum((weights * activation).sum(axis=0), 0)


def reduced(gradient):
    return sum(colour.clamp(min=0) ** 2 for colour in gradient.unbind(1)) ** 0.5


@pytest.mark.parametrize("fix", [None, "centred", "nearest"])
@pytest.mark.parametrize(("kind", "equation"), [(GradCam, grad_cam), (GradCamPlusPlus, grad_cam_plus_plus)])
def test_written_out(plain, pictures, targets, kind, equation, fix):
    guided = gradients_by_hand(plain.module, pictures, targets, "guided", fix)
    heat = maps_by_hand(equation, plain.module, pictures, targets)
    same(GuidedCam(kind(plain), fix)(pictures, targets), reduced(guided * heat[:, None]))


def test_the_stride_fix_is_for_the_guided_part_alone(plain, pictures, targets):
    cam = GradCam(plain)
    found = {fix: GuidedCam(cam, fix)(pictures, targets) for fix in (None, "centred", "nearest")}
    for fix, maps in found.items():
        same(maps, GuidedBackprop(plain, fix)(pictures, targets) * cam(pictures, targets))
        for other in found.keys() - {fix}:
            assert (maps - found[other]).abs().max() > 0.1 * maps.max()
    assert torch.equal(GuidedCam(cam)(pictures, targets), found[None])
    with pytest.raises(UsageError, match="'blur'"):
        GuidedCam(cam, "blur")(pictures, targets)


def test_the_layer_and_interpolation_of_the_map_are_kept(plain, pictures, targets):
    cam = GradCam(plain, "relu1", "nearest")
    maps = GuidedCam(cam)(pictures, targets)
    same(maps, GuidedBackprop(plain)(pictures, targets) * cam(pictures, targets))
    assert (maps - GuidedCam(GradCam(plain))(pictures, targets)).abs().max() > 0.1 * maps.max()


@quiet
@pytest.mark.parametrize("name", ["relu1", "relu2"])
def test_against_captum(plain, pictures, targets, captum, name):
    reference = captum.GuidedGradCam(plain.module, plain.module.get_submodule(name))
    x = pictures.clone().requires_grad_()
    theirs = reference.attribute(x, target=targets, interpolate_mode="bilinear")
    same(GuidedCam(GradCam(plain, name))(pictures, targets), reduced(theirs))


@quiet
def test_against_captum_on_a_resnet(resnet, captum):
    net, x = without_reuse(resnet.net), resnet.pictures.clone().requires_grad_()
    theirs = captum.GuidedGradCam(net, net.layer4).attribute(x, target=resnet.targets, interpolate_mode="bilinear")
    same(GuidedCam(resnet.grad_cam)(resnet.pictures, resnet.targets), reduced(theirs))
