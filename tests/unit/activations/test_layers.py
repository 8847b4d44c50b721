"""Which layers are listed, what they are called, and how they are chosen."""

import re
from collections import OrderedDict

import pytest
import torch.nn.functional as F
from torch import nn
from unit.activations.nets import Net, classifier_of

from vebi.activations.layers import Feature, choose_layers, list_layers
from vebi.errors import UsageError
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


def test_names_kinds_and_sizes():
    layers = {layer.name: layer for layer in list_layers(classifier_of(Net()))}
    default = [name for name, layer in layers.items() if layer.is_activation]
    assert default == [
        "stem.1",
        "blocks.0.relu",
        "blocks.0.relu#2",
        "blocks.1.relu",
        "blocks.1.relu#2",
        "gelu",
        "relu",
        "relu#2",
    ]
    assert layers["stem.1"].kind == "silu"
    assert (layers["stem.1"].channels, layers["stem.1"].height) == (4, 6)
    assert (layers["relu#2"].channels, layers["relu#2"].height, layers["relu#2"].width) == (4, 1, 1)
    assert layers["head"].kind == "Linear"
    assert layers["head"].channels == 5
    assert {"stem", "stem.0", "blocks.0.conv", "blocks.0"} <= set(layers)
    assert "unused" not in layers
    assert str(Feature("stem.1", 3)) == "stem.1:3"


def test_choosing_layers():
    net = classifier_of(Net())
    assert [layer.name for layer in choose_layers(net, ["blocks.*.relu"])] == ["blocks.0.relu", "blocks.1.relu"]
    assert [layer.name for layer in choose_layers(net, ["gelu", "stem.0"])] == ["stem.0", "gelu"]
    assert len(choose_layers(net, ["relu*", "relu"])) == 2
    with pytest.raises(UsageError, match=re.escape("'stem.9'")):
        choose_layers(net, ["stem.9"])
    with pytest.raises(UsageError, match="N x C x H x W"):
        choose_layers(classifier_of(nn.Sequential(nn.Flatten(), nn.Linear(192, 3))))


def test_presets():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 2),
    )  # fmt: skip
    classifier = Classifier(net.eval(), Preprocess(16, (0.5,) * 3, (0.5,) * 3))
    chosen = {name: [layer.name for layer in choose_layers(classifier, name)] for name in ("all", "spatial", "late")}
    assert chosen == {"all": ["1", "3", "7", "9"], "spatial": ["1", "3"], "late": ["7", "9"]}
    assert choose_layers(classifier) == choose_layers(classifier, "all")
    assert [layer.name for layer in choose_layers(classifier, ["spatial", "8"])] == ["1", "3", "8"]


def test_a_layer_of_the_name_of_a_preset_is_that_layer():
    net = nn.Sequential(OrderedDict(late=nn.Conv2d(3, 4, 3), relu=nn.ReLU(), flat=nn.Flatten(), head=nn.Linear(16, 2)))
    classifier = Classifier(net.eval(), Preprocess(4, (0.5,) * 3, (0.5,) * 3))
    assert [layer.name for layer in choose_layers(classifier, "late")] == ["late"]


def test_tokens_and_windows_cannot_be_recorded():
    """Activations without a row for every image, or with tokens in the place of channels."""

    class Tokens(nn.Module):
        def forward(self, x):
            tokens = F.relu(x.flatten(2).transpose(1, 2))
            windows = F.relu(tokens.reshape(-1, 3))
            return windows.view(len(x), -1, 3).mean(1)

    assert list_layers(classifier_of(Tokens())) == []


def test_listing_leaves_the_module_as_it_was():
    net = classifier_of(Net())
    net.model.train()
    net.model.blocks[0].eval()
    list_layers(net)
    assert net.model.training
    assert not net.model.blocks[0].training
    assert net.model.blocks[1].training


def test_channels_last_activations_are_not_taken_for_channels_first():
    class Rows(nn.Module):
        """As in ConvNeXt and Swin: a linear layer over the last dimension of N x H x W x C."""

        def __init__(self):
            super().__init__()
            self.conv, self.linear, self.gelu, self.head = (
                nn.Conv2d(3, 4, 3),
                nn.Linear(4, 16),
                nn.GELU(),
                nn.Linear(16, 2),
            )

        def forward(self, x):
            x = F.relu(self.conv(x)).permute(0, 2, 3, 1)
            return self.head(self.gelu(self.linear(x)).mean((1, 2)))

    assert [layer.name for layer in choose_layers(classifier_of(Rows()))] == ["relu"]
    assert "linear" not in [layer.name for layer in list_layers(classifier_of(Rows()))]


def test_one_pattern_may_be_given_as_it_is():
    assert [layer.name for layer in choose_layers(classifier_of(Net()), "blocks.0.relu")] == ["blocks.0.relu"]
