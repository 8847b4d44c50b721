"""The deconvnet against the way back written out and captum's Deconvolution."""

import pytest
from torch.autograd.graph import get_gradient_edge
from unit.methods.nets import gradients_by_hand, same, without_reuse

from vebi.backprop.heatmaps import positive_norm
from vebi.backprop.rules import rule_backward
from vebi.errors import UsageError
from vebi.methods.modified_backprop import Deconvnet

quiet = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")  # captum's note


def reduced(gradient):
    return sum(channel.clamp(min=0) ** 2 for channel in gradient.unbind(1)) ** 0.5


@pytest.mark.parametrize("fix", [None, "centred", "nearest"])
def test_written_out(plain, images, targets, fix):
    literal = gradients_by_hand(plain.model, images, targets, "deconvnet", fix)
    same(Deconvnet(plain, fix)(images, targets), reduced(literal))


@pytest.mark.parametrize("fix", [None, "centred", "nearest"])
def test_the_stride_fix_is_that_of_backward(plain, images, targets, fix):
    x = images.clone().requires_grad_()
    chosen = plain.model(x).gather(1, targets[:, None])
    gradient = rule_backward([get_gradient_edge(chosen)], [chosen.new_ones(6, 1)], x, rule="deconvnet", stride_fix=fix)
    maps = Deconvnet(plain, fix)(images, targets)
    same(maps, positive_norm(gradient))
    for other in {None, "centred", "nearest"} - {fix}:
        assert (maps - Deconvnet(plain, other)(images, targets)).abs().max() > 0.1 * maps.max()


def test_without_a_stride_fix_by_default(plain, images, targets):
    assert (Deconvnet(plain)(images, targets) == Deconvnet(plain, None)(images, targets)).all()


def test_unknown_stride_fix(plain, images, targets):
    with pytest.raises(UsageError, match="'blur'"):
        Deconvnet(plain, "blur")(images, targets)


@quiet
def test_against_captum(plain, images, targets, captum):
    theirs = captum.Deconvolution(plain.model).attribute(images.clone().requires_grad_(), target=targets)
    same(Deconvnet(plain)(images, targets), reduced(theirs))


@quiet
def test_against_captum_on_a_resnet(resnet, captum):
    x = resnet.images.clone().requires_grad_()
    theirs = captum.Deconvolution(without_reuse(resnet.net)).attribute(x, target=resnet.targets)
    same(Deconvnet(resnet.classifier)(resnet.images, resnet.targets), reduced(theirs))
