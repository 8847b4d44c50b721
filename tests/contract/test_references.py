"""Whole networks of torchvision against guided backpropagation as it is commonly written: a copy of the network in
which every ReLU, and every convolution with a stride, is replaced by an ``autograd.Function``."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import import_torchvision, interpretation_of
from torch import nn

from vebi.activations.layers import Feature, choose_layers
from vebi.explanation.explain import ExplainOptions, explain_batch
from vebi.explanation.recipe import Recipe
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

SIZE = 64
#: Three layers of each network, early to late: name -> (its ReLU module, which call of it).
LAYERS = {
    "resnet18": {"relu": ("relu", 0), "layer2.0.relu": ("layer2.0.relu", 0), "layer4.0.relu#2": ("layer4.0.relu", 1)},
    "vgg11_bn": {
        "features.2": ("features.2", 0),
        "features.20": ("features.20", 0),
        "classifier.1": ("classifier.1", 0),
    },
}
CHANNELS = (3, 10)  # of every layer, one per class


# --- the reference ----------------------------------------------------------------------------------------------------


class RuledReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, rule):
        ctx.save_for_backward(x)
        ctx.rule = rule
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return {"gradient": g * (x > 0), "deconvnet": g * (g > 0), "guided": g * (x > 0) * (g > 0)}[ctx.rule], None


class FixedConvolution(torch.autograd.Function):
    """Goes back with stride 1: from held gradients and cropped, or from enlarged ones."""

    @staticmethod
    def forward(ctx, x, weight, stride, padding, fix):
        ctx.save_for_backward(weight)
        ctx.geometry = (x.shape[2], weight.shape[2], stride, padding, fix)
        return F.conv2d(x, weight, stride=stride, padding=padding)

    @staticmethod
    def backward(ctx, g):
        (weight,) = ctx.saved_tensors
        size, kernel, stride, padding, fix = ctx.geometry
        if fix == "nearest":
            g = F.interpolate(g, size + 2 * padding - kernel + 1, mode="nearest")
            return F.conv_transpose2d(g, weight, padding=padding), None, None, None, None
        g = g.repeat_interleave(stride, dim=2).repeat_interleave(stride, dim=3)
        plane = F.pad(F.conv_transpose2d(g, weight), (0, size, 0, size))
        start = padding + (stride - 1) // 2
        return plane[:, :, start : start + size, start : start + size], None, None, None, None


class Ruled(nn.Module):
    """In the place of a ReLU; ``outputs`` are those of its calls."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule
        self.outputs = []

    def forward(self, x):
        self.outputs.append(RuledReLU.apply(x, self.rule))
        return self.outputs[-1]


class Fixed(nn.Module):
    """In the place of a convolution with a stride."""

    def __init__(self, conv, fix):
        super().__init__()
        assert conv.bias is None
        assert conv.dilation == (1, 1)
        assert conv.groups == 1
        self.weight, self.stride, self.padding, self.fix = conv.weight, conv.stride[0], conv.padding[0], fix

    def forward(self, x):
        return FixedConvolution.apply(x, self.weight, self.stride, self.padding, self.fix)


def replaced(net, rule, fix):
    """A copy with other parts, and how many convolutions with a stride were replaced."""
    net, count = deepcopy(net), 0
    for name, part in list(net.named_modules()):
        if isinstance(part, nn.ReLU):
            net.set_submodule(name, Ruled(rule))
        elif isinstance(part, nn.Conv2d) and part.stride != (1, 1) and fix is not None:
            net.set_submodule(name, Fixed(part, fix))
            count += 1
    return net, count


def reference_map(net, inputs, module, channel):
    """One backward pass from the channel's own activation, zeros in all others."""
    module, call = module
    x = inputs.clone().requires_grad_()
    for part in net.modules():
        if isinstance(part, Ruled):
            part.outputs.clear()
    net(x)
    start = net.get_submodule(module).outputs[call]
    seed = torch.zeros_like(start)
    seed[:, channel] = start[:, channel].detach()
    (g,) = torch.autograd.grad(start, x, seed)
    return (g.clamp(min=0) ** 2).sum(dim=1).sqrt().numpy()


# --- the networks under study -----------------------------------------------------------------------------------------


