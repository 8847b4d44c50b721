"""The deconvnet against the way back written out and captum's Deconvolution."""

import pytest
from torch.autograd.graph import get_gradient_edge
from unit.methods.nets import gradients_by_hand, same, without_reuse

from vebi.backprop.heatmaps import from_gradient
from vebi.backprop.rules import pull_back
from vebi.errors import UsageError
from vebi.methods.modified_backprop import Deconvnet

quiet = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")


def reduced(gradient):
    return sum(colour.clamp(min=0) ** 2 for colour in gradient.unbind(1)) ** 0.5


@pytest.mark.parametrize("fix", [None, "centred", "nearest"])
def test_written_out(plain, pictures, targets, fix):
    literal = gradients_by_hand(plain.module, pictures, targets, "deconvnet", fix)
    same(Deconvnet(plain, fix)(pictures, targets), reduced(literal))


@pytest.mark.parametrize("fix", [None, "centred", "nearest"])
def test_the_stride_fix_is_that_of_backward(plain, pictures, targets, fix):
    x = pictures.clone().requires_grad_()
    chosen = plain.module(x).gather(1, targets[:, None])
    gradient = pull_back([get_gradient_edge(chosen)], [chosen.new_ones(6, 1)], x, rule="deconvnet", stride_fix=fix)
    maps = Deconvnet(plain, fix)(pictures, targets)
    same(maps, from_gradient(gradient))
    for other in {None, "centred", "nearest"} - {fix}:
        assert (maps - Deconvnet(plain, other)(pictures, targets)).abs().max() > 0.1 * maps.max()


def test_without_a_stride_fix_by_default(plain, pictures, targets):
    assert (Deconvnet(plain)(pictures, targets) == Deconvnet(plain, None)(pictures, targets)).all()


def test_unknown_stride_fix(plain, pictures, targets):
    with pytest.raises(UsageError, match="'blur'"):
        Deconvnet(plain, "blur")(pictures, targets)


@quiet
def test_against_captum(plain, pictures, targets, captum):
    theirs = captum.Deconvolution(plain.module).attribute(pictures.clone().requires_grad_(), target=targets)
    same(Deconvnet(plain)(pictures, targets), reduced(theirs))


@quiet
def test_against_captum_on_a_resnet(resnet, captum):
    x = resnet.pictures.clone().requires_grad_()
    theirs = captum.Deconvolution(without_reuse(resnet.net)).attribute(x, target=resnet.targets)
    same(Deconvnet(resnet.classifier)(resnet.pictures, resnet.targets), reduced(theirs))
