"""Methods of captum, pytorch-grad-cam and zennit-crp behind the same call as ours."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from unit.methods.nets import maps_by_hand, same, scaled

from vebi.backprop import heatmaps
from vebi.methods import adapters
from vebi.methods.cam import GradCam
from vebi.methods.gradient import Gradient


def test_saliency(plain, images, targets, captum):
    explain = adapters.captum(captum.Saliency(plain.model), reduction=heatmaps.channel_absmax)
    same(explain(images, targets), Gradient(plain)(images, targets))
    signed = adapters.captum(captum.Saliency(plain.model), reduction=heatmaps.positive_norm, abs=False)
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(plain.model(x).gather(1, targets[:, None]).sum(), x)
    same(signed(images, targets), heatmaps.positive_norm(gradient))


def test_integrated_gradients(plain, images, targets, captum):
    """The mean gradient at the middles of four steps from zero, times the image, added over the channels."""
    explain = adapters.captum(captum.IntegratedGradients(plain.model), n_steps=4, method="riemann_middle")
    literal = torch.zeros_like(images)
    for share in (1 / 8, 3 / 8, 5 / 8, 7 / 8):
        x = (share * images).requires_grad_()
        (gradient,) = torch.autograd.grad(plain.model(x).gather(1, targets[:, None]).sum(), x)
        literal += gradient / 4 * images
    same(explain(images, targets), literal.sum(dim=1))


def test_a_layer_is_upsampled(plain, images, targets, captum):
    reference = captum.LayerGradCam(plain.model, plain.model.relu2)
    explain = adapters.captum(reference, relu_attributions=True)
    same(explain(images, targets), GradCam(plain)(images, targets))
    signed = adapters.captum(reference)(images, targets)
    assert signed.shape == (6, 32, 32)
    assert signed.min() < 0


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_captum_where_the_caller_has_no_gradients(plain, images, targets, captum, mode):
    explain = adapters.captum(captum.LayerGradCam(plain.model, plain.model.relu2))
    expected = explain(images, targets)
    assert not expected.requires_grad
    assert not images.requires_grad
    with mode():
        maps = explain(images.clone(), targets.clone())
    same(maps.clone(), expected)


def hires_cam(activation, gradient):
    return np.maximum((gradient * activation).sum(axis=0), 0)


def test_hires_cam(plain, images, targets, cams):
    with cams.HiResCAM(plain.model, [plain.model.relu2]) as cam:
        maps = adapters.grad_cam(cam)(images, targets)
    assert type(maps) is torch.Tensor
    assert maps.dtype == torch.float32
    assert maps.device == images.device
    same(scaled(maps), scaled(maps_by_hand(hires_cam, plain.model, images, targets)))


def test_eigen_cam(plain, images, targets, cams):
    """The first principal component of the activations, of either sign."""
    with cams.EigenCAM(plain.model, [plain.model.relu2]) as cam:
        maps = adapters.grad_cam(cam)(images, targets)
    for x, heat in zip(images, maps, strict=True):
        with torch.no_grad():
            activation = plain.model.relu2(plain.model.conv2(plain.model.relu1(plain.model.conv1(x[None]))))[0]
        positions = activation.double().flatten(1).T
        *_, directions = torch.linalg.svd(positions - positions.mean(dim=0), full_matrices=False)
        plane = ((positions - positions.mean(dim=0)) @ directions[0]).view(1, 1, 16, 16)
        both = [F.interpolate(p.clamp(min=0), 32, mode="bilinear")[0] for p in (plane, -plane)]
        assert min(np.abs(scaled(heat[None]) - scaled(p)).max() for p in both) < 1e-4


def test_options_reach_pytorch_grad_cam(plain, images, targets, cams):
    with cams.GradCAM(plain.model, [plain.model.relu2]) as cam:
        maps = adapters.grad_cam(cam)(images, targets)
        smooth = adapters.grad_cam(cam, eigen_smooth=True)(images, targets)
    same(scaled(maps), scaled(GradCam(plain)(images, targets)))
    assert (maps - smooth).abs().max() > 0.1


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_pytorch_grad_cam_where_the_caller_has_no_gradients(plain, images, targets, cams, mode):
    with cams.GradCAM(plain.model, [plain.model.relu2]) as cam:
        explain = adapters.grad_cam(cam)
        expected = explain(images, targets)
        with mode():
            maps = explain(images.clone(), targets.clone())
    same(maps.clone(), expected)


def relevance_of_relu2(net, x, target):
    """LRP-epsilon of the linear layers down to the activations of relu2 (max pooling hands all to the winner)."""
    activation = net.relu2(net.conv2(net.relu1(net.conv1(x[None]))))
    pooled, where = F.max_pool2d(activation, 2, return_indices=True)
    h = net.relu3(net.hidden(pooled.flatten(1)))
    score = net.head(h)[0, target]
    s = score / (score + 1e-6 * score.sign())
    r = h[0] * net.head.weight[target] * s
    z = net.hidden(pooled.flatten(1))[0]
    r = pooled.flatten() * ((r / (z + 1e-6 * torch.where(z >= 0, 1, -1))) @ net.hidden.weight)
    return F.max_unpool2d(r.view_as(pooled), where, 2)[0]


def test_relevance_of_channels(plain, images, targets, crp):
    """Maps of the channels add up to LRP's, and the sum of each is the relevance of its channel: convolutions without
    biases keep the sum under the z-plus rule."""
    plain.model.conv1.bias.data.zero_()
    plain.model.conv2.bias.data.zero_()
    attribution, composite = crp.attribution.CondAttribution(plain.model), crp.composites.EpsilonPlus()
    whole = adapters.zennit_crp(attribution, composite)(images, targets)
    assert whole.shape == (6, 32, 32)
    assert not whole.requires_grad
    parts = [adapters.zennit_crp(attribution, composite, {"relu2": [k]})(images, targets) for k in range(8)]
    same(sum(parts), whole)
    with torch.no_grad():
        literal = torch.stack(
            [relevance_of_relu2(plain.model, x, c).sum((1, 2)) for x, c in zip(images, targets, strict=True)]
        )
    passed = torch.stack([part.sum(dim=(1, 2)) for part in parts], dim=1)
    torch.testing.assert_close(passed, literal, rtol=1e-3, atol=1e-3 * float(literal.abs().max()))


def test_relevance_starts_as_the_score_or_as_one(plain, images, targets, crp):
    attribution, composite = crp.attribution.CondAttribution(plain.model), crp.composites.EpsilonPlus()
    unit = adapters.zennit_crp(attribution, composite, init_rel=1)(images, targets)
    scores = plain.model(images).gather(1, targets[:, None])[:, :, None].detach()
    same(adapters.zennit_crp(attribution, composite)(images, targets), unit * scores)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_zennit_crp_where_the_caller_has_no_gradients(plain, images, targets, crp, mode):
    explain = adapters.zennit_crp(crp.attribution.CondAttribution(plain.model), crp.composites.EpsilonPlus())
    expected = explain(images, targets)
    with mode():
        maps = explain(images.clone(), targets.clone())
    same(maps.clone(), expected)
    for i in range(6):
        same(explain(images[i : i + 1], targets[i : i + 1]), expected[i : i + 1])
