"""Every rule and stride fix against a slow, literal transcription of its equation."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.graph import get_gradient_edge

from vebi.activations.recorder import ACTIVATIONS
from vebi.backprop.rules import ACTIVATION_BACKWARD, RULES, rule_backward, rule_gradients
from vebi.errors import ModelError, UsageError


def back(function, x, seed, rule="gradient", stride_fix=None, pool_fix=False):
    x = x.clone().requires_grad_()
    start = get_gradient_edge(function(x.clone()))
    return rule_backward([start], [seed], x, rule=rule, stride_fix=stride_fix, pool_fix=pool_fix)


def rand(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- rules for activation functions ---------------------------------------------------------------------------------

FUNCTIONS = {
    "relu": (F.relu, lambda x: (x > 0).double()),
    "relu_": (torch.relu_, lambda x: (x > 0).double()),
    "relu module": (nn.ReLU(), lambda x: (x > 0).double()),
    "relu module in place": (nn.ReLU(inplace=True), lambda x: (x > 0).double()),
    "threshold": (lambda x: F.threshold(x, 0.3, 0), lambda x: (x > 0.3).double()),
    "relu6": (lambda x: F.relu6(3 * x) / 3, lambda x: ((x > 0) & (x < 2)).double()),
    "leaky": (lambda x: F.leaky_relu(x, 0.2), lambda x: torch.where(x > 0, 1, 0.2).double()),
    "prelu": (nn.PReLU(init=0.3).double(), lambda x: torch.where(x > 0, 1, 0.3).double()),
    "elu": (F.elu, lambda x: torch.where(x > 0, 1, x.exp())),
    "elu_": (lambda x: F.elu(x, inplace=True), lambda x: torch.where(x > 0, 1, x.exp())),
    "selu": (F.selu, lambda x: 1.0507009873554805 * torch.where(x > 0, 1, 1.6732632423543772 * x.exp())),
    "celu": (lambda x: F.celu(x, 2.0), lambda x: torch.where(x > 0, 1, (x / 2).exp())),
    "silu": (F.silu, lambda x: x.sigmoid() * (1 + x * (1 - x.sigmoid()))),
    "gelu": (F.gelu, lambda x: (1 + torch.erf(x / 2**0.5)) / 2 + x * torch.exp(-(x**2) / 2) / (2 * torch.pi) ** 0.5),
    "hardswish": (
        F.hardswish,
        lambda x: torch.where(x < -3, 0, torch.where(x > 3, 1, x / 3 + 0.5)),
    ),
    "mish": (
        F.mish,
        lambda x: F.softplus(x).tanh() + x * (1 - F.softplus(x).tanh() ** 2) * x.sigmoid(),
    ),
    "tanh": (torch.tanh, lambda x: 1 - x.tanh() ** 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rules_of_activation_functions(name):
    function, derivative = FUNCTIONS[name]
    x, g = 2 * rand(2, 3, 5, 5), rand(2, 3, 5, 5, seed=1)
    literal = {
        "gradient": derivative(x) * g,
        "deconvnet": g * (g > 0),
        "guided": derivative(x) * g * (x > 0) * (g > 0),
    }
    for rule in RULES:
        if name == "relu6" and rule == "deconvnet":
            continue  # the toy scales before and after
        torch.testing.assert_close(back(function, x, g, rule), literal[rule], msg=lambda m, r=rule: f"{r}: {m}")


def test_every_recorded_activation_function_is_under_a_rule():
    """Otherwise a default layer would be passed by its plain gradient, and nobody would know."""
    x = torch.linspace(-2, 2, 8).requires_grad_()
    weight = torch.tensor([0.1])
    arguments = {"threshold": (0.0, 0.0), "prelu": (weight,), "_prelu_kernel": (weight,)}
    seen = set()

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            seen.add(operator.overloadpacket)
            return operator(*args, **(kwargs or {}))

    for name in ACTIVATIONS:
        if not name.endswith("_"):
            y = getattr(torch.ops.aten, name)(x, *arguments.get(name, ()))
            seen.clear()
            with Spy():
                torch.autograd.grad(y.sum(), x)
            assert seen & set(ACTIVATION_BACKWARD), name


class Reused(nn.Module):
    """One ReLU module for two places, a functional one and an in-place one, and a sum in place."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1) for _ in range(4)).double()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        a = self.relu(self.convs[0](x))
        b = self.convs[1](F.relu(a))
        b += a
        c = torch.relu_(self.convs[2](b))
        return self.relu(self.convs[3](c))


