"""The audit names what no rule covers, wherever it stands and however it is spelled."""

import re

import pytest
import torch
import torch.nn.functional as F
from support import ToyNet, import_torchvision
from torch import nn

import vebi
from vebi.activations.layers import choose_layers
from vebi.backprop.graph_audit import LINEAR, PRODUCTS, ROUTED, RULED, Finding, audit_backward
from vebi.errors import UsageError
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


class Between(nn.Module):
    """An operation between two convolutions, and one behind the layer under audit that must not count."""

    def __init__(self, operation):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.inner = Call(operation)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.relu(self.conv2(self.inner(self.conv1(x))))
        return x.clamp(max=3).mean((2, 3))


class Call(nn.Module):
    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def forward(self, x):
        return self.operation(x)


def look(operation, rule="guided"):
    classifier = Classifier(Between(operation).eval(), Preprocess(16, (0.5,) * 3, (0.5,) * 3))
    return [f for f in audit_backward(classifier, layers="relu", rule=rule) if f.module == "inner"]


UNCOVERED = {
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "where": lambda x: torch.where(x > 0, x, 0 * x),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.0),
    "softmax": lambda x: x.softmax(1),
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "softplus": F.softplus,
    "abs": torch.abs,
    "pow": lambda x: x**2,
    "exp": torch.exp,
    "mul": lambda x: x * x.mean((2, 3), keepdim=True),
    "div": lambda x: x.mean((1, 2, 3), keepdim=True) / (4 + x),
    "reciprocal": lambda x: 1 / (4 + x),
    "bmm": lambda x: torch.bmm(x.flatten(2), x.flatten(2).transpose(1, 2))[:, :, :, None].expand(-1, -1, -1, 4),
    "native_layer_norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "native_group_norm": lambda x: F.group_norm(x, 2),
    "native_batch_norm": F.instance_norm,  # takes the statistics of the image itself
}


@pytest.mark.parametrize("name", UNCOVERED)
def test_what_no_rule_covers_is_named_with_its_module(name):
    missed = [f for f in look(UNCOVERED[name]) if not f.covered]
    assert Finding("inner", name, "plain", False, 1) in missed
    assert str(missed[0]).endswith(" in inner")
    assert all(f.covered for f in look(UNCOVERED[name], "gradient"))  # whose promise is the plain derivative


RULED_CALLS = {
    "relu": [F.relu, lambda x: F.relu_(x.clone()), torch.relu, lambda x: x.relu()],
    "threshold": [lambda x: F.threshold(x, 0, 0)],
    "hardtanh": [F.relu6, lambda x: F.hardtanh(x, 0, 6)],
    "leaky_relu": [F.leaky_relu],
    "prelu_kernel": [lambda x: F.prelu(x, torch.full((1,), 0.1))],
    "elu": [F.elu, F.selu],
    "celu": [F.celu],
    "silu": [F.silu],
    "gelu": [F.gelu, lambda x: F.gelu(x, approximate="tanh")],
    "hardswish": [F.hardswish],
    "mish": [F.mish],
    "tanh": [torch.tanh],
}


@pytest.mark.parametrize("name", RULED_CALLS)
def test_activation_functions_are_under_the_rule(name):
    for call in RULED_CALLS[name]:
        assert look(call) == [Finding("inner", name, "rule", True, 1)]


LINEAR_CALLS = [
    lambda x: 2 * x + 1 - x / 3,
    lambda x: torch.cat([x, x], 1)[:, ::2].flip(3).roll(1, 2),
    lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")[:, :, 1:-1, 1:-1],
    lambda x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear"),
    lambda x: x.flatten(1).unflatten(1, x.shape[1:]).permute(0, 1, 3, 2).contiguous(),
    lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2),
    lambda x: x @ torch.ones(16, 16) + x.mean((2, 3), keepdim=True).expand_as(x),
    lambda x: torch.stack(x.chunk(2, 1), 2).flatten(1, 2) * torch.ones(4, 1, 1),
    lambda x: F.batch_norm(x, torch.zeros(4), torch.ones(4)),
    lambda x: F.adaptive_avg_pool2d(x, 16) - F.conv_transpose2d(x, torch.ones(4, 4, 1, 1)),
]


@pytest.mark.parametrize("call", LINEAR_CALLS)
def test_what_is_linear_is_not_listed(call):
    assert look(call) == []


