"""Layers from which no gradient leads to the image are left out, or refused by what the model does."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from support import ToyNet
from torch.utils.checkpoint import checkpoint

from vebi.activations.detached import find_detached
from vebi.activations.layers import choose_layers
from vebi.backprop.graph_audit import audit_backward
from vebi.backprop.receptive_field import receptive_fields
from vebi.errors import ModelError, VebiWarning
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


class Between(ToyNet):
    """A ToyNet that does something to the maps between its two activation functions."""

    def __init__(self, change, around=nullcontext):
        super().__init__()
        self.change, self.around = change, around

    def forward(self, x):
        with self.around():
            x = F.max_pool2d(self.relu1(self.conv1(x)), 2)
        return self.linear(F.relu(self.conv2(self.change(x))).mean(dim=(2, 3)))


class Checkpointed(ToyNet):
    def __init__(self, use_reentrant):
        super().__init__()
        self.use_reentrant = use_reentrant

    def forward(self, x):
        x = checkpoint(lambda x: F.max_pool2d(self.relu1(self.conv1(x)), 2), x, use_reentrant=self.use_reentrant)
        return self.linear(F.relu(self.conv2(x)).mean(dim=(2, 3)))


def classifier_of(network) -> Classifier:
    return Classifier(network.eval(), Preprocess(32, (0.5,) * 3, (0.25,) * 3), ("a", "b", "c"))


CUTS = {
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "numpy": lambda x: torch.from_numpy(x.detach().numpy()),
    "list": lambda x: torch.tensor(x.tolist()),
    "quantised": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.quint8).dequantize(),
    "round trip": lambda x: x.int().float(),
    "constant": torch.ones_like,
}


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_what_lies_behind_a_cut_is_left_out_and_said(name):
    network = classifier_of(Between(CUTS[name]))
    with pytest.warns(VebiWarning, match=r"^the model cuts relu off from the image, as by detach\(\), .* left out$"):
        assert [layer.name for layer in choose_layers(network)] == ["relu1"]
    with pytest.raises(ModelError, match=r"the model cuts relu off .*: give a model that does not"):
        choose_layers(network, ["relu"])
    with pytest.raises(ModelError, match=r"^no gradient leads from relu to the image"):
        receptive_fields(network, ["relu1", "relu"])
    assert receptive_fields(network, ["relu1"])["relu1"].size == (3, 3)
    with pytest.raises(ModelError, match="the model cuts relu off"):
        audit_backward(network, layers=["relu"])
    with pytest.warns(VebiWarning, match="left out"):
        assert {finding.module for finding in audit_backward(network)} == {"relu1"}


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_what_runs_without_gradients_is_not_cut_off_only(around):
    network = classifier_of(Between(lambda x: x.clone(), around))
    assert find_detached(network, ["relu1", "relu"]) == {"relu1": "without gradients", "relu": "cut off"}
    with pytest.raises(
        ModelError, match=r"^the model runs relu1 without gradients, as under torch.no_grad.*; the model"
    ):
        choose_layers(network)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_a_reentrant_checkpoint_is_named_and_another_is_none():
    with pytest.raises(ModelError, match=r"^the model runs relu1 without gradients.*relu in a checkpoint with use_re"):
        choose_layers(classifier_of(Checkpointed(True)))
    assert len(choose_layers(classifier_of(Checkpointed(False)))) == 2


class Residual(ToyNet):
    def forward(self, x):
        x = self.relu1(self.conv1(x))
        x = F.max_pool2d(x + checkpoint(torch.tanh, x, use_reentrant=True), 2)
        return self.linear(F.relu(self.conv2(x)).mean(dim=(2, 3)))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_a_reentrant_checkpoint_beside_another_way_is_found():
    network = classifier_of(Residual())
    with pytest.warns(VebiWarning, match="the model runs what lies before relu in a checkpoint"):
        assert [layer.name for layer in choose_layers(network, ["relu*"])] == ["relu1"]