def literal_guided(net: Reused, x, seed):
    """Guided backward written out, layer by layer."""
    a0 = net.convs[0](x)
    a = a0.clamp(min=0)
    b = net.convs[1](a) + a
    c0 = net.convs[2](b)
    d0 = net.convs[3](c0.clamp(min=0))

    def through(conv, g):
        return F.conv_transpose2d(g, conv.weight, padding=1)

    def guided(before, g):
        return g * (before > 0) * (g > 0)

    g = guided(d0, seed)
    g = guided(c0, through(net.convs[3], g))
    g = through(net.convs[2], g)
    g = g + guided(a, through(net.convs[1], g))
    return through(net.convs[0], guided(a0, g))


def test_guided_through_reused_functional_and_in_place_relus():
    net, x, seed = Reused(), rand(2, 2, 6, 6), rand(2, 2, 6, 6, seed=1)
    torch.testing.assert_close(back(net, x, seed, "guided"), literal_guided(net, x, seed))


def test_rules_leave_pooling_and_gates_alone():
    x, g = rand(1, 2, 8, 8), rand(1, 2, 4, 4, seed=1)
    for function in (lambda x: F.max_pool2d(x, 2), lambda x: F.max_pool2d(x, 2).sigmoid()):
        y = x.clone().requires_grad_()
        (plain,) = torch.autograd.grad(function(y), y, g)
        torch.testing.assert_close(back(function, x, g, "guided", "centred"), plain)


def test_a_start_in_the_middle_of_the_graph_and_several_starts_add_up():
    conv = nn.Conv2d(2, 3, 3).double()
    x = rand(1, 2, 6, 6).requires_grad_()
    y = conv(x)
    z = F.relu(y)
    g = rand(1, 3, 4, 4, seed=1)
    both = rule_backward([get_gradient_edge(y), get_gradient_edge(z)], [g, g], x)
    apart = [rule_backward([get_gradient_edge(t)], [g], x) for t in (y, z)]
    torch.testing.assert_close(both, apart[0] + apart[1])
    assert x.grad is None
    assert conv.weight.grad is None


@pytest.mark.parametrize(("option", "value"), [("rule", "lrp"), ("stride_fix", "blur")])
def test_unknown_options(option, value):
    with pytest.raises(UsageError, match=value):
        rule_backward([], [], torch.zeros(1, 1, 2, 2, requires_grad=True), **{option: value})


def test_an_input_that_nothing_depends_on():
    x, weight = rand(1, 1, 2, 2).requires_grad_(), rand(1, 1, 2, 2).requires_grad_()
    with pytest.raises(ModelError, match="no gradient leads"):
        rule_backward([get_gradient_edge(2 * weight)], [rand(1, 1, 2, 2)], x)


# --- the stride fix -------------------------------------------------------------------------------------------------


