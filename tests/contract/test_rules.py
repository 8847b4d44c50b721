"""The backprop rules through whole networks, in every spelling, against their equations written out.

Nothing is shared with ``vebi.backprop.rules``: activation functions and their derivatives come from formulas in plain
arithmetic, and a linear part goes back through the dense matrix that unit vectors, sent forward, make of it.
"""

from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.graph import get_gradient_edge

from vebi.activations.recorder import ActivationRecorder
from vebi.backprop.rules import RULES, rule_backward
from vebi.backprop.stride_fix import STRIDE_FIXES
from vebi.errors import ModelError


def rand(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- the equations --------------------------------------------------------------------------------------------------


def dense(linear, shape):
    """The matrix (outputs x inputs) of a linear function of 1 x C x H x W, column by column."""
    units = torch.eye(torch.Size(shape).numel(), dtype=torch.float64).view(-1, *shape)
    return torch.stack([linear(unit[None]).flatten() for unit in units], dim=1)


def transposed(linear, shape, g):
    """Back through a linear function to its inputs n x ``shape``."""
    return (g.flatten(1) @ dense(linear, shape)).view(len(g), *shape)


def held(g, stride):
    """Every number held for a block of s x s."""
    out = g.new_zeros(*g.shape[:2], g.shape[2] * stride[0], g.shape[3] * stride[1])
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = g[:, :, i // stride[0], j // stride[1]]
    return out


def enlarged(g, size):
    """Nearest neighbour: position i of n takes from position floor(i * m / n) of m."""
    out = g.new_zeros(*g.shape[:2], *size)
    for i in range(size[0]):
        for j in range(size[1]):
            out[:, :, i, j] = g[:, :, i * g.shape[2] // size[0], j * g.shape[3] // size[1]]
    return out


@dataclass(frozen=True)
class Windows:
    """A convolution, or what is one in disguise, as the stride fix sees it."""

    weight: torch.Tensor = field(repr=False)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __call__(self, x, stride=None, padding=None):
        stride, padding = stride or self.stride, self.padding if padding is None else padding
        return F.conv2d(x, self.weight, None, stride, padding, self.dilation, self.groups)

    def back(self, x, g, fix):
        """METHOD 2.4, to the letter; where no stride is, both fixes are the ordinary way back."""
        channels, *size = shape = x.shape[1:]
        if fix is None:
            return transposed(self, shape, g)
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.weight.shape[2:], strict=True)]
        if fix == "nearest":
            full = [h + 2 * p - r for h, p, r in zip(size, self.padding, reach, strict=True)]
            short = [max(0, 1 - n) for n in full]  # pooling with ceil_mode: the only window reaches over the edge
            full = [max(1, n) for n in full]
            return transposed(lambda x: self(F.pad(x, (0, short[1], 0, short[0])), stride=1), shape, enlarged(g, full))
        blocks = held(g, self.stride)
        plane = [n + r for n, r in zip(blocks.shape[2:], reach, strict=True)]
        whole = transposed(lambda x: self(x, stride=1, padding=0), (channels, *plane), blocks)
        out, (top, left) = (
            torch.zeros_like(x),
            (p + (s - 1) // 2 for p, s in zip(self.padding, self.stride, strict=True)),
        )
        part = whole[:, :, top : top + size[0], left : left + size[1]]  # beyond the last kernel there is nothing
        out[:, :, : part.shape[2], : part.shape[3]] = part
        return out


def activation_back(formula, x, g, rule):
    """The rule of an activation function y = formula(x)."""
    if rule == "deconvnet":
        return torch.where(g > 0, g, 0)
    slope = torch.func.vmap(torch.func.grad(formula))(x.flatten()).view_as(x)
    return slope * g if rule == "gradient" else torch.where((x > 0) & (g > 0), slope * g, 0)


# --- every spelling of an activation function -------------------------------------------------------------------------


def softplus(x):
    return torch.log(1 + torch.exp(x))


def normal_cdf(x):
    return (1 + torch.erf(x / 2**0.5)) / 2


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

#: The formulas, of one number.
FORMULAS = {
    "relu": lambda x: torch.where(x > 0, x, 0.0),
    "threshold 0.3": lambda x: torch.where(x > 0.3, x, 0.0),
    "threshold -0.5": lambda x: torch.where(x > -0.5, x, 0.0),
    "threshold 0.3 to 2": lambda x: torch.where(x > 0.3, x, 2.0),
    "relu6": lambda x: torch.where(x > 6, 6.0, torch.where(x > 0, x, 0.0)),
    "hardtanh": lambda x: torch.where(x > 1, 1.0, torch.where(x > -1, x, -1.0)),
    "leaky": lambda x: torch.where(x > 0, x, 0.2 * x),
    "prelu": lambda x: torch.where(x > 0, x, 0.3 * x),
    "prelu negative": lambda x: torch.where(x > 0, x, -0.3 * x),
    "elu": lambda x: torch.where(x > 0, x, 0.7 * (torch.exp(x) - 1)),
    "selu": lambda x: SELU_SCALE * torch.where(x > 0, x, SELU_ALPHA * (torch.exp(x) - 1)),
    "celu": lambda x: torch.where(x > 0, x, 1.5 * (torch.exp(x / 1.5) - 1)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "gelu": lambda x: x * normal_cdf(x),
    "gelu tanh": lambda x: x / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "hardswish": lambda x: torch.where(x > 3, x, torch.where(x > -3, x * (x + 3) / 6, 0.0)),
    "mish": lambda x: x * torch.tanh(softplus(x)),
    "tanh": lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x)),
}


def parameter(value, count=1):
    return torch.full((count,), value, dtype=torch.float64)


SPELLINGS = {
    "relu": {
        "module": nn.ReLU(),
        "module in place": nn.ReLU(inplace=True),
        "F": F.relu,
        "F in place": lambda x: F.relu(x, inplace=True),
        "F_": F.relu_,
        "torch": torch.relu,
        "torch_": torch.relu_,
        "method": lambda x: x.relu(),
        "method_": lambda x: x.relu_(),
        "threshold": lambda x: F.threshold(x, 0, 0),
        "threshold_": lambda x: F.threshold_(x, 0, 0),
        "out of sequence": nn.Sequential(nn.Identity(), nn.ReLU(inplace=True)),
    },
    "threshold 0.3": {
        "F": lambda x: F.threshold(x, 0.3, 0),
        "F_": lambda x: F.threshold_(x, 0.3, 0),
        "module": nn.Threshold(0.3, 0),
        "module in place": nn.Threshold(0.3, 0, inplace=True),
    },
    "threshold -0.5": {"F": lambda x: F.threshold(x, -0.5, 0), "F_": lambda x: F.threshold_(x, -0.5, 0)},
    "threshold 0.3 to 2": {"F": lambda x: F.threshold(x, 0.3, 2), "F_": lambda x: F.threshold_(x, 0.3, 2)},
    "relu6": {
        "module": nn.ReLU6(),
        "module in place": nn.ReLU6(inplace=True),
        "F": F.relu6,
        "F in place": lambda x: F.relu6(x, inplace=True),
        "hardtanh": lambda x: F.hardtanh(x, 0, 6),
        "hardtanh_": lambda x: F.hardtanh_(x, 0, 6),
        "hardtanh module": nn.Hardtanh(0, 6),
    },
    "hardtanh": {"module": nn.Hardtanh(), "module in place": nn.Hardtanh(inplace=True), "F": F.hardtanh},
    "leaky": {
        "module": nn.LeakyReLU(0.2),
        "module in place": nn.LeakyReLU(0.2, inplace=True),
        "F": lambda x: F.leaky_relu(x, 0.2),
        "F_": lambda x: F.leaky_relu_(x, 0.2),
    },
    "prelu": {
        "module": nn.PReLU(init=0.3).double(),
        "module of channels": nn.PReLU(4, init=0.3).double(),
        "F": lambda x: F.prelu(x, parameter(0.3)),
        "F of channels": lambda x: F.prelu(x, parameter(0.3, 4)),
    },
    "prelu negative": {"module": nn.PReLU(4, init=-0.3).double()},  # a slope can be trained to that
    "elu": {
        "module": nn.ELU(0.7),
        "module in place": nn.ELU(0.7, inplace=True),
        "F": lambda x: F.elu(x, 0.7),
        "F_": lambda x: F.elu_(x, 0.7),
    },
    "selu": {"module": nn.SELU(), "in place": nn.SELU(inplace=True), "F": F.selu, "torch_": torch.selu_},
    "celu": {
        "module": nn.CELU(1.5),
        "module in place": nn.CELU(1.5, inplace=True),
        "F": lambda x: F.celu(x, 1.5),
        "torch_": lambda x: torch.celu_(x, 1.5),
    },
    "silu": {"module": nn.SiLU(), "module in place": nn.SiLU(inplace=True), "F": F.silu},
    "gelu": {"module": nn.GELU(), "F": F.gelu},
    "gelu tanh": {"module": nn.GELU("tanh"), "F": lambda x: F.gelu(x, approximate="tanh")},
    "hardswish": {"module": nn.Hardswish(), "module in place": nn.Hardswish(inplace=True), "F": F.hardswish},
    "mish": {"module": nn.Mish(), "module in place": nn.Mish(inplace=True), "F": F.mish},
    "tanh": {
        "module": nn.Tanh(),
        "F": F.tanh,
        "torch": torch.tanh,
        "torch_": torch.tanh_,
        "method_": lambda x: x.tanh_(),
    },
}


class Net(nn.Module):
    """One activation function in three places, a sum in place after the second, strides in the outer convolutions."""

    def __init__(self, function):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2, bias=False)
        self.third = nn.Conv2d(4, 4, 2, stride=(2, 3), padding=(0, 1), bias=False)
        self.double()
        self.function = function
        for i, conv in enumerate((self.first, self.second, self.third)):
            with torch.no_grad():  # wide enough for the ends of every function to be reached
                conv.weight.copy_(rand(*conv.weight.shape, seed=i) * 3 / conv.weight[0].numel() ** 0.5)

    def forward(self, x):
        a = self.function(self.first(x))
        b = self.second(a)
        b += a
        b = self.function(b)
        return self.function(self.third(b))


