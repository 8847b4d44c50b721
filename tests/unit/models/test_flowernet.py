import pytest
import torch
from torch import nn

from vebi.activations.layers import choose_layers
from vebi.backprop.receptive_field import receptive_fields
from vebi.models.classifier import Classifier
from vebi.models.flowernet import FlowerNet
from vebi.models.preprocess import Preprocess


@pytest.mark.parametrize("size", [64, 112])
def test_scores(size):
    assert FlowerNet(7)(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_it_is_conv_relu_pool_with_a_strided_first_convolution():
    net = FlowerNet(6)
    kinds = [type(part) for part in net.children()]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.MaxPool2d] * 3 + [nn.Conv2d, nn.ReLU, nn.Linear]
    assert net.conv1.stride == (2, 2)


def test_layers_and_receptive_fields():
    classifier = Classifier(FlowerNet(6).eval(), Preprocess(FlowerNet.size, FlowerNet.mean, FlowerNet.std))
    layers = choose_layers(classifier)
    assert [(x.name, x.channels, x.height) for x in layers] == [
        ("relu1", 32, 56),
        ("relu2", 48, 28),
        ("relu3", 64, 14),
        ("relu4", 64, 7),
    ]
    fields = receptive_fields(classifier, [x.name for x in layers])
    # 5; pool 7, conv 15; pool 19, conv 35; pool 43, conv 75
    assert [(f.size[0], f.jump[0], f.start[0]) for f in fields.values()] == [
        (5, 2, -2),
        (15, 4, -6),
        (35, 8, -14),
        (75, 16, -30),
    ]
