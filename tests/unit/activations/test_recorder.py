"""Names, values and graph edges of recorded activations, however they are spelled."""

import contextlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from unit.activations.nets import Net, classifier_of

from vebi.activations.layers import choose_layers
from vebi.activations.recorder import ACTIVATIONS, ActivationRecorder
from vebi.errors import ModelError


def record(module, inputs, names=None, keep=lambda _, __, a: a.detach().clone()):
    with ActivationRecorder(module, names, keep) as recorder:
        module(inputs)
    return recorder


def hooks(module):
    return [len(p._forward_hooks) + len(p._forward_pre_hooks) for p in module.modules()]


@pytest.mark.parametrize("grad", [True, False])
def test_values_are_those_at_the_time(grad):
    """Against the forward pass written out; inference and gradient passes see other operators, the same names."""
    net, x = Net().eval(), torch.randn(2, 3, 8, 8)
    with torch.set_grad_enabled(grad) if grad else torch.inference_mode():
        records = record(net, x).records
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
        torch.testing.assert_close(records[name], value, msg=lambda m, name=name: f"{name}: {m}")


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
        (got,) = torch.autograd.grad(recorder.gradient_edges[name], x, seed, retain_graph=True)
        torch.testing.assert_close(got, torch.autograd.grad(function(x), x, seed)[0])
        torch.testing.assert_close(recorder.records[name], function(x).detach())


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
    with ActivationRecorder(net, None, lambda *a: seen.append(a)):
        pass
    net(x)
    assert not seen
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    torch.testing.assert_close(net(x), expected)


def test_the_recorder_can_be_used_after_a_failure_half_way():
    """The stack of modules is unwound, so that the names are right the next time."""

    class Sometimes(Net):
        def forward(self, x):
            with contextlib.suppress(RuntimeError):
                self.blocks[0](x[:, :1])  # wrong number of channels
            return super().forward(x)

    names = list(record(Net().eval(), torch.randn(1, 3, 8, 8)).records)
    got = list(record(Sometimes().eval(), torch.randn(1, 3, 8, 8)).records)
    assert {n for n in got if not n.startswith("blocks.0")} == {n for n in names if not n.startswith("blocks.0")}


def test_symbolically_traced_modules_keep_their_names():
    net = Net().eval()
    traced = torch.fx.symbolic_trace(net)
    got = [layer.name for layer in choose_layers(classifier_of(traced))]
    assert got == [layer.name for layer in choose_layers(classifier_of(net))]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit is deprecated, and still in use
def test_compiled_traces_are_recorded_by_function():
    net, x = Net().eval(), torch.randn(1, 3, 8, 8)
    traced = torch.jit.trace(net, x)
    activations = list(record(traced, x).records.values())
    expected = [a for name, a in record(net, x).records.items() if name in ("stem.1", "gelu", "relu#2")]
    for e in expected:
        assert any(a.shape == e.shape and torch.allclose(a, e) for a in activations)


def test_layers_that_do_not_run_or_have_no_gradient():
    net, x = Net().eval(), torch.randn(1, 3, 8, 8, requires_grad=True)
    with pytest.raises(ModelError, match="unused"):
        record(net, x, ["stem.1", "unused"])

    class Cut(nn.Module):
        def forward(self, x):
            return F.relu(x).detach().relu().sum((2, 3))

    with pytest.raises(ModelError, match=r"gradient .*relu#2"):
        record(Cut(), x, ["relu", "relu#2"])
    with torch.no_grad():
        assert set(record(Cut(), x, ["relu", "relu#2"]).records) == {"relu", "relu#2"}


def test_only_named_layers_are_recorded():
    recorder = record(Net().eval(), torch.randn(1, 3, 8, 8), ["gelu", "blocks.0.relu#2"])
    assert set(recorder.records) == set(recorder.gradient_edges) == {"gelu", "blocks.0.relu#2"}
