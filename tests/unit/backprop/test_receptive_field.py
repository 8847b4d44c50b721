"""Receptive fields against fields worked out by hand, and against which pixels change an activation."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from vebi.backprop import field_measurement, receptive_field
from vebi.backprop.receptive_field import ReceptiveField, receptive_fields
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


@pytest.fixture(autouse=True, params=["read", "measured"])
def way(request, monkeypatch):
    """Steps that the graph tells must be those that are measured."""
    if request.param == "measured":
        monkeypatch.setattr(receptive_field, "read_steps", lambda *_: None)
    return request.param


def fields(module, *names, size=64):
    net = nn.Module()
    net.body, net.forward = module, lambda x: net.body(x).flatten(1)[:, :4]
    found = receptive_fields(Classifier(net, Preprocess(size, (0.5,) * 3, (0.5,) * 3)), [f"body.{n}" for n in names])
    return found[f"body.{names[0]}"] if len(names) == 1 else [found[f"body.{n}"] for n in names]


def square(start, jump, size):
    return ReceptiveField((start, start), (jump, jump), (size, size))


def conv(k, s=1, p=0, d=1, inside=3, out=3):
    return nn.Conv2d(inside, out, k, s, p, d)


CHAINS = {
    "one convolution": (lambda: [conv(3, p=1)], square(-1, 1, 3)),
    "a stride": (lambda: [conv(5, 2, 2)], square(-2, 2, 5)),
    "an even kernel": (lambda: [conv(4, 2, 1)], square(-1, 2, 4)),
    "dilation": (lambda: [conv(3, 1, 0, 4)], square(0, 1, 9)),
    "dilation and padding": (lambda: [conv(3, 2, 4, 4)], square(-4, 2, 9)),
    # field grows by (k - 1) times the jump so far, start moves by p times it
    "two strides": (lambda: [conv(5, 2, 2), conv(3, 2, 1)], square(-4, 4, 9)),
    "three strides": (lambda: [conv(3, 2, 1), conv(3, 2, 1), conv(3, 2, 0)], square(-3, 8, 15)),
    "max pooling": (lambda: [conv(3, p=1), nn.ReLU(), nn.MaxPool2d(2), conv(3, p=1)], square(-3, 2, 8)),
    "padded max pooling": (lambda: [conv(3, 2, 1), nn.MaxPool2d(3, 2, 1)], square(-3, 4, 7)),
    "dilated max pooling": (lambda: [nn.MaxPool2d(3, 2, 0, dilation=3)], square(0, 2, 7)),
    "average pooling": (lambda: [nn.AvgPool2d(3, 2, 1), conv(3)], square(-1, 2, 7)),
    "batch norm": (lambda: [conv(3), nn.BatchNorm2d(3), nn.ReLU(), conv(3)], square(0, 1, 5)),
    "group norm": (lambda: [conv(3), nn.GroupNorm(3, 3), nn.SiLU(), conv(3)], square(0, 1, 5)),
    "prelu and tanh": (lambda: [conv(3), nn.PReLU(), conv(3), nn.Tanh(), conv(1)], square(0, 1, 5)),
    "depthwise": (lambda: [nn.Conv2d(3, 3, 3, groups=3), nn.ReLU6(), conv(1)], square(0, 1, 3)),
    "unequal": (lambda: [nn.Conv2d(3, 3, (3, 5), (1, 2), (1, 0))], ReceptiveField((-1, 0), (1, 2), (3, 5))),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains(name):
    make, expected = CHAINS[name]
    layers = make()
    assert fields(nn.Sequential(*layers), str(len(layers) - 1)) == expected


@pytest.mark.parametrize("weight", [-1.0, 0.0])
def test_norms_with_negative_or_no_weights(weight):
    norm = nn.BatchNorm2d(3)
    nn.init.constant_(norm.weight, weight)
    nn.init.constant_(norm.bias, -5)  # everything behind is silent
    assert fields(nn.Sequential(conv(3), norm, nn.ReLU(), conv(3)), "3") == square(0, 1, 5)


def test_functional_pools_and_strided_slices():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2, self.end = conv(3, 2, 1), conv(3, 1, 1), nn.Identity()

        def forward(self, x):
            x = F.max_pool2d(F.relu_(x), 2)
            return self.end(F.relu(self.conv2(F.relu(self.conv1(x))) + x[:, :, ::2, ::2]))

    # pool: 2 wide, jump 2; conv1: 2 + 2*2 = 6, jump 4, start -2; conv2: 6 + 2*4 = 14, start -6
    assert fields(Residual(), "end", "conv1") == [square(-6, 4, 14), square(-2, 4, 6)]


def test_slices_alone():
    class Slices(nn.Module):
        def __init__(self):
            super().__init__()
            self.end = nn.Identity()

        def forward(self, x):
            return self.end(x[:, :, 1::3, ::2])

    assert fields(Slices(), "end") == ReceptiveField((1, 0), (3, 2), (1, 1))


class Enlarged(nn.Module):
    """A map that is made larger, and a convolution behind it."""

    def __init__(self, enlarge, channels=3):
        super().__init__()
        self.conv, self.enlarge, self.end = conv(3, 4, 1, out=channels), enlarge, conv(3, p=1)

    def forward(self, x):
        return self.end(self.enlarge(F.relu(self.conv(x))))


# position j of the larger map sees position j / 2, of which the fields are 3 wide, every 4 pixels; then three of them
@pytest.mark.parametrize(
    ("enlarge", "channels", "size"),
    [
        (lambda x: F.interpolate(x, scale_factor=2), 3, 7),
        (lambda x: F.interpolate(x, scale_factor=2, mode="nearest-exact"), 3, 7),
        (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), 3, 11),
        (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True), 3, 11),
        (lambda x: F.pixel_shuffle(x, 2), 12, 7),
        (lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3), 3, 7),
    ],
)
def test_maps_that_are_made_larger(enlarge, channels, size):
    field = fields(Enlarged(enlarge, channels), "end")
    assert field.jump == pytest.approx((2, 2), abs=0.2)
    assert field.size == pytest.approx((size, size), abs=1)
    middle = [s + j * 15.5 + extent / 2 for s, j, extent in zip(field.start, field.jump, field.size, strict=True)]
    assert middle == pytest.approx((30.5, 30.5), abs=1)  # the middle of -1 to 62


def test_kernels_that_are_made_of_parameters_are_no_layers_on_the_way():
    for parametrise in (nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm):
        layers = nn.Sequential(parametrise(conv(3, p=1)), nn.ReLU(), parametrise(conv(3, 2, 1)))
        assert fields(layers, "2") == square(-2, 2, 5)


@pytest.mark.parametrize("sign", [1, -1])
def test_two_ways_that_cancel_out(sign):
    class Difference(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.end = nn.Conv2d(1, 1, 1), nn.Identity()

        def forward(self, x):
            x = x[:, :1]
            return self.end(sign * (F.relu(self.conv(x)) - x))

    assert fields(Difference(), "end") == square(0, 1, 1)


def test_a_layer_without_positions_sees_the_image():
    whole = square(0, 0, 16)
    assert fields(nn.Sequential(conv(3), nn.AdaptiveAvgPool2d(1)), "1", size=16) == whole
    assert fields(nn.Sequential(nn.Flatten(), nn.Linear(768, 5)), "1", size=16) == whole


def test_of_a_field_larger_than_the_image_the_middle_is_kept():
    assert fields(nn.Sequential(conv(16, 4, 8)), "0", size=16) == square(-8, 4, 16)
    assert fields(nn.Sequential(conv(18, 2, 8)), "0", size=16) == square(-7, 2, 16)


def test_fields_that_reach_beyond_the_image_are_known():
    """Of one that is larger than the image at every position, though no end of it is seen."""
    assert fields(nn.Sequential(conv(7, 2, 3), conv(7, 2, 3), conv(7, 1, 3)), "2", size=16) == square(-7.5, 4, 16)


class Pads(nn.Module):
    """Pads one side alone."""

    def __init__(self, *sides):
        super().__init__()
        self.sides = sides

    def forward(self, x):
        return F.pad(x, self.sides)


@pytest.mark.parametrize(
    ("layers", "size", "expected"),
    [
        # 193 of 224 pixels are seen: the stride leaves the rest out; their middle is 96, and not 111.5
        (lambda: [conv(193, 64)], 224, square(0, 0, 193)),
        (lambda: [conv(129, 16), conv(5, 4), nn.ReLU()], 224, square(0, 0, 193)),
        (lambda: [conv(97, 32), nn.AdaptiveAvgPool2d(1)], 224, square(0, 0, 193)),
        # left and top alone are padded
        (lambda: [Pads(30, 0, 30, 0), conv(31)], 64, square(-30, 1, 31)),
        (lambda: [Pads(60, 0, 60, 0), conv(61)], 64, square(-60, 1, 61)),
        (lambda: [Pads(60, 0, 60, 0), conv(61), Pads(60, 0, 60, 0), conv(61)], 64, square(-120 + 28.5, 1, 64)),
        (lambda: [Pads(0, 40, 0, 40), conv(41), nn.MaxPool2d(2)], 64, square(0, 2, 42)),
    ],
)
def test_fields_that_reach_over_one_edge_only(layers, size, expected):
    layers = layers()
    assert fields(nn.Sequential(*layers), str(len(layers) - 1), size=size) == expected


@pytest.mark.parametrize(
    ("layers", "size", "expected"),
    [
        # the first position sees a pixel of the image and one of the padding, and not the pixel at the edge
        (lambda: [conv(1, 2), conv(1, 2), nn.Conv2d(3, 3, 2, 3, 1, 2)], 48, square(-4, 12, 9)),
        (lambda: [nn.Conv2d(3, 3, 2, 1, 1, 2)], 6, square(-1, 1, 3)),
        (lambda: [nn.Conv2d(3, 3, 3, 1, 3, 3)], 9, square(-3, 1, 7)),
        (lambda: [nn.Conv2d(3, 3, 2, 1, 2, 4)], 12, square(-2, 1, 5)),
        (lambda: [nn.MaxPool2d(2, 2, 1, 2)], 13, square(-1, 2, 3)),
        *(
            (
                lambda k=k, d=d: [nn.Conv2d(3, 3, k, 1, d * (k - 1) // 2, d)],
                size,
                square(-d * (k - 1) / 2, 1, d * (k - 1) + 1),
            )
            for k, d, size in [(3, 12, 32), (3, 16, 48), (5, 4, 32), (3, 20, 64), (3, 2, 64)]
        ),
    ],
)
def test_kernels_with_holes_that_step_over_the_edge(layers, size, expected):
    layers = layers()
    assert fields(nn.Sequential(*layers), str(len(layers) - 1), size=size) == expected


def test_the_ends_may_see_nothing_but_padding():
    assert fields(nn.Sequential(conv(1, 1, 2)), "0", size=16) == square(-2, 1, 1)
    assert fields(nn.Sequential(conv(3, 1, 40), conv(3)), "1", size=16) == square(-40, 1, 5)


class Branches(nn.Module):
    """A short and a long way side by side, and a gate that sees everything."""

    def __init__(self, gated):
        super().__init__()
        self.long, self.short, self.gate = nn.Sequential(conv(3, p=1), conv(3, p=1)), conv(1), conv(1)
        self.end, self.gated = nn.ReLU(), gated

    def forward(self, x):
        y = self.long(x) + self.short(x)
        return self.end(y * self.gate(y.mean((2, 3), keepdim=True)).sigmoid() if self.gated else y)


def test_ways_side_by_side():
    assert fields(Branches(gated=False), "end", size=16) == square(-2, 1, 5)
    assert fields(Branches(gated=True), "end", size=16) == square(-7.5, 1, 16)


def test_corners():
    assert ReceptiveField((-4, 1), (2, 3), (9, 9)).corner((0, 0)) == (-4, 1)
    assert ReceptiveField((-4, 1), (2, 3), (9, 9)).corner((5, 2)) == (6, 7)
    assert ReceptiveField((-7.5, 0.5), (2.5, 1.0), (9, 9)).corner((1, 2)) == (-5, 3)


chain = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.booleans()),
    min_size=1,
    max_size=3,
)


@settings(max_examples=40, deadline=None)
@given(layers=chain)
def test_random_chains(layers):
    """Against the textbook recurrence for start, jump and size."""
    size, start, jump, extent, parts = 48, 0, 1, 1, []
    for k, s, p, d, pool in layers:
        p = min(p, k // 2)
        parts.append(nn.MaxPool2d(k, s, p, d) if pool else conv(k, s, p, d))
        start, extent, jump = start - p * jump, extent + d * (k - 1) * jump, jump * s
        size = (size + 2 * p - d * (k - 1) - 1) // s + 1
        assume(size >= 2)
    assume(extent + jump < 30)  # what is larger cannot be seen whole from two neighbouring positions
    assert fields(nn.Sequential(*parts), str(len(parts) - 1), size=48) == square(start, jump, extent)


def test_the_network_is_left_as_it_was(toy):
    before = [p.grad for p in toy.model.parameters()]
    toy.model.train()
    receptive_fields(toy, ["relu1"])
    assert toy.model.training
    assert all(p.grad is g and p.requires_grad for p, g in zip(toy.model.parameters(), before, strict=True))
    assert not any(m._forward_hooks for m in toy.model.modules())
    toy.model.eval()


@pytest.mark.parametrize(
    "gate",
    [
        lambda x: x.clamp(min=0),
        lambda x: torch.clamp_min(x, 0),
        lambda x: torch.maximum(x, torch.zeros(())),
        lambda x: torch.where(x > 0, x, 0 * x),
        lambda x: x.masked_fill(x < 0, 0.0),
    ],
)
def test_gates_without_a_name_are_open(gate):
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = conv(3, p=1), conv(3, p=1)

        def forward(self, x):
            return self.conv2(gate(self.conv1(x)))

    assert fields(Gated(), "conv2") == square(-2, 1, 5)


@pytest.mark.parametrize("k", [21, 22, 23])
def test_a_way_that_cannot_be_measured_is_not_guessed(k):
    """The only two positions reach the two edges, so that nothing tells how far apart they are."""
    assert fields(nn.Sequential(conv(k, 12, 4)), "0", size=30) in (square(-4, 12, k), square(-7.5, 15, 30))


@pytest.mark.parametrize("way", ["measured"], indirect=True)
def test_every_layer_in_the_time_of_few_passes():
    """Each part of the network is passed once, however many layers are asked for."""
    layers = [layer for _ in range(30) for layer in (conv(3, p=1, inside=8, out=8), nn.BatchNorm2d(8), nn.ReLU())]
    net = nn.Sequential(conv(3, p=1, out=8), *layers)
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        convolution = field_measurement._convolution
        patch.setattr(field_measurement, "_convolution", lambda *given: calls.append(1) or convolution(*given))
        found = fields(net, *map(str, range(len(net))), size=64)
    assert 31 <= len(calls) <= 4 * 31
    assert found[-1] == square(-31, 1, 63)
    assert [field.size[0] for field in found[1::3]] == [2 * k + 3 for k in range(1, 31)]


class Dense(nn.Module):
    """Every layer sees all before it; the gate and the pool as in networks that people have."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(conv(3, p=1, inside=3 * k, out=3) for k in range(1, 6))
        self.norm, self.pool = nn.BatchNorm2d(18), nn.AvgPool2d(2)
        self.gate, self.end = conv(1, inside=18, out=18), conv(1, inside=18)

    def forward(self, x):
        seen = [x]
        for one in self.convs:
            seen.append(F.relu(one(torch.cat(seen, 1))))
        x = self.pool(F.hardswish(self.norm(torch.cat(seen, 1))))
        return self.end(x * F.hardsigmoid(self.gate(F.adaptive_avg_pool2d(x, 1))))


@pytest.mark.parametrize("way", ["read"], indirect=True)
# five layers reach 5 pixels far; the pool makes 12 of 11, and the gate the whole image, around the same middle
@pytest.mark.parametrize(("name", "expected"), [("convs.4", square(-5, 1, 11)), ("end", square(-7, 2, 16))])
def test_nothing_of_common_operators_is_measured(name, expected, monkeypatch):
    monkeypatch.setattr(receptive_field, "measure_step", None)
    assert fields(Dense(), name, size=16) == expected


def test_fields_are_measured_in_inference_mode_too(toy):
    with torch.inference_mode():
        assert receptive_fields(toy, ["relu1"])["relu1"] == square(-1, 2, 3)