X, SEED = rand(2, 2, 11, 10, seed=7), rand(2, 4, 3, 2, seed=8)


def literal(net, formula, x, seed, rule, fix):
    """The way back through ``Net``, activation by activation."""
    first, second, third = (
        Windows(c.weight.detach(), c.stride, c.padding, c.dilation, c.groups)
        for c in (net.first, net.second, net.third)
    )
    p = first(x)
    a = formula(p)
    q = second(a) + a
    b = formula(q)
    r = third(b)
    g = activation_back(formula, r, seed, rule)
    g = third.back(b, g, fix)
    g = activation_back(formula, q, g, rule)
    g = g + second.back(a, g, fix)
    g = activation_back(formula, p, g, rule)
    return first.back(x, g, fix), (p, q, r)


def back(network, x, seed, rule, fix):
    x = x.clone().requires_grad_()
    return rule_backward([get_gradient_edge(network(x.clone()))], [seed], x, rule=rule, stride_fix=fix)


EXPECTED = {}


def expected(kind, rule, fix):
    if (kind, rule, fix) not in EXPECTED:
        found, before = literal(Net(None), FORMULAS[kind], X, SEED, rule, fix)
        for x in before:  # or a rule would never be put to the test
            assert (x > 0).any()
            assert (x < 0).any()
        EXPECTED[kind, rule, fix] = found
    return EXPECTED[kind, rule, fix]


