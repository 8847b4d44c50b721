"""Names, values and graph edges of recorded activations, however they are spelled."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vebi.activations.layers import Feature, choose_layers, list_layers
from vebi.activations.recorder import ACTIVATIONS, Recorder
from vebi.errors import ModelError, UsageError
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.conv(self.relu(x))
        y += x  # changed in place after it was recorded
        return self.relu(y)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU())
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(4, 5)
        self.unused = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = F.relu(F.gelu(x)).mean((2, 3))
        return self.head(torch.relu(x))


def classifier(module, size=8, colours=3):
    return Classifier(module.eval(), Preprocess(size, (0.5,) * colours, (0.5,) * colours))


def record(module, inputs, names=None, keep=lambda _, __, a: a.detach().clone()):
    with Recorder(module, names, keep) as recorder:
        module(inputs)
    return recorder


def hooks(module):
    return [len(p._forward_hooks) + len(p._forward_pre_hooks) for p in module.modules()]


def test_names_kinds_and_sizes():
    layers = {layer.name: layer for layer in list_layers(classifier(Net()))}
    default = [name for name, layer in layers.items() if layer.default]
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
    assert layers["stem.1"].kind == "silu" and (layers["stem.1"].channels, layers["stem.1"].height) == (4, 6)
    assert (layers["relu#2"].channels, layers["relu#2"].height, layers["relu#2"].width) == (4, 1, 1)
    assert layers["head"].kind == "Linear" and layers["head"].channels == 5
    assert {"stem", "stem.0", "blocks.0.conv", "blocks.0"} <= set(layers) and "unused" not in layers
    assert str(Feature("stem.1", 3)) == "stem.1:3"


@pytest.mark.parametrize("grad", [True, False])
def test_values_are_those_at_the_time(grad):
    """Against the forward pass written out; inference and gradient passes see other operators, the same names."""
    net, x = Net().eval(), torch.randn(2, 3, 8, 8)
    with torch.set_grad_enabled(grad) if grad else torch.inference_mode():
        kept = record(net, x).kept
    with torch.no_grad():
        first, second = net.blocks
        stem = F.silu(net.stem[0](x))
        relu = stem.relu()  # in place: the block adds the rectified one
        a = (first.conv(relu) + relu).relu()
        c = second.conv(a.relu())
        expected = {
            "stem.0": net.stem[0](x),
            "stem.1": stem,
            "blocks.0.relu": relu,
            "blocks.0.conv": first.conv(relu),
            "blocks.0.relu#2": a,
            "blocks.0": a,
            "blocks.1.conv": c,
            "blocks.1.relu#2": (c + a).relu(),
            "gelu": F.gelu((c + a).relu()),
        }
    for name, value in expected.items():
        torch.testing.assert_close(kept[name], value, msg=lambda m, name=name: f"{name}: {m}")


def test_every_activation_function_is_named_alike_with_and_without_gradients():
    modules = [
        nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.Hardtanh(), nn.LeakyReLU(), nn.PReLU(), nn.ELU(), nn.SELU(),
        nn.CELU(), nn.SiLU(), nn.SiLU(inplace=True), nn.GELU(), nn.Hardswish(), nn.Mish(), nn.Tanh(),
        nn.Threshold(0.1, 0), nn.ELU(inplace=True), nn.SELU(inplace=True), nn.CELU(inplace=True),
        nn.ReLU6(inplace=True), nn.Hardswish(inplace=True), nn.Mish(inplace=True), nn.LeakyReLU(inplace=True),
    ]  # fmt: skip
    net = nn.Sequential(nn.Conv2d(3, 3, 1), *modules)
    x = torch.randn(1, 3, 4, 4)
    names = []
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        kinds = {}
        with mode():
            record(net, x, keep=lambda name, kind, _, kinds=kinds: kinds.setdefault(name, kind))
        assert list(kinds) == [str(i) for i in range(len(modules) + 1)]
        assert set(list(kinds.values())[1:]) <= set(ACTIVATIONS.values())
        names.append(kinds)
    assert names[0] == names[1] == names[2]


def test_edges_lead_to_the_recorded_activation():
    """A gradient from each edge is that of the activation as it was, also where it was changed in place afterwards."""

    class Changing(nn.Module):
        def forward(self, x):
            a = F.silu(2 * x)
            a += 100 * x
            b = F.relu_(a * 3)
            return (a + b).sum((2, 3))

    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    recorder = record(Changing(), x)
    for name, function in {
        "silu": lambda x: F.silu(2 * x),
        "relu": lambda x: F.relu(3 * (F.silu(2 * x) + 100 * x)),
    }.items():
        seed = torch.randn(2, 3, 4, 4)
        (got,) = torch.autograd.grad(recorder.edges[name], x, seed, retain_graph=True)
        torch.testing.assert_close(got, torch.autograd.grad(function(x), x, seed)[0])
        torch.testing.assert_close(recorder.kept[name], function(x).detach())


def test_hooks_and_mode_are_gone_after_success_and_failure():
    net, x = Net().eval(), torch.randn(1, 3, 8, 8)
    before, expected = hooks(net), net(x)

    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("broken")

    def refuse(name, *_):
        if name == "blocks.1.relu":
            raise KeyError(name)

    record(net, x)
    with pytest.raises(KeyError):
        record(net, x, keep=refuse)
    head, net.head = net.head, Broken()
    with pytest.raises(ValueError, match="broken"):
        record(net, x)
    net.head = head
    assert hooks(net) == before
    seen = []
    with Recorder(net, None, lambda *a: seen.append(a)):
        pass
    net(x)
    assert not seen and torch.utils._python_dispatch._get_current_dispatch_mode() is None
    torch.testing.assert_close(net(x), expected)


def test_the_recorder_can_be_used_after_a_failure_half_way():
    """The stack of modules is unwound, so that the names are right the next time."""

    class Sometimes(Net):
        def forward(self, x):
            try:
                self.blocks[0](x[:, :1])  # wrong number of channels
            except RuntimeError:
                pass
            return super().forward(x)

    names = list(record(Net().eval(), torch.randn(1, 3, 8, 8)).kept)
    got = list(record(Sometimes().eval(), torch.randn(1, 3, 8, 8)).kept)
    assert {n for n in got if not n.startswith("blocks.0")} == {n for n in names if not n.startswith("blocks.0")}


def test_symbolically_traced_modules_keep_their_names():
    net = Net().eval()
    traced = torch.fx.symbolic_trace(net)
    got = [layer.name for layer in choose_layers(classifier(traced))]
    assert got == [layer.name for layer in choose_layers(classifier(net))]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_traces_are_tapped_by_function():
    net, x = Net().eval(), torch.randn(1, 3, 8, 8)
    traced = torch.jit.trace(net, x)
    recorded = record(traced, x)
    own = [a for name, a in record(net, x).kept.items() if name in ("stem.1", "gelu", "relu#2")]
    kept = list(recorded.kept.values())
    for activation in own:
        assert any(k.shape == activation.shape and torch.allclose(k, activation) for k in kept)


def test_layers_that_do_not_run_or_have_no_gradient():
    net, x = Net().eval(), torch.randn(1, 3, 8, 8, requires_grad=True)
    with pytest.raises(ModelError, match="unused did not run"):
        record(net, x, ["stem.1", "unused"])

    class Cut(nn.Module):
        def forward(self, x):
            return F.relu(x).detach().relu().sum((2, 3))

    with pytest.raises(ModelError, match="no gradient leads from the layer relu#2"):
        record(Cut(), x, ["relu", "relu#2"])
    with torch.no_grad():
        assert set(record(Cut(), x, ["relu", "relu#2"]).kept) == {"relu", "relu#2"}


def test_only_wanted_layers_are_kept():
    recorder = record(Net().eval(), torch.randn(1, 3, 8, 8), ["gelu", "blocks.0.relu#2"])
    assert set(recorder.kept) == set(recorder.edges) == {"gelu", "blocks.0.relu#2"}


def test_choosing_layers():
    net = classifier(Net())
    assert [layer.name for layer in choose_layers(net, ["blocks.*.relu"])] == ["blocks.0.relu", "blocks.1.relu"]
    assert [layer.name for layer in choose_layers(net, ["gelu", "stem.0"])] == ["stem.0", "gelu"]
    assert len(choose_layers(net, ["relu*", "relu"])) == 2
    with pytest.raises(UsageError, match="no layer is called 'stem.9'"):
        choose_layers(net, ["stem.9"])
    with pytest.raises(UsageError, match="no activation function"):
        choose_layers(classifier(nn.Sequential(nn.Flatten(), nn.Linear(192, 3))))


def test_tokens_and_windows_cannot_be_tapped():
    """Activations without a row for every picture, or with tokens in the place of channels."""

    class Tokens(nn.Module):
        def forward(self, x):
            tokens = F.relu(x.flatten(2).transpose(1, 2))
            windows = F.relu(tokens.reshape(-1, 3))
            return windows.view(len(x), -1, 3).mean(1)

    assert list_layers(classifier(Tokens())) == []


def test_listing_leaves_the_module_as_it_was():
    net = classifier(Net())
    net.module.train()
    net.module.blocks[0].eval()
    list_layers(net)
    assert net.module.training and not net.module.blocks[0].training and net.module.blocks[1].training


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

    assert [layer.name for layer in choose_layers(classifier(Rows()))] == ["relu"]
    assert "linear" not in [layer.name for layer in list_layers(classifier(Rows()))]


def test_one_pattern_may_be_given_as_it_is():
    assert [layer.name for layer in choose_layers(classifier(Net()), "blocks.0.relu")] == ["blocks.0.relu"]
