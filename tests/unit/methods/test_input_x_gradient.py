"""Input x gradient against its equation and captum's InputXGradient."""

import torch
from torch import nn
from unit.methods.nets import gradients_by_hand, same

from vebi.methods.gradient import InputXGradient
from vebi.models.classifier import Classifier


def test_written_out(plain, images, targets):
    literal = gradients_by_hand(plain.model, images, targets) * images
    signed = literal[:, 0] + literal[:, 1] + literal[:, 2]
    assert signed.min() < 0 < signed.max()
    same(InputXGradient(plain)(images, targets), signed)


def test_adds_up_to_the_score_of_a_linear_network(plain, images, targets):
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5, bias=False))
    maps = InputXGradient(Classifier(net, plain.preprocess))(images, targets)
    scores = net(images).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(maps.sum(dim=(1, 2)), scores.detach(), rtol=1e-4, atol=1e-5)


def test_against_captum(plain, images, targets, captum):
    theirs = captum.InputXGradient(plain.model).attribute(images.clone().requires_grad_(), target=targets)
    same(InputXGradient(plain)(images, targets), theirs.sum(dim=1))


def test_against_captum_on_a_resnet(resnet, captum):
    x = resnet.images.clone().requires_grad_()
    theirs = captum.InputXGradient(resnet.net).attribute(x, target=resnet.targets)
    same(InputXGradient(resnet.classifier)(resnet.images, resnet.targets), theirs.sum(dim=1))