def assert_equals_the_equations(network, kind, x=X):
    for rule in RULES:
        for fix in STRIDE_FIXES:
            wanted = expected(kind, rule, fix)
            assert wanted.abs().max() > 0.1
            got = back(network, x, SEED, rule, fix)
            torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6, msg=lambda m, at=(rule, fix): f"{at}: {m}")


@pytest.mark.parametrize(("kind", "spelling"), [(kind, how) for kind, all_ in SPELLINGS.items() for how in all_])
def test_every_spelling_under_every_rule_and_fix(kind, spelling):
    assert_equals_the_equations(Net(SPELLINGS[kind][spelling]), kind)


def test_the_rules_and_fixes_differ():
    """Otherwise the test above would not tell one from another."""
    found = [expected("relu", rule, fix) for rule in RULES for fix in STRIDE_FIXES]
    for i, one in enumerate(found):
        assert not any(torch.allclose(one, other, rtol=0.01, atol=0.01) for other in found[:i])


@pytest.mark.parametrize("kind", ["relu", "relu6", "silu"])
def test_symbolically_traced(kind):
    assert_equals_the_equations(torch.fx.symbolic_trace(Net(SPELLINGS[kind]["module in place"])), kind)


@pytest.mark.parametrize("kind", ["relu", "tanh"])
def test_exported(kind):
    assert_equals_the_equations(torch.export.export(Net(SPELLINGS[kind]["module"]), (X,)).module(), kind)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit is deprecated, and still in use
