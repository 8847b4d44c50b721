"""The layer of a class activation map, what is taken from it, and the way up to the pixels."""

import re

import pytest
import torch
import torch.nn.functional as F
from support import ToyNet, import_torchvision
from torch import nn
from unit.methods.nets import by_hand, classifier_of

from vebi.backprop.heatmaps import upsample
from vebi.errors import UsageError
from vebi.methods.cam import activations_and_gradients, check_interpolation, find_layer


def vgg():
    features = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2)]
    features += [nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2)]
    head = nn.Sequential(nn.Linear(6 * 64, 8), nn.ReLU(True), nn.Linear(8, 3))
    return nn.Sequential(nn.Sequential(*features), nn.Flatten(), head)


class Branches(nn.Module):
    """Two branches, the second with the network's last activation function, and their concatenation or sum."""

    def __init__(self, channels, join):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(channels, 4, 1), nn.ReLU())
        self.other = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU())
        self.join = join

    def forward(self, x):
        return self.join([self.one(x), self.other(x)])


def branched(join, channels):
    blocks = nn.Sequential(Branches(3, join), nn.MaxPool2d(2), Branches(channels, join))
    return nn.Sequential(blocks[0], blocks[1], blocks[2], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3))


class Upside(nn.Module):
    """A gate of 1 x 1 positions has the last activation function of all."""

    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3), nn.SiLU()
        self.squeeze, self.gate = nn.Conv2d(4, 4, 1), nn.ReLU()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.act(self.conv(x))
        return self.head((x * self.gate(self.squeeze(x.mean((2, 3), keepdim=True)))).mean((2, 3)))


class Tokens(nn.Module):
    """Behind its maps tokens, N x heads x tokens x channels, as in attention: four dimensions and no maps."""

    def __init__(self):
        super().__init__()
        self.conv, self.act, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Identity(), nn.Linear(4, 2)

    def forward(self, x):
        tokens = self.norm(self.act(self.conv(x)).flatten(2).transpose(1, 2)[:, None])
        return self.head(tokens.mean(dim=(1, 2)))


def no_activation():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("net", "layer"),
    [
        (vgg(), "0.4"),  # behind the activation function and in front of the pooling
        (ToyNet(), "relu"),  # a function
        (branched(lambda maps: torch.cat(maps, 1), 8), "2"),  # neither 2.one nor 2.other
        (branched(sum, 4), "2"),
        (Upside(), "act"),
        (Tokens(), "act"),
    ],
    ids=["vgg", "function", "concatenated", "added", "gate", "tokens"],
)
def test_the_layer_that_is_found(net, layer):
    assert find_layer(classifier_of(net)) == layer


def test_a_concatenation_is_all_branches():
    net = branched(lambda maps: torch.cat(maps, 1), 8)
    classifier, images = classifier_of(net), torch.randn(2, 3, 32, 32)
    activation, gradient = activations_and_gradients(classifier, images, torch.tensor([0, 2]), find_layer(classifier))
    assert activation.shape == gradient.shape == (2, 8, 16, 16)
    torch.testing.assert_close(activation, net[2](net[1](net[0](images))).detach())
    torch.testing.assert_close(gradient, net[5].weight[[0, 2]].detach()[..., None, None].expand(2, 8, 16, 16) / 256)


def test_the_layer_of_a_resnet(resnet):
    net, images = resnet.net, resnet.images
    outputs = []
    handle = net.layer4.register_forward_hook(lambda _m, _i, output: outputs.append(output.detach().clone()))
    with torch.no_grad():
        net(images)
    handle.remove()
    activation, gradient = activations_and_gradients(resnet.classifier, images, resnet.targets, resnet.grad_cam.layer)
    torch.testing.assert_close(activation, outputs[0])
    torch.testing.assert_close(gradient[:, :, 0, 0], net.fc.weight.detach()[resnet.targets] / 4)


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v2", "squeezenet1_1"])
def test_networks_of_torchvision(name):
    """The layers that the literature takes."""
    net = getattr(import_torchvision().models, name)(num_classes=3).eval()
    expected = {"alexnet": "features.11", "mobilenet_v2": "features", "squeezenet1_1": "classifier.2"}
    assert find_layer(classifier_of(net, 64)) == expected[name]


