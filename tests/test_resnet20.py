"""A real residual network from end to end: vebi's explanations of the ResNet-20 in the examples against the same method
written out for this one network, layer by layer, from its state dict alone."""

import importlib.util
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from vebi.classifier import Classifier, Preprocess
from vebi.descriptors import Descriptor
from vebi.explanation import explain, explain_batch
from vebi.interpretation import Interpretation
from vebi.loading import load_classifier
from vebi.taps import Feature, choose_layers

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "cifar10.py"
DATA = ROOT.parent / "shared" / "data"
WEIGHTS, PICTURES = DATA / "cifar10_resnet20.safetensors", DATA / "cifar10.zip"

STAGES = {"layer1": (16, 1), "layer2": (32, 2), "layer3": (64, 2)}  # channels, stride of the first block
#: The blocks in order: name, stride, channels that the shortcut adds.
BLOCKS = [
    (f"{stage}.{i}", stride if i == 0 else 1, channels // 2 if i == 0 and stride == 2 else 0)
    for stage, (channels, stride) in STAGES.items()
    for i in range(3)
]
LAYERS = ["relu"] + [f"{block}.{relu}" for block, *_ in BLOCKS for relu in ("relu", "relu#2")]
TARGETS = range(10)  # what is explained in the ten pictures: every class once


# --- the network, written out ---------------------------------------------------------------------------------------


def normalised(state, norm, x):
    """Batch norm in evaluation mode."""
    mean, var, scale, shift = (
        state[f"{norm}.{key}"].view(1, -1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def literal_forward(state, x):
    """Every activation by its name, and the class scores."""
    x = normalised(state, "bn1", F.conv2d(x, state["conv1.weight"], padding=1)).clamp(min=0)
    kept = {"relu": x}
    for block, stride, missing in BLOCKS:
        y = F.conv2d(x, state[f"{block}.conv1.weight"], stride=stride, padding=1)
        y = kept[f"{block}.relu"] = normalised(state, f"{block}.bn1", y).clamp(min=0)
        y = normalised(state, f"{block}.bn2", F.conv2d(y, state[f"{block}.conv2.weight"], padding=1))
        if missing:
            zeros = torch.zeros_like(y[:, : missing // 2])
            x = torch.cat([zeros, x[:, :, ::stride, ::stride], zeros], dim=1)
        x = kept[f"{block}.relu#2"] = (y + x).clamp(min=0)
    return kept, x.mean(dim=(2, 3)) @ state["linear.weight"].T + state["linear.bias"]


def guided(g, activation):
    return g * (activation > 0) * (g > 0)


def through(g, weight, stride, padding, size, fix):
    """Back through a convolution to its input of size x size."""
    if fix is None:  # every gradient spreads its kernel where the convolution read
        plane = g.new_zeros(len(g), weight.shape[1], size + 2 * padding, size + 2 * padding)
        rows, kernel = g.shape[2], weight.shape[2]
        for i in range(kernel):
            for j in range(kernel):
                end_i, end_j = i + stride * (rows - 1) + 1, j + stride * (rows - 1) + 1
                spread = torch.einsum("nohw,oc->nchw", g, weight[:, :, i, j])
                plane[:, :, i:end_i:stride, j:end_j:stride] += spread
        start = padding
    else:  # every gradient is held for a block, the pass goes on with stride 1
        held = g.repeat_interleave(stride, dim=2).repeat_interleave(stride, dim=3)
        plane = F.conv_transpose2d(held, weight)
        start = padding + (stride - 1) // 2
    plane = F.pad(plane, (0, stride, 0, stride))  # a crop that starts late ends beyond what the kernels reach
    return plane[:, :, start : start + size, start : start + size]


def literal_heatmap(state, kept, feature, size, fix):
    """The guided backward pass from a feature's own activation map: zeros are led back from the network's end, and the
    seed joins them where it belongs."""

    def seeded(g, layer):
        seed = torch.zeros_like(g)
        if layer == feature.layer:
            seed[:, feature.channel] = kept[layer][:, feature.channel]
        return g + seed

    def back(g, conv, norm, stride, size):
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + 1e-5).sqrt()
        return through(g * scale.view(1, -1, 1, 1), state[f"{conv}.weight"], stride, 1, size, fix)

    g = torch.zeros_like(kept[LAYERS[-1]])
    inputs_of = dict(zip([block for block, *_ in BLOCKS], ["relu"] + LAYERS[2::2], strict=False))
    for block, stride, missing in reversed(BLOCKS):
        x = kept[inputs_of[block]]
        both = guided(seeded(g, f"{block}.relu#2"), kept[f"{block}.relu#2"])  # the sum hands it to both branches
        g = back(both, f"{block}.conv2", f"{block}.bn2", 1, both.shape[2])
        g = guided(seeded(g, f"{block}.relu"), kept[f"{block}.relu"])
        g = back(g, f"{block}.conv1", f"{block}.bn1", stride, x.shape[2])
        if missing:  # the zeros are cut off again; every second pixel is a convolution with a kernel of one
            one = torch.eye(x.shape[1], dtype=x.dtype)[:, :, None, None]
            both = through(both[:, missing // 2 : -(missing // 2)], one, stride, 0, x.shape[2], fix)
        g = g + both
    g = back(guided(seeded(g, "relu"), kept["relu"]), "conv1", "bn1", 1, size)
    return (g.clamp(min=0) ** 2).sum(1).sqrt()[0].numpy()


def literal_contributions(kept, weights):
    """The three largest x_i w_ic / ||w_c||_1 above 0, from the definition of the descriptor."""
    features, row = [], []
    for layer in LAYERS:
        energy = (kept[layer][0].numpy() ** 2).sum(axis=(1, 2))
        features += [Feature(layer, c) for c in range(len(energy))]
        row += list(energy / energy.sum())
    contributions = np.array(row) / np.linalg.norm(row) * weights / np.abs(weights).sum()
    return [(features[i], contributions[i]) for i in np.argsort(-contributions)[:3] if contributions[i] > 0]


# --- the network under study ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example_cifar10", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_network(example):
    """Random in everything, batch norm included, so that no term of the method vanishes."""
    net, chance = example.resnet20().eval(), torch.Generator().manual_seed(0)
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.3, 1.5, generator=chance)
        elif "conv" in name or "linear" in name:
            value.normal_(0, 1.2 * value[0].numel() ** -0.5, generator=chance)
        elif value.is_floating_point():
            value.normal_(0.6 if name.endswith("weight") else 0, 0.4, generator=chance)
    return Classifier(net, Preprocess(net.size, net.mean, net.std), net.class_names)


@pytest.fixture(scope="module", params=["random", "trained"])
def study(request, example, tmp_path_factory):
    """An interpretation with weights of our own, so that features of all layers come up, and ten pictures."""
    folder, chance = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    if request.param == "random":
        classifier = random_network(example)
        for i in range(10):
            pixels = np.kron(chance.integers(0, 256, (8, 8, 3)), np.ones((4, 4, 1))) * 0.7
            pixels = pixels + chance.integers(0, 70, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    else:
        if not (WEIGHTS.is_file() and PICTURES.is_file()):
            pytest.skip("the trained network or its pictures are not here")
        classifier = load_classifier(f"{EXAMPLE}:resnet20", WEIGHTS)
        with zipfile.ZipFile(PICTURES) as pack:
            for name in classifier.class_names:
                first = min(member for member in pack.namelist() if member.startswith(f"test/{name}/"))
                (folder / f"{name}.jpg").write_bytes(pack.read(first))
    layers = tuple((layer.name, layer.channels) for layer in choose_layers(classifier))
    features = tuple(Feature(name, c) for name, channels in layers for c in range(channels))
    share = np.concatenate([np.full(channels, channels) for _, channels in layers])  # wide layers count as much
    interpretation = Interpretation(
        classes=classifier.class_names,
        features=features,
        columns=tuple(range(len(features))),
        weights=chance.normal(size=(10, len(features))) * (chance.random((10, len(features))) < 0.05) * share,
        mu=1.0,
        gaps=np.zeros(10),
        layers=layers,
        descriptor=Descriptor(),
        exemplars=(),
        provenance={},
        classifier=classifier,
    )
    return SimpleNamespace(interpretation=interpretation, paths=sorted(folder.iterdir()))


def test_probe(study):
    it=study.interpretation
    state = {k: v.double() for k, v in it.classifier.module.state_dict().items()}
    for c,p in enumerate(study.paths):
        e = explain(it, p, target=it.classes[c])
        with Image.open(p) as pic: x = it.classifier.preprocess.prepare(pic)[None].double()
        kept, scores = literal_forward(state, x)
        exp = literal_contributions(kept, it.weights[c])
        print(p.name, e.prediction, it.classes[scores.argmax()], e.probability - scores.softmax(1).max().item(), [str(v.feature) for v in e.evidence]==[str(f) for f,_ in exp], [str(f) for f,_ in exp])
        for v in e.evidence:
            l = literal_heatmap(state, kept, v.feature, 32, "centred")
            print("   ", abs(v.heatmap-l).max()/l.max(), l.max(), v.contribution)