def test_pools_are_routed():
    assert look(lambda x: F.max_pool2d(x, 3, 1, 1)) == [Finding("inner", "max_pool2d_with_indices", "routed", True, 1)]
    assert [f.treatment for f in look(lambda x: x + x.amax((2, 3), keepdim=True))] == ["routed"]


def test_each_operation_has_one_treatment():
    names = [*RULED, *ROUTED, *LINEAR, *PRODUCTS]
    assert len(names) == len(set(names))


def test_an_autograd_function_of_a_users_own_is_not_covered():
    class Identity(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    (finding,) = look(Identity.apply)
    assert (finding.operation, finding.covered) == ("identity", False)


def test_innermost_modules_own_what_they_do_and_calls_are_counted(toy):
    assert audit_backward(toy) == (
        Finding("", "max_pool2d_with_indices", "routed", True, 1),
        Finding("", "relu", "rule", True, 1),
        Finding("relu1", "relu", "rule", True, 1),
    )
    shared = nn.ReLU()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), shared, nn.Conv2d(4, 4, 3), shared, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier = Classifier(net.eval(), Preprocess(16, (0.5,) * 3, (0.5,) * 3))
    assert audit_backward(classifier) == (Finding("1", "relu", "rule", True, 2),)


def test_a_function_between_modules_belongs_to_the_module_that_calls_it():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x):
            return self.conv2(F.relu(self.conv1(x))).tanh()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.block1, self.block2 = nn.Conv2d(3, 4, 3), Block(), Block()

        def forward(self, x):
            return self.block2(F.silu(self.block1(F.gelu(self.conv(x))))).mean((2, 3))

    assert [
        str(finding) for finding in audit_backward(Classifier(Net().eval(), Preprocess(16, (0.5,) * 3, (0.5,) * 3)))
    ] == [
        "gelu in the network itself",
        "silu in the network itself",
        "relu in block1",
        "tanh in block1",
        "relu in block2",
        "tanh in block2",
    ]


def test_only_the_way_from_the_layers_to_the_image_counts(toy):
    for layers in ("relu1", ["relu1"], ("relu1", "*1"), "*elu1"):
        assert audit_backward(toy, layers=layers) == (Finding("relu1", "relu", "rule", True, 1),)


@pytest.mark.parametrize(
    ("options", "unknown"),
    [({"layers": "relu9"}, "'relu9'"), ({"layers": ["relu1", "x*"]}, "'x*'"), ({"rule": "lrp"}, "'lrp'")],
)
def test_unknown_layers_and_rules(toy, options, unknown):
    with pytest.raises(UsageError, match=re.escape(unknown)):
        audit_backward(toy, **options)


def test_explanations_carry_their_audit(squares, toy_module):
    class Clamped(ToyNet):
        def forward(self, x):
            return self.linear(F.relu(self.conv2(F.max_pool2d(self.conv1(x).clamp(min=0), 2))).mean(dim=(2, 3)))

    net = Clamped()
    net.load_state_dict(toy_module.state_dict())
    classifier = Classifier(net.eval(), Preprocess(32, net.mean, net.std), net.class_names)
    interpretation = vebi.interpret(classifier, squares, mu=1)
    explanation = vebi.explain(interpretation, squares / "red" / "00.png")
    assert [str(f) for f in explanation.audit if not f.covered] == ["clamp in the network itself"]
    plain = vebi.explain(interpretation, squares / "red" / "00.png", recipe=vebi.Recipe.paper(rule="gradient"))
    assert plain.audit
    assert all(f.covered for f in plain.audit)


@pytest.mark.parametrize(
    ("name", "missed"),
    [
        ("resnet18", set()),
        ("densenet121", set()),
        ("mobilenet_v2", set()),
        ("mobilenet_v3_small", {"mul", "hardsigmoid"}),
        ("efficientnet_b0", {"mul", "sigmoid"}),
    ],
)
def test_networks_that_people_use(name, missed):
    net = getattr(import_torchvision().models, name)().eval()
    classifier = Classifier(net, Preprocess(64, (0.5,) * 3, (0.5,) * 3))
    findings = audit_backward(classifier)
    assert {f.operation for f in findings if not f.covered} == missed
    assert sum(f.count for f in findings if f.treatment == "rule") == len(choose_layers(classifier))


def test_nothing_is_left_behind(toy):
    before = [p.grad for p in toy.model.parameters()]
    audit_backward(toy)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in toy.model.modules())
    assert all(p.grad is g and p.requires_grad for p, g in zip(toy.model.parameters(), before, strict=True))