def test_the_layer_that_is_named():
    classifier = classifier_of(vgg())
    assert find_layer(classifier, "0.1") == "0.1"
    assert find_layer(classifier, "0.0") == "0.0"  # no activation function
    assert find_layer(classifier, "?.4") == "0.4"  # a glob that matches one


@pytest.mark.parametrize("name", ["0.*", "2.1", "1", "2.2", "nowhere", ""])
def test_names_that_are_no_single_layer_with_positions(name):
    """Several, an activation function of N x C values, a flattened one, the scores, none."""
    with pytest.raises(UsageError, match=re.escape(repr(name))):
        find_layer(classifier_of(vgg()), name)


def test_one_position_is_not_enough():
    with pytest.raises(UsageError, match="'2'"):
        find_layer(classifier_of(no_activation()), "2")


def test_no_maps():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(UsageError, match="no activation function"):
        find_layer(classifier_of(no_activation()))
    assert find_layer(classifier_of(no_activation()), "0") == "0"
    with pytest.raises(UsageError, match="no activation function"):
        find_layer(classifier_of(net))


def test_activations_and_gradients_written_out(plain, images, targets):
    activation, gradient = activations_and_gradients(plain, images, targets, "relu2")
    for x, c, a, g in zip(images, targets, activation, gradient, strict=True):
        literal_a, literal_g, _ = by_hand(plain.model, x, c)
        torch.testing.assert_close(a, literal_a)
        torch.testing.assert_close(g, literal_g)


def test_activations_and_gradients_in_front_of_an_activation_function_in_place(toy):
    """The convolution's own output, not what the ReLU makes of it in the same memory, and derivatives there."""
    images, targets = torch.randn(3, 3, 32, 32), torch.tensor([2, 0, 1])
    before, gradient = activations_and_gradients(toy, images, targets, "conv1")
    after, behind = activations_and_gradients(toy, images, targets, "relu1")
    torch.testing.assert_close(before, toy.model.conv1(images).detach())
    assert before.min() < 0
    torch.testing.assert_close(after, before.clamp(min=0))
    torch.testing.assert_close(gradient, behind * (before > 0))


def test_upsampled_bilinearly():
    """Pixel i of 6 lies at (i + 1/2) / 2 - 1/2 of 3, and beyond the outermost centres there is what is there."""
    row = torch.tensor([0.0, 4, 8])
    images = torch.zeros(1, 3, 2, 6)
    maps = upsample(row[None, None], images.shape[2:], "bilinear")
    torch.testing.assert_close(maps, torch.tensor([[[0.0, 1, 3, 5, 7, 8]] * 2]))


def test_upsampled_otherwise():
    cam, images = torch.rand(2, 3, 4), torch.zeros(2, 3, 6, 12)
    nearest = upsample(cam, images.shape[2:], "nearest")
    assert torch.equal(nearest, cam.repeat_interleave(2, 1).repeat_interleave(3, 2))
    bicubic = upsample(cam, images.shape[2:], "bicubic")
    torch.testing.assert_close(bicubic, F.interpolate(cam[None], (6, 12), mode="bicubic")[0])
    assert not torch.allclose(bicubic, upsample(cam, images.shape[2:], "bilinear"))
    assert upsample(cam, (5, 7), "bilinear").shape == (2, 5, 7)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_one_number_stays_one_number(interpolation):
    """Min-max scaling would show the rounding errors of an interpolation between equal numbers."""
    cam = torch.rand(50, 1, 1)
    assert torch.equal(upsample(cam, (32, 20), interpolation), cam.expand(50, 32, 20))


def test_interpolations():
    for name in ("nearest", "bilinear", "bicubic"):
        check_interpolation(name)
    for name in ("area", "Bilinear", ""):
        with pytest.raises(UsageError, match=f"{name!r}.*nearest, bilinear, bicubic"):
            check_interpolation(name)
