"""Networks as people have them: wrapped, compiled, scripted, quantised, without positions or gradients."""

import pytest
import torch
from torch import nn

from vebi.activations.layers import choose_layers, list_layers
from vebi.backprop.graph_audit import audit_backward
from vebi.errors import ModelError, UsageError
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

#: What torch warns of when it compiles or scripts is of its own making.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit:DeprecationWarning"
)  # torch.jit is deprecated, and still in use


class Branching(nn.Module):
    """A part that can be compiled alone."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        return self.linear(self.inner(x).mean((2, 3)))


def around(module):
    return Classifier(module, Preprocess(8, (0.5,) * 3, (0.5,) * 3))


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile, lambda net: nn.DataParallel(torch.compile(net))])
def test_wrappers_are_taken_off(wrap):
    net = Branching().eval()
    assert around(wrap(net)).model is net
    assert [layer.name for layer in list_layers(around(wrap(net)))] == ["inner.0", "inner.1", "inner", "linear"]


def test_what_is_compiled_inside_runs_as_it_was_written():
    net = Branching().eval()
    plain = [(layer.name, layer.channels) for layer in list_layers(around(net)) if layer.is_activation]
    net.compile()
    compiled = net._compiled_call_impl
    assert [(layer.name, layer.channels) for layer in list_layers(around(net)) if layer.is_activation] == plain
    assert net._compiled_call_impl is compiled
    net = Branching().eval()
    net.inner = torch.compile(net.inner)
    assert [layer.channels for layer in list_layers(around(net)) if layer.is_activation] == [4]


@pytest.mark.parametrize("make", [torch.jit.script, lambda net: torch.jit.trace(net, torch.zeros(1, 3, 8, 8))])
def test_a_scripted_model_is_refused(make):
    with pytest.raises(ModelError, match=r"torch\.jit"):
        around(make(Branching().eval()))
    with pytest.raises(ModelError, match=r"torch\.jit"):
        around(nn.Sequential(make(Branching().eval()), nn.Softmax(dim=1)))


def test_a_network_that_keeps_a_tensor_of_its_first_pass_can_be_trained_afterwards():
    class Keeping(Branching):
        mask = None

        def forward(self, x):
            if self.mask is None:
                self.mask = torch.ones_like(x) * 2
            return super().forward(x * self.mask)

    net = Keeping().eval()
    list_layers(around(net))
    net(torch.randn(1, 3, 8, 8)).sum().backward()
    assert net.linear.weight.grad is not None


def test_a_quantised_model_is_refused():
    class Quantised(nn.Module):
        """Stands for what torch.ao.quantization makes: its parts are known by their module's name."""

        __module__ = "torch.ao.nn.quantized.modules.conv"

    with pytest.raises(ModelError, match="quantised"):
        around(nn.Sequential(Quantised(), nn.ReLU()))


def test_a_model_through_which_no_gradient_passes_is_told():
    class Rounded(Branching):
        def forward(self, x):
            return super().forward(x.detach())

    classifier = Classifier(Rounded().eval(), Preprocess(8, (0.5,) * 3, (0.5,) * 3), ("a", "b"))
    with pytest.raises(ModelError, match="no gradient"):
        audit_backward(classifier, layers="inner.1")


def test_a_model_without_positions_has_layers_of_single_numbers():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    assert [(layer.height, layer.width) for layer in choose_layers(around(net))] == [(1, 1)]
    with pytest.raises(UsageError, match="no activation function"):
        choose_layers(around(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).eval()))