def literal_centred(gradient, size, weight, stride, padding, dilation, groups):
    """Hold each gradient for a block of s x s, go back with stride 1, crop from offset p + (s - 1) // 2."""
    held = gradient.repeat_interleave(stride[0], 2).repeat_interleave(stride[1], 3)
    plane = F.conv_transpose2d(held, weight, dilation=dilation, groups=groups)
    result = gradient.new_zeros(*gradient.shape[:1], weight.shape[1] * groups, *size)
    top, left = (p + (s - 1) // 2 for p, s in zip(padding, stride, strict=True))
    for y in range(size[0]):
        for x in range(size[1]):
            if top + y < plane.shape[2] and left + x < plane.shape[3]:
                result[:, :, y, x] = plane[:, :, top + y, left + x]
    return result


def literal_nearest(gradient, size, weight, stride, padding, dilation, groups):
    """Enlarge to H + 2p - d (k - 1) by nearest neighbour, go back with stride 1."""
    kernel = weight.shape[2:]
    rows, cols = (h + 2 * p - d * (k - 1) for h, p, d, k in zip(size, padding, dilation, kernel, strict=True))
    enlarged = gradient.new_zeros(*gradient.shape[:2], rows, cols)
    for y in range(rows):
        for x in range(cols):
            enlarged[:, :, y, x] = gradient[:, :, y * gradient.shape[2] // rows, x * gradient.shape[3] // cols]
    return F.conv_transpose2d(enlarged, weight, padding=padding, dilation=dilation, groups=groups)


LITERAL = {"centred": literal_centred, "nearest": literal_nearest}

geometry = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(5, 17), st.integers(5, 17)),
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.tuples(st.integers(1, 5), st.integers(1, 5)),
        "padding": st.tuples(st.integers(0, 3), st.integers(0, 3)),
        "dilation": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "groups": st.sampled_from([1, 2]),
    }
)