def interpretation(classifier, layers):
    """One feature per class: every layer with each of two channels."""
    offsets = np.cumsum([0] + [channels for _, channels in layers])
    picked = [(name, start, c) for (name, _), start in zip(layers, offsets[:-1], strict=True) for c in CHANNELS]
    return interpretation_of(
        classifier,
        tuple(layers),
        features=tuple(Feature(name, c) for name, _, c in picked),
        columns=tuple(int(start) + c for _, start, c in picked),
        weights=np.eye(6),
    )


@pytest.fixture(scope="module", params=list(LAYERS))
def study(request):
    """Random in everything, batch norm included, in double precision: there no ReLU is in doubt for rounding."""
    torchvision, chance = import_torchvision(), torch.Generator().manual_seed(0)
    with torch.device("meta"):  # what is drawn here would be drawn again
        net = getattr(torchvision.models, request.param)(num_classes=6)
        if request.param == "vgg11_bn":  # its own head has 120 million weights
            net.classifier = nn.Sequential(nn.Linear(25088, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, 6))
    net = net.to_empty(device="cpu").eval()
    for name, value in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.zero_()
        elif name.endswith("running_var"):
            value.uniform_(0.3, 1.5, generator=chance)
        elif value.ndim == 1:  # biases, means, and the factors of batch norm
            value.normal_(0.6 if name.endswith("weight") else 0, 0.3, generator=chance)
        else:
            value.normal_(0, 1.4 * value[0].numel() ** -0.5, generator=chance)
    names = ("a", "b", "c", "d", "e", "f")
    classifier = Classifier(net, Preprocess(SIZE, (0.5,) * 3, (0.25,) * 3), names)
    layers = choose_layers(classifier, list(LAYERS[request.param]))
    assert [layer.name for layer in layers] == list(LAYERS[request.param])
    net.double()
    inputs = torch.randn(6, 3, SIZE, SIZE, generator=chance, dtype=torch.float64)
    inputs = F.interpolate(inputs[:, :, :16, :16], SIZE, mode="bilinear") + inputs / 4
    return request.param, interpretation(classifier, [(layer.name, layer.channels) for layer in layers]), inputs


@pytest.mark.parametrize(
    ("rule", "fix"),
    [("guided", "centred"), ("guided", "nearest"), ("guided", None), ("deconvnet", "centred"), ("gradient", "centred")],
)
def test_maps_equal_those_of_a_network_with_parts_replaced(study, rule, fix):
    name, found, inputs = study
    reference, strided = replaced(found.classifier.model, rule, fix)
    assert strided == (7 if name == "resnet18" and fix else 0)
    for target, feature in enumerate(found.features):
        images = inputs[target % 3 :: 3]  # two of the six
        expected = reference_map(reference, images, LAYERS[name][feature.layer], feature.channel)
        options = ExplainOptions(recipe=Recipe.paper(rule=rule, stride_fix=fix))
        explanations = explain_batch(found, images, "xy", [target] * 2, options)
        seen = 0
        for e, literal in zip(explanations, expected, strict=True):
            if e.evidence:  # a channel without an activation has no map
                (v,) = e.evidence
                assert v.feature == feature
                assert literal.max() > 0
                np.testing.assert_allclose(v.heatmap, literal, rtol=1e-5, atol=1e-5 * literal.max())
                seen += 1
            else:
                assert literal.max() == 0
        assert seen or feature.layer == "classifier.1"


def test_features_of_three_layers_at_once(study):
    """Where features of different layers share a backward pass, each map is as if it were alone."""
    name, found, inputs = study
    found = replace(found, weights=np.tile(np.arange(1.0, 7), (6, 1)))
    reference, _ = replaced(found.classifier.model, "guided", "centred")
    layers = set()
    options = ExplainOptions(max_features=6, recipe=Recipe.paper())
    for e, x in zip(explain_batch(found, inputs, "uvwxyz", options=options), inputs, strict=True):
        for v in e.evidence:
            (literal,) = reference_map(reference, x[None], LAYERS[name][v.feature.layer], v.feature.channel)
            np.testing.assert_allclose(v.heatmap, literal, rtol=1e-5, atol=1e-5 * literal.max())
            layers.add(v.feature.layer)
    assert layers == set(LAYERS[name])
