"""A network that every method knows, the way through it and back written out, and what comparisons share."""

from copy import deepcopy
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from support import SIZE
from torch import nn

from vebi.backprop.heatmaps import rescale
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


class Plain(nn.Module):
    """ReLUs that are modules, out of place, each used once, as other libraries need them; derivatives of the scores
    that differ from position to position."""

    def __init__(self):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 6, 4, stride=2, padding=1), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.hidden, self.relu3 = nn.Linear(8 * 64, 24), nn.ReLU()
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(24, 5)

    def forward(self, x):
        x = self.pool(self.relu2(self.conv2(self.relu1(self.conv1(x)))))
        return self.head(self.drop(self.relu3(self.hidden(x.flatten(1)))))


def classifier_of(net, size=SIZE):
    return Classifier(net, Preprocess(size, (0.5,) * 3, (0.25,) * 3))


def with_scores_times(classifier, factor):
    """A copy whose class scores are so many times as large."""
    net = deepcopy(classifier.model)
    with torch.no_grad():
        net.head.weight *= factor
        net.head.bias *= factor
    return classifier_of(net)


# --- written out ------------------------------------------------------------------------------------------------------


def relu_back(before, g, rule):
    return {"gradient": g * (before > 0), "deconvnet": g * (g > 0), "guided": g * (before > 0) * (g > 0)}[rule]


def first_layer_back(g, weight, fix):
    """Back through the convolution of a kernel of 4, stride 2 and padding 1, from 16 x 16 to 32 x 32."""
    if fix is None:
        return F.conv_transpose2d(g, weight, stride=2, padding=1)
    if fix == "nearest":  # 32 + 2 * 1 - (4 - 1) = 31 positions
        source = [i * 16 // 31 for i in range(31)]
        return F.conv_transpose2d(g[:, :, source][:, :, :, source], weight, padding=1)
    held = g.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return F.conv_transpose2d(held, weight)[:, :, 1:33, 1:33]  # from padding + (2 - 1) // 2 on


@torch.no_grad()
def by_hand(net, x, target, rule="gradient", fix=None):
    """For one image: the activations of relu2, the derivatives with respect to them, the gradient of the input."""
    c1 = net.conv1(x[None])
    c2 = net.conv2(c1.clamp(min=0))
    a2 = c2.clamp(min=0)
    pooled, where = F.max_pool2d(a2, 2, return_indices=True)
    h = net.hidden(pooled.flatten(1))
    g = relu_back(h, net.head.weight[target][None], rule) @ net.hidden.weight
    g = at_maps = F.max_unpool2d(g.view_as(pooled), where, 2)
    g = F.conv_transpose2d(relu_back(c2, g, rule), net.conv2.weight, padding=1)
    return a2[0], at_maps[0], first_layer_back(relu_back(c1, g, rule), net.conv1.weight, fix)[0]


def gradients_by_hand(net, images, targets, rule="gradient", fix=None):
    return torch.stack([by_hand(net, x, c, rule, fix)[2] for x, c in zip(images, targets, strict=True)])


def maps_by_hand(equation, net, images, targets):
    """``equation`` of the activations and derivatives of one image in double precision, upsampled bilinearly."""
    maps = []
    for x, c in zip(images, targets, strict=True):
        activation, gradient, _ = by_hand(net, x, c)
        maps.append(torch.tensor(equation(activation.double().numpy(), gradient.double().numpy())))
    return F.interpolate(torch.stack(maps)[None], SIZE, mode="bilinear", align_corners=False)[0]


# --- comparisons ------------------------------------------------------------------------------------------------------


def same(ours, theirs, share=1e-4):
    """Of every map, to a share of its own largest value; most are not the same everywhere."""
    ours, theirs = (torch.as_tensor(maps).detach().double() for maps in (ours, theirs))
    assert ours.shape == theirs.shape
    assert ours.isfinite().all()
    largest = theirs.abs().amax(dim=(1, 2))
    assert 2 * int((theirs.amax(dim=(1, 2)) > theirs.amin(dim=(1, 2))).sum()) > len(theirs)
    assert ((ours - theirs).abs().amax(dim=(1, 2)) <= share * largest).all()


def scaled(maps):
    return rescale(np.asarray(maps))


def _basic_block(block, x):
    y = block.relu(block.bn1(block.conv1(x)))
    return block.relu2(block.bn2(block.conv2(y)) + (x if block.downsample is None else block.downsample(x)))


def without_reuse(resnet):
    """A copy in which no ReLU is in place or used twice, which captum's hooks cannot bear."""
    net = deepcopy(resnet)
    net.relu = nn.ReLU()
    for block in net.modules():
        if type(block).__name__ == "BasicBlock":
            block.relu, block.relu2 = nn.ReLU(), nn.ReLU()
            block.forward = partial(_basic_block, block)
    return net