@pytest.mark.parametrize("fix", LITERAL)
@settings(max_examples=150, deadline=None)
@given(shape=geometry)
def test_stride_fix_of_convolutions(fix, shape):
    size, kernel, groups = shape["size"], shape["kernel"], shape["groups"]
    stride, padding, dilation = shape["stride"], shape["padding"], shape["dilation"]
    assume(all(h + 2 * p >= d * (k - 1) + 1 for h, p, d, k in zip(size, padding, dilation, kernel, strict=True)))
    weight = rand(4, 4 // groups, *kernel)
    x = rand(2, 4, *size, seed=1)

    def convolve(x):
        return F.conv2d(x, weight, None, stride, padding, dilation, groups)

    g = rand(*convolve(x).shape, seed=2)
    expected = LITERAL[fix](g, size, weight, stride, padding, dilation, groups)
    if max(stride) == 1:  # nothing to fix
        y = x.clone().requires_grad_()
        torch.testing.assert_close(torch.autograd.grad(convolve(y), y, g)[0], expected)
    torch.testing.assert_close(back(convolve, x, g, stride_fix=fix), expected)


def divisors(size, kernel, stride, padding, out, include_pad, override):
    """By how much each window of an average pooling is divided, counted cell by cell."""
    counts = torch.zeros(out, dtype=torch.float64)
    for i in range(out[0]):
        for j in range(out[1]):
            n = 1
            for o, h, k, s, p in zip((i, j), size, kernel, stride, padding, strict=True):
                cells = range(o * s - p, o * s - p + k)
                n *= sum(-p <= c < h + p if include_pad else 0 <= c < h for c in cells)
            counts[i, j] = override or n
    return counts


#: Windows of all shapes.
POOLING = {
    "size": st.tuples(st.integers(5, 12), st.integers(5, 12)),
    "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
    "stride": st.tuples(st.integers(1, 4), st.integers(1, 4)),
    "pad": st.booleans(),
    "ceil": st.booleans(),
}


@pytest.mark.parametrize("fix", LITERAL)
@settings(max_examples=150, deadline=None)
@given(
    **POOLING,
    include_pad=st.booleans(),
    override=st.sampled_from([None, 3]),
)
def test_stride_fix_of_average_pooling(fix, size, kernel, stride, pad, ceil, include_pad, override):
    padding = tuple(k // 2 for k in kernel) if pad else (0, 0)

    def pool(x):
        return F.avg_pool2d(x, kernel, stride, padding, ceil, include_pad, override)

    x = rand(1, 2, *size)
    g = rand(*pool(x).shape, seed=1)
    if max(stride) > 1:
        share = g / divisors(size, kernel, stride, padding, g.shape[2:], include_pad, override)
        ones = torch.ones(2, 1, *kernel, dtype=torch.float64)
        expected = LITERAL[fix](share, size, ones, stride, padding, (1, 1), 2)
    else:
        y = x.clone().requires_grad_()
        (expected,) = torch.autograd.grad(pool(y), y, g)
    torch.testing.assert_close(back(pool, x, g, stride_fix=fix), expected)


def test_average_pooling_whose_stride_is_its_kernel():
    x, g = rand(1, 2, 9, 9), rand(1, 2, 4, 4, seed=1)
    expected = literal_centred(g / 4, (9, 9), torch.ones(2, 1, 2, 2).double(), (2, 2), (0, 0), (1, 1), 2)
    torch.testing.assert_close(back(lambda x: F.avg_pool2d(x, 2), x, g, stride_fix="centred"), expected)


@pytest.mark.parametrize("fix", [*LITERAL, None])
@settings(max_examples=60, deadline=None)
@given(**POOLING)
def test_pool_fix_of_max_pooling(fix, size, kernel, stride, pad, ceil):
    """Every value inside a window and inside the image gets the same share of its gradient."""
    padding = tuple(k // 2 for k in kernel) if pad else (0, 0)

    def pool(x):
        return F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)

    x = rand(1, 2, *size)
    g = rand(*pool(x).shape, seed=1)
    share = g / divisors(size, kernel, stride, padding, g.shape[2:], False, None)
    if fix is not None and max(stride) > 1:
        ones = torch.ones(2, 1, *kernel, dtype=torch.float64)
        expected = LITERAL[fix](share, size, ones, stride, padding, (1, 1), 2)
    else:
        expected = torch.zeros_like(x)
        for i, j in itertools.product(range(g.shape[2]), range(g.shape[3])):
            top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
            rows = slice(max(0, top), max(0, top + kernel[0]))
            columns = slice(max(0, left), max(0, left + kernel[1]))
            expected[:, :, rows, columns] += share[:, :, i, j, None, None]
    torch.testing.assert_close(back(pool, x, g, stride_fix=fix, pool_fix=True), expected)


def test_without_the_pool_fix_the_largest_value_gets_all():
    x, g = rand(1, 2, 9, 9), rand(1, 2, 4, 4, seed=1)
    y = x.clone().requires_grad_()
    (plain,) = torch.autograd.grad(F.max_pool2d(y, 2), y, g)
    assert torch.equal(back(lambda x: F.max_pool2d(x, 2), x, g, stride_fix="centred"), plain)
    with_gaps = back(lambda x: F.max_pool2d(x, 2, 1, 0, 2), x, rand(1, 2, 7, 7), pool_fix=True)
    assert (with_gaps == 0).any()  # a window with gaps is left alone


def test_gradients_at_several_places_at_once():
    x = rand(2, 3, 8, 8).requires_grad_()
    first = F.relu(F.conv2d(x, rand(4, 3, 3, 3)))
    last = F.relu(F.conv2d(first, rand(5, 4, 3, 3), stride=2))
    aside = F.relu(2 * x)
    edges = [get_gradient_edge(y) for y in (x, first, aside)]
    seed = rand(*last.shape, seed=1)
    options = {"rule": "guided", "stride_fix": "centred", "pool_fix": True}
    at_x, at_first, at_aside = rule_gradients([get_gradient_edge(last)], [seed], edges, **options)
    assert torch.equal(at_x, rule_backward([get_gradient_edge(last)], [seed], x, **options))
    y = first.detach().requires_grad_()
    alone = get_gradient_edge(F.relu(F.conv2d(y, rand(5, 4, 3, 3), stride=2)))
    expected = rule_backward([alone], [seed], y, **options)
    torch.testing.assert_close(at_first, expected)
    assert at_aside is None


@pytest.mark.parametrize("fix", LITERAL)
@pytest.mark.parametrize("step", [(2, 2), (3, 1), (1, 2), (4, 3)])
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (12, 11)])
def test_stride_fix_of_slices(fix, step, size):
    """A strided slice is a convolution with a kernel of one."""

    def cut(x):
        return x[:, :, :: step[0], :: step[1]]

    x = rand(2, 3, *size)
    g = rand(*cut(x).shape, seed=1)
    one = torch.ones(3, 1, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(back(cut, x, g, stride_fix=fix), LITERAL[fix](g, size, one, step, (0, 0), (1, 1), 3))


def test_slices_of_a_part():
    """What lies outside the slice gets nothing; slices of channels and with a step of one are left alone."""
    x = rand(1, 4, 11, 6)
    g = rand(1, 4, 4, 6, seed=1)
    got = back(lambda x: x[:, :, 2:9:2], x, g, stride_fix="centred")
    one = torch.ones(4, 1, 1, 1, dtype=torch.float64)
    expected = torch.zeros_like(x)
    expected[:, :, 2:9] = literal_centred(g, (7, 6), one, (2, 1), (0, 0), (1, 1), 4)
    torch.testing.assert_close(got, expected)
    for cut in (lambda x: x[:, ::2], lambda x: x[:, :, 1:5]):
        y = x.clone().requires_grad_()
        seed = torch.ones_like(cut(y))
        torch.testing.assert_close(back(cut, x, seed, stride_fix="centred"), torch.autograd.grad(cut(y), y, seed)[0])


def strided(x):
    """Everything that has a stride."""
    weight = rand(4, 3, 3, 3, seed=5)
    x = F.relu(F.conv2d(x, weight, stride=2, padding=1))
    x = F.avg_pool2d(x, 3, 2, 1)
    return F.conv_transpose2d(x[:, :, ::2, ::2], weight, stride=2)


def test_without_rule_and_fix_it_is_plain_autograd():
    x = rand(2, 3, 21, 20).requires_grad_()
    g = rand(*strided(x).shape, seed=1)
    (plain,) = torch.autograd.grad(strided(x), x, g)
    assert torch.equal(back(strided, x.detach(), g), plain)
    assert not torch.allclose(back(strided, x.detach(), g, stride_fix="centred"), plain)


def test_transposed_convolutions_and_convolutions_over_time_are_left_alone():
    for function, x in (
        (lambda x: F.conv_transpose2d(x, rand(3, 2, 3, 3), stride=2), rand(1, 3, 5, 5)),
        (lambda x: F.conv1d(x.flatten(2), rand(2, 3, 3), stride=2)[..., None], rand(1, 3, 5, 5)),
    ):
        y = x.clone().requires_grad_()
        g = rand(*function(y).shape, seed=1)
        assert torch.equal(back(function, x, g, stride_fix="centred"), torch.autograd.grad(function(y), y, g)[0])


@pytest.mark.parametrize("fix", LITERAL)
def test_no_grid(fix):
    """A flat gradient through positive kernels: the fixed pass stays flat, the other prints the stride's grid."""
    weight = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=torch.float64).view(1, 1, 3, 3)

    def convolve(x):
        return F.conv2d(x, weight, stride=4, padding=1)

    x = torch.ones(1, 1, 64, 64, dtype=torch.float64)

    def at_stride(fix):
        inner = back(convolve, x, torch.ones_like(convolve(x)), stride_fix=fix)[0, 0, 8:56, 8:56]
        spectrum = torch.fft.fft2(inner).abs() / inner.sum()
        return max(spectrum[12, 0], spectrum[0, 12], spectrum[12, 12])  # 48 pixels hold 12 periods of the stride

    assert at_stride(None) > 0.1
    assert at_stride(fix) < 1e-12