@pytest.mark.parametrize("kind", ["relu", "hardswish"])
def test_traced_by_torchscript(kind):
    """A trace that TorchScript runs operator by operator, as after its own check without gradients."""
    assert_equals_the_equations(torch.jit.trace(Net(SPELLINGS[kind]["module in place"]), X), kind)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit is deprecated, and still in use
def test_traces_with_backward_formulas_of_their_own_are_refused():
    """When a trace first runs with gradients, TorchScript compiles its backward pass: there a ReLU is a product, which
    no rule can tell from others."""

    class Chain(nn.Module):
        def forward(self, x):
            return torch.relu(2 * torch.tanh(torch.relu(x * 1.5 + 0.1)) - 0.3)

    traced = torch.jit.trace(Chain(), X, check_trace=False)

    def run_until_compiled():
        for _ in range(3):
            back(traced, X, torch.ones_like(X), "guided", None)

    with pytest.raises(ModelError, match="TorchScript"):
        run_until_compiled()


def test_checkpointed():
    """What is computed anew for the backward pass is computed outside of the rule, and backpropagated under it."""
    net = Net(F.relu)
    assert_equals_the_equations(lambda x: torch.utils.checkpoint.checkpoint(net, x, use_reentrant=False), "relu")


def test_channels_last():
    net = Net(nn.ReLU(inplace=True)).to(memory_format=torch.channels_last)
    assert_equals_the_equations(net, "relu", X.contiguous(memory_format=torch.channels_last))


def test_while_the_program_records():
    """The recorder watches the same operators: with it, and from the edge that it marks, nothing changes."""
    net = Net(nn.SiLU(inplace=True))
    for rule in RULES:
        x = X.clone().requires_grad_()
        with ActivationRecorder(net, ["function#3"], lambda _, __, a: a.detach().clone()) as recorder:
            net(x.clone())
        got = rule_backward([recorder.gradient_edges["function#3"]], [SEED], x, rule=rule, stride_fix="centred")
        torch.testing.assert_close(got, expected("silu", rule, "centred"), rtol=1e-6, atol=1e-6)


def test_single_precision():
    net = Net(nn.ReLU(inplace=True)).float()
    for rule in RULES:
        for fix in STRIDE_FIXES:
            got = back(net, X.float(), SEED.float(), rule, fix)
            assert got.dtype == torch.float32
            torch.testing.assert_close(got.double(), expected("relu", rule, fix), rtol=1e-4, atol=1e-4)


# --- chains of everything that has a stride ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Convolution:
    windows: Windows

    def __call__(self, x):
        return self.windows(x)

    def back(self, x, g, rule, fix):
        return self.windows.back(x, g, fix)


