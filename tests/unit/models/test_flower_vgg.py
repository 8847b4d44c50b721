import pytest
import torch
from torch import nn

from vebi.models.flower_vgg import FlowerVgg


def test_scores_of_one_input_size_only():
    net = FlowerVgg(7)
    assert net(torch.zeros(2, 3, 112, 112)).shape == (2, 7)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        net(torch.zeros(2, 3, 64, 64))


def test_two_fully_connected_layers_see_the_positions_apart():
    net = FlowerVgg(6)
    kinds = [type(part) for part in net.modules() if isinstance(part, nn.Conv2d | nn.MaxPool2d | nn.Linear)]
    assert kinds == [nn.Conv2d, nn.MaxPool2d] * 3 + [nn.Conv2d, nn.Conv2d, nn.MaxPool2d, nn.Linear, nn.Linear]
    assert all(part.stride == (1, 1) for part in net.modules() if isinstance(part, nn.Conv2d))
    maps = net.features(torch.randn(1, 3, 112, 112)).detach()
    assert maps.shape == (1, 64, 7, 7)
    moved = maps.roll(1, dims=3)  # the same means, elsewhere
    scores = [net.linear(net.relu(net.hidden(x.flatten(1)))) for x in (maps, moved)]
    assert not torch.allclose(*scores)
