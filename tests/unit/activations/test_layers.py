"""Which layers are listed, what they are called, and how they are chosen."""

import re
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from unit.activations.nets import Net, classifier_of

from vebi.activations.layers import Feature, choose_layers, list_layers
from vebi.errors import UsageError, VebiWarning
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


# --- globs and what is left out --------------------------------------------------------------------------------------


def test_a_glob_stands_for_activation_functions_alone():
    net = classifier_of(Net())
    assert [layer.name for layer in choose_layers(net, "stem.*")] == ["stem.1"]
    assert [layer.name for layer in choose_layers(net, ["stem.*", "stem.0"])] == ["stem.0", "stem.1"]
    assert [layer.name for layer in choose_layers(net, "stem.0*")] == ["stem.0"]  # where there is none, for others
    with pytest.raises(UsageError, match=r"no layer is called 'nothing\*'"):
        choose_layers(net, "nothing*")


def test_layers_can_be_left_out():
    net = classifier_of(Net())
    everything = [layer.name for layer in choose_layers(net)]
    assert [layer.name for layer in choose_layers(net, "!blocks.*")] == [n for n in everything if "blocks" not in n]
    assert [layer.name for layer in choose_layers(net, ["blocks.*", "!blocks.1.*", "!*#2"])] == ["blocks.0.relu"]
    assert [layer.name for layer in choose_layers(net, ["stem.0", "gelu", "!gelu"])] == ["stem.0"]
    with pytest.raises(UsageError, match="no layer is left"):
        choose_layers(net, ["gelu", "!gelu"])
    with pytest.raises(UsageError, match=r"'nothing'"):
        choose_layers(net, ["gelu", "!nothing"])


# --- layers that are the class scores --------------------------------------------------------------------------------


class Maps(nn.Module):
    """Convolutions whose last maps become the scores of three classes."""

    def __init__(self, end, last=3):
        super().__init__()
        self.stem, self.last, self.end = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Conv2d(4, last, 1), end
        self.mix = nn.Linear(3, 3)
        nn.init.constant_(self.last.bias, 1)  # so that every map is alive

    def forward(self, x):
        return self.end(self, F.relu(self.last(self.stem(x))))


ENDS = {
    "mean, as SqueezeNet": lambda net, x: x.mean((2, 3)),
    "maximum": lambda net, x: x.amax((2, 3)),
    "pooled": lambda net, x: nn.AdaptiveAvgPool2d(1)(x).flatten(1),
    "scaled and shifted": lambda net, x: 3 * x.mean((2, 3)) - 1,
    "in another order": lambda net, x: x.mean((2, 3))[:, [2, 0, 1]],
    "ends in a softmax": lambda net, x: x.mean((2, 3)).softmax(dim=1),
    "of a curve": lambda net, x: x.square().mean((2, 3)).sqrt(),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_is_the_class_scores_is_left_out_and_said(name):
    torch.manual_seed(0)
    classifier = classifier_of(Maps(ENDS[name]))
    with pytest.warns(VebiWarning, match="^the layer relu is the class scores themselves, .* is left out$"):
        assert [layer.name for layer in choose_layers(classifier)] == ["stem.1"]
    with pytest.warns(VebiWarning, match="explains classes by their own scores$"):
        assert [layer.name for layer in choose_layers(classifier, "relu")] == ["relu"]


@pytest.mark.parametrize(
    "end",
    [
        lambda net, x: net.mix(x.mean((2, 3))),
        lambda net, x: x.mean((2, 3)) + 0.1 * x.mean((1, 2, 3))[:, None],
        lambda net, x: x.mean((2, 3))[:, [0, 0, 1]],
        lambda net, x: F.normalize(x.mean((2, 3))),
    ],
    ids=["linear", "a common part", "one channel for two", "normalised"],
)
def test_what_tells_more_than_a_class_score_stays(end):
    torch.manual_seed(0)
    assert [layer.name for layer in choose_layers(classifier_of(Maps(end)))] == ["stem.1", "relu"]


class WithSideOutput(Maps):
    def forward(self, x):
        scores = self.last(self.stem(x)).mean((2, 3))
        self.shown = F.relu(scores)
        return scores


def changed(change, network=Maps):
    torch.manual_seed(0)
    network = network(ENDS["mean, as SqueezeNet"])
    with torch.no_grad():
        change(network)
    return network


@pytest.mark.parametrize(
    "network",
    [
        changed(lambda net: net.half()),
        changed(lambda net: net.bfloat16()),
        changed(lambda net: net.last.bias[1].fill_(-99)),  # a class that no image of noise is of
        changed(lambda net: None, WithSideOutput),
    ],
    ids=["float16", "bfloat16", "a dead class", "side output"],
)
def test_what_is_the_class_scores_is_found_in_any_precision_for_some_classes_and_beside_them(network):
    with pytest.warns(VebiWarning, match="^the layer relu is the class scores themselves, .* is left out$"):
        assert [layer.name for layer in choose_layers(classifier_of(network))] == ["stem.1"]


def test_scores_behind_a_relu_are_left_out():
    torch.manual_seed(0)
    head = nn.Linear(16, 3)
    nn.init.constant_(head.bias, 5)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), head, nn.ReLU())
    with pytest.warns(VebiWarning, match="^the layer 5 is the class scores themselves"):
        assert [layer.name for layer in choose_layers(classifier_of(net))] == ["1"]
