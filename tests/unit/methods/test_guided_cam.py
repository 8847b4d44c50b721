"""Guided class activation maps against their equation and captum's GuidedGradCam."""

import numpy as np
import pytest
import torch
from unit.methods.nets import gradients_by_hand, maps_by_hand, same, without_reuse

from vebi.errors import UsageError
from vebi.methods.cam import GradCam, GradCamPlusPlus
from vebi.methods.guided_cam import GuidedCam
from vebi.methods.modified_backprop import GuidedBackprop

quiet = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")  # captum's note


def grad_cam(activation, gradient):
    return np.maximum((gradient.mean(axis=(1, 2), keepdims=True) * activation).sum(axis=0), 0)


def grad_cam_plus_plus(activation, gradient):
    total = (activation.sum(axis=(1, 2), keepdims=True) * gradient**3) + 2 * gradient**2
    alpha = gradient**2 / np.where(total == 0, 1, total)
    weights = (alpha * np.maximum(gradient, 0)).sum(axis=(1, 2), keepdims=True)
    return np.maximum((weights * activation).sum(axis=0), 0)


def reduced(gradient):
    return sum(channel.clamp(min=0) ** 2 for channel in gradient.unbind(1)) ** 0.5


@pytest.mark.parametrize("fix", [None, "centred", "nearest"])
@pytest.mark.parametrize(("kind", "equation"), [(GradCam, grad_cam), (GradCamPlusPlus, grad_cam_plus_plus)])
def test_written_out(plain, images, targets, kind, equation, fix):
    guided = gradients_by_hand(plain.model, images, targets, "guided", fix)
    heat = maps_by_hand(equation, plain.model, images, targets)
    same(GuidedCam(kind(plain), fix)(images, targets), reduced(guided * heat[:, None]))


def test_the_stride_fix_is_for_the_guided_part_alone(plain, images, targets):
    cam = GradCam(plain)
    maps_of = {fix: GuidedCam(cam, fix)(images, targets) for fix in (None, "centred", "nearest")}
    for fix, maps in maps_of.items():
        same(maps, GuidedBackprop(plain, fix)(images, targets) * cam(images, targets))
        for other in maps_of.keys() - {fix}:
            assert (maps - maps_of[other]).abs().max() > 0.1 * maps.max()
    assert torch.equal(GuidedCam(cam)(images, targets), maps_of[None])
    with pytest.raises(UsageError, match="'blur'"):
        GuidedCam(cam, "blur")(images, targets)


def test_the_layer_and_interpolation_of_the_map_are_kept(plain, images, targets):
    cam = GradCam(plain, "relu1", "nearest")
    maps = GuidedCam(cam)(images, targets)
    same(maps, GuidedBackprop(plain)(images, targets) * cam(images, targets))
    assert (maps - GuidedCam(GradCam(plain))(images, targets)).abs().max() > 0.1 * maps.max()


@quiet
@pytest.mark.parametrize("name", ["relu1", "relu2"])
def test_against_captum(plain, images, targets, captum, name):
    reference = captum.GuidedGradCam(plain.model, plain.model.get_submodule(name))
    x = images.clone().requires_grad_()
    theirs = reference.attribute(x, target=targets, interpolate_mode="bilinear")
    same(GuidedCam(GradCam(plain, name))(images, targets), reduced(theirs))


@quiet
def test_against_captum_on_a_resnet(resnet, captum):
    net, x = without_reuse(resnet.net), resnet.images.clone().requires_grad_()
    theirs = captum.GuidedGradCam(net, net.layer4).attribute(x, target=resnet.targets, interpolate_mode="bilinear")
    same(GuidedCam(resnet.grad_cam)(resnet.images, resnet.targets), reduced(theirs))