@dataclass(frozen=True)
class AveragePool:
    """A sum over windows, each divided by a number of its own: what its row of the dense matrix says."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    ceil: bool
    include_pad: bool

    def __call__(self, x):
        return F.avg_pool2d(x, self.kernel, self.stride, self.padding, self.ceil, self.include_pad)

    def back(self, x, g, rule, fix):
        if fix is None or max(self.stride) == 1:
            return transposed(self, x.shape[1:], g)
        shares = dense(self, x.shape[1:]).amax(dim=1).view(g.shape[1:])
        ones = torch.ones(x.shape[1], 1, *self.kernel, dtype=x.dtype)
        return Windows(ones, self.stride, self.padding, groups=x.shape[1]).back(x, g * shares, fix)


@dataclass(frozen=True)
class Slice:
    """x[:, :, start::step]: a kernel of one, on what begins at the start."""

    start: tuple[int, int]
    step: tuple[int, int]

    def __call__(self, x):
        return x[:, :, self.start[0] :: self.step[0], self.start[1] :: self.step[1]]

    def back(self, x, g, rule, fix):
        inner = x[:, :, self.start[0] :, self.start[1] :]
        one = torch.ones(x.shape[1], 1, 1, 1, dtype=x.dtype)
        return F.pad(
            Windows(one, self.step, groups=x.shape[1]).back(inner, g, fix), (self.start[1], 0, self.start[0], 0)
        )


@dataclass(frozen=True)
class Rectify:
    def __call__(self, x):
        return F.relu(x)

    def back(self, x, g, rule, fix):
        return activation_back(FORMULAS["relu"], x, g, rule)


@dataclass(frozen=True)
class MaxPool:
    """To where the largest number of a window stands, whatever the rule and fix."""

    kernel: tuple[int, int]

    def __call__(self, x):
        return F.max_pool2d(x, self.kernel)

    def back(self, x, g, rule, fix):
        out = torch.zeros_like(x)
        (rows, cols), (high, wide) = g.shape[2:], self.kernel
        for n in range(len(x)):
            for c in range(x.shape[1]):
                for i in range(rows):
                    for j in range(cols):
                        window = x[n, c, i * high : (i + 1) * high, j * wide : (j + 1) * wide]
                        module = int(window.argmax())
                        out[n, c, i * high + module // wide, j * wide + module % wide] += g[n, c, i, j]
        return out


@dataclass(frozen=True)
class Mirror:
    """Padding by reflection, as a convolution with ``padding_mode="reflect"`` does it, is no part of the fix."""

    width: int

    def __call__(self, x):
        return F.pad(x, (self.width,) * 4, mode="reflect")

    def back(self, x, g, rule, fix):
        return transposed(self, x.shape[1:], g)


CHANNELS = 2


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 2]))
    weight = rand(CHANNELS, CHANNELS // groups, *draw(pairs(1, 3)), seed=draw(st.integers(0, 99)))
    return Convolution(Windows(weight, draw(pairs(1, 4)), draw(pairs(0, 2)), draw(pairs(1, 2)), groups))


@st.composite
def average_pools(draw):
    kernel = draw(pairs(1, 3))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    return AveragePool(kernel, draw(pairs(1, 4)), padding, draw(st.booleans()), draw(st.booleans()))


parts = st.one_of(
    convolutions(),
    convolutions(),
    average_pools(),
    st.builds(Slice, pairs(0, 1), pairs(1, 4)),
    st.builds(MaxPool, pairs(1, 2)),
    st.builds(Mirror, st.integers(1, 2)),
    st.just(Rectify()),
)


@pytest.mark.parametrize("fix", STRIDE_FIXES)
@settings(max_examples=200, deadline=None)
@given(chain=st.lists(parts, min_size=1, max_size=4), size=pairs(5, 11), rule=st.sampled_from(RULES))
def test_chains(fix, chain, size, rule):
    """Parts of any geometry one after the other: sizes that no stride divides, windows that leave a margin over."""
    values = [rand(2, CHANNELS, *size, seed=1)]
    for part in chain:
        try:
            values.append(part(values[-1]))
        except RuntimeError:  # smaller than the kernel, or than what is mirrored
            assume(False)
        assume(0 < values[-1].numel() <= 1500)

    def network(x):
        for part in chain:
            x = part(x)
        return x

    seed = rand(*values[-1].shape, seed=2)
    g = seed
    for part, x in zip(chain[::-1], values[-2::-1], strict=True):
        g = part.back(x, g, rule, fix)
    torch.testing.assert_close(back(network, values[0], seed, rule, fix), g, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("fix", STRIDE_FIXES)
@settings(max_examples=60, deadline=None)
@given(
    size=pairs(5, 13),
    kernel=pairs(1, 5),
    stride=st.integers(2, 4),
    padding=pairs(0, 3),
    dilation=pairs(1, 2),
    seed=st.integers(0, 99),
)
def test_many_channels_of_few(fix, size, kernel, stride, padding, dilation, seed):
    """As in front of the image, where the way back may be computed in another order."""
    assume(all(h + 2 * p > d * (k - 1) for h, p, d, k in zip(size, padding, dilation, kernel, strict=True)))
    windows = Windows(rand(17, 1, *kernel, seed=seed), (stride, stride), padding, dilation)
    x = rand(2, 1, *size, seed=1)
    g = rand(*windows(x).shape, seed=2)
    torch.testing.assert_close(back(windows, x, g, "guided", fix), windows.back(x, g, fix))


@pytest.mark.parametrize("fix", STRIDE_FIXES)
def test_convolutions_whose_kernel_depends_on_the_image(fix):
    """The kernel's own way to the image is not changed, the stride of the convolution is fixed all the same."""
    base, x, g = rand(2, 2, 3, 3), rand(1, 2, 9, 8, seed=1), rand(1, 2, 4, 3, seed=2)

    def scale(x):
        return 1 + x.mean() ** 2

    inner = Windows(base * scale(x), (2, 2))
    y = x.clone().requires_grad_()
    (through_the_kernel,) = torch.autograd.grad((Windows(base, (2, 2))(x) * g).sum() * scale(y), y)
    got = back(lambda x: F.conv2d(x, base * scale(x), None, 2), x, g, "guided", fix)
    torch.testing.assert_close(got, inner.back(x, g, fix) + through_the_kernel)
