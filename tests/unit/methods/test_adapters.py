"""Methods of captum and pytorch-grad-cam behind the same call as ours."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from unit.methods.nets import maps_by_hand, same, scaled

from vebi.backprop import heatmaps
from vebi.methods import adapters
from vebi.methods.cam import GradCam
from vebi.methods.gradient import Gradient


def test_saliency(plain, pictures, targets, captum):
    explain = adapters.captum(captum.Saliency(plain.module), reduction=heatmaps.strongest)
    same(explain(pictures, targets), Gradient(plain)(pictures, targets))
    signed = adapters.captum(captum.Saliency(plain.module), reduction=heatmaps.from_gradient, abs=False)
    x = pictures.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(plain.module(x).gather(1, targets[:, None]).sum(), x)
    same(signed(pictures, targets), heatmaps.from_gradient(gradient))


def test_integrated_gradients(plain, pictures, targets, captum):
    """The mean gradient at the middles of four steps from zero, times the picture, added over the colours."""
    explain = adapters.captum(captum.IntegratedGradients(plain.module), n_steps=4, method="riemann_middle")
    literal = torch.zeros_like(pictures)
    for share in (1 / 8, 3 / 8, 5 / 8, 7 / 8):
        x = (share * pictures).requires_grad_()
        (gradient,) = torch.autograd.grad(plain.module(x).gather(1, targets[:, None]).sum(), x)
        literal += gradient / 4 * pictures
    same(explain(pictures, targets), literal.sum(dim=1))


def test_a_layer_is_enlarged(plain, pictures, targets, captum):
    reference = captum.LayerGradCam(plain.module, plain.module.relu2)
    explain = adapters.captum(reference, relu_attributions=True)
    same(explain(pictures, targets), GradCam(plain)(pictures, targets))
    signed = adapters.captum(reference)(pictures, targets)
    assert signed.shape == (6, 32, 32) and signed.min() < 0


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_captum_where_the_caller_has_no_gradients(plain, pictures, targets, captum, mode):
    explain = adapters.captum(captum.LayerGradCam(plain.module, plain.module.relu2))
    expected = explain(pictures, targets)
    assert not expected.requires_grad and not pictures.requires_grad
    with mode():
        maps = explain(pictures.clone(), targets.clone())
    same(maps.clone(), expected)


def hires_cam(activation, gradient):
    return np.maximum((gradient * activation).sum(axis=0), 0)


def test_hires_cam(plain, pictures, targets, cams):
    with cams.HiResCAM(plain.module, [plain.module.relu2]) as cam:
        maps = adapters.grad_cam(cam)(pictures, targets)
    assert type(maps) is torch.Tensor and maps.dtype == torch.float32 and maps.device == pictures.device
    same(scaled(maps), scaled(maps_by_hand(hires_cam, plain.module, pictures, targets)))


def test_eigen_cam(plain, pictures, targets, cams):
    """The first principal component of the activations, of either sign."""
    with cams.EigenCAM(plain.module, [plain.module.relu2]) as cam:
        maps = adapters.grad_cam(cam)(pictures, targets)
    for x, heat in zip(pictures, maps, strict=True):
        with torch.no_grad():
            activation = plain.module.relu2(plain.module.conv2(plain.module.relu1(plain.module.conv1(x[None]))))[0]
        positions = activation.double().flatten(1).T
        *_, directions = torch.linalg.svd(positions - positions.mean(dim=0), full_matrices=False)
        plane = ((positions - positions.mean(dim=0)) @ directions[0]).view(1, 1, 16, 16)
        both = [F.interpolate(p.clamp(min=0), 32, mode="bilinear")[0] for p in (plane, -plane)]
        assert min(np.abs(scaled(heat[None]) - scaled(p)).max() for p in both) < 1e-4


def test_options_reach_pytorch_grad_cam(plain, pictures, targets, cams):
    with cams.GradCAM(plain.module, [plain.module.relu2]) as cam:
        maps = adapters.grad_cam(cam)(pictures, targets)
        smooth = adapters.grad_cam(cam, eigen_smooth=True)(pictures, targets)
    same(scaled(maps), scaled(GradCam(plain)(pictures, targets)))
    assert (maps - smooth).abs().max() > 0.1


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_pytorch_grad_cam_where_the_caller_has_no_gradients(plain, pictures, targets, cams, mode):
    with cams.GradCAM(plain.module, [plain.module.relu2]) as cam:
        explain = adapters.grad_cam(cam)
        expected = explain(pictures, targets)
        with mode():
            maps = explain(pictures.clone(), targets.clone())
    same(maps.clone(), expected)
