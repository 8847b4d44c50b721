"""A residual network from end to end: the explanations of the ResNet-20 in the examples against the method written out
for this one network, layer by layer, from its state dict alone."""

import importlib.util
import zipfile
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from support import interpretation_of

from vebi.activations.layers import Feature, choose_layers
from vebi.explanation.explain import ExplainOptions, explain_batch, explain_each
from vebi.explanation.recipe import Recipe
from vebi.models.classifier import Classifier
from vebi.models.load import load_classifier
from vebi.models.preprocess import Preprocess

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "cifar10.py"
WEIGHTS = ROOT.parent / "shared" / "data" / "cifar10_resnet20.safetensors"
ARCHIVE = WEIGHTS.with_name("cifar10.zip")

BLOCKS = [f"layer{stage}.{i}" for stage in (1, 2, 3) for i in range(3)]
ADDED = {"layer2.0": 16, "layer3.0": 32}  # the blocks of stride 2: how many channels of zeros their shortcut adds
LAYERS = ["relu"] + [f"{block}.{relu}" for block in BLOCKS for relu in ("relu", "relu#2")]


# --- the network and the method, written out ------------------------------------------------------------------------


def normalised(state, name, x):
    """Batch norm in evaluation mode."""
    keys = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (state[f"{name}.{key}"].view(1, -1, 1, 1) for key in keys)
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def literal_forward(state, x):
    """Every activation by its name, and the class scores."""
    x = normalised(state, "bn1", F.conv2d(x, state["conv1.weight"], padding=1)).clamp(min=0)
    records = {"relu": x}
    for block in BLOCKS:
        stride = 2 if block in ADDED else 1
        y = F.conv2d(x, state[f"{block}.conv1.weight"], stride=stride, padding=1)
        y = records[f"{block}.relu"] = normalised(state, f"{block}.bn1", y).clamp(min=0)
        y = normalised(state, f"{block}.bn2", F.conv2d(y, state[f"{block}.conv2.weight"], padding=1))
        if block in ADDED:
            zeros = torch.zeros_like(y[:, : ADDED[block] // 2])
            x = torch.cat([zeros, x[:, :, ::2, ::2], zeros], dim=1)
        x = records[f"{block}.relu#2"] = (y + x).clamp(min=0)
    return records, x.mean(dim=(2, 3)) @ state["linear.weight"].T + state["linear.bias"]


def guided(g, activation):
    return g * (activation > 0) * (g > 0)


def through(g, weight, stride, padding, size, fix):
    """Back through a convolution to its input of size x size."""
    offset = padding
    if fix == "centred":  # repeat each gradient over a block, go back with stride 1
        g = g.repeat_interleave(stride, dim=2).repeat_interleave(stride, dim=3)
        offset, stride = padding + (stride - 1) // 2, 1
    plane = F.pad(F.conv_transpose2d(g, weight, stride=stride), (0, 2, 0, 2))  # the crop may end beyond the kernels
    return plane[:, :, offset : offset + size, offset : offset + size]


def literal_heatmap(state, records, feature, fix):
    """Guided backprop from the feature's own activation. Zeros start at the end of the network, and the seed is added
    where it belongs: so one walk serves every layer."""

    def seeded(g, layer):
        g = g.clone()
        if layer == feature.layer:
            g[:, feature.channel] += records[layer][:, feature.channel]
        return guided(g, records[layer])

    def back(g, part, k, stride, size):
        scale = state[f"{part}bn{k}.weight"] / (state[f"{part}bn{k}.running_var"] + 1e-5).sqrt()
        return through(g * scale.view(1, -1, 1, 1), state[f"{part}conv{k}.weight"], stride, 1, size, fix)

    g = torch.zeros_like(records[LAYERS[-1]])
    for block, before in reversed(list(zip(BLOCKS, LAYERS[:-1:2], strict=True))):
        _, channels, size, _ = records[before].shape
        stride = 2 if block in ADDED else 1
        shortcut = seeded(g, f"{block}.relu#2")  # the sum hands the same to both branches
        g = seeded(back(shortcut, f"{block}.", 2, 1, shortcut.shape[2]), f"{block}.relu")
        g = back(g, f"{block}.", 1, stride, size)
        if block in ADDED:  # a slice with a step is a convolution with a kernel of one
            cut, one = ADDED[block] // 2, torch.eye(channels, dtype=g.dtype)[:, :, None, None]
            shortcut = through(shortcut[:, cut:-cut], one, stride, 0, size, fix)
        g = g + shortcut
    g = back(seeded(g, "relu"), "", 1, 1, 32)
    return (g.clamp(min=0) ** 2).sum(dim=1).sqrt()[0].numpy()


def literal_contributions(records, weights):
    """The three largest x_i w_ic / ||w_c||_1 above 0, from the definition of the descriptor."""
    features, row = [], []
    for layer in LAYERS:
        energy = (records[layer][0].numpy() ** 2).sum(axis=(1, 2))
        features += [Feature(layer, c) for c in range(len(energy))]
        row += list(energy / energy.sum())
    values = np.array(row) / np.linalg.norm(row) * weights / np.abs(weights).sum()
    return [(features[i], values[i]) for i in np.argsort(-values)[:3] if values[i] > 0]


# --- the network ----------------------------------------------------------------------------------------------------


def random_classifier():
    """Random in everything, batch norm included, so that no term of the method vanishes."""
    source = importlib.util.spec_from_file_location("example_cifar10", EXAMPLE)
    example = importlib.util.module_from_spec(source)
    source.loader.exec_module(example)
    net, chance = example.resnet20().eval(), torch.Generator().manual_seed(0)
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.3, 1.5, generator=chance)
        elif "bn" in name and value.is_floating_point():
            value.normal_(0.6 if name.endswith("weight") else 0, 0.4, generator=chance)
        elif "weight" in name:
            value.normal_(0, 1.2 * value[0].numel() ** -0.5, generator=chance)
    return Classifier(net, Preprocess(net.size, net.mean, net.std), net.class_names)


@pytest.fixture(scope="module", params=["random", "trained"])
def study(request, tmp_path_factory):
    """An interpretation with weights of our own, so that features of every depth come up; ten images, as files and
    as inputs; the state dict. Inputs and state in double precision."""
    folder, chance = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    if request.param == "random":
        classifier = random_classifier()
        for i in range(10):
            pixels = chance.integers(0, 180, (8, 8, 3)).repeat(4, 0).repeat(4, 1) + chance.integers(0, 70, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    else:
        if not (WEIGHTS.is_file() and ARCHIVE.is_file()):
            pytest.skip("the trained network or its images are not at hand")
        classifier = load_classifier(f"{EXAMPLE}:resnet20", WEIGHTS)
        with zipfile.ZipFile(ARCHIVE) as pack:
            for name in classifier.class_names:
                image = min(member for member in pack.namelist() if member.startswith(f"test/{name}/"))
                (folder / f"{name}.jpg").write_bytes(pack.read(image))
    layers = tuple((layer.name, layer.channels) for layer in choose_layers(classifier))
    wide = np.concatenate([np.full(channels, channels) for _, channels in layers])  # or the narrow layers would win
    interpretation = interpretation_of(
        classifier,
        layers,
        features=tuple(Feature(name, c) for name, channels in layers for c in range(channels)),
        columns=tuple(range(len(wide))),
        weights=chance.normal(size=(10, len(wide))) * (chance.random((10, len(wide))) < 0.05) * wide,
    )
    paths, inputs = sorted(folder.iterdir()), []
    for path in paths:
        with Image.open(path) as image:
            inputs.append(classifier.preprocess.prepare(image).double())
    state = {name: value.double() for name, value in classifier.model.state_dict().items()}
    return interpretation, paths, torch.stack(inputs), state


def test_functional_relus_are_recorded_and_named():
    layers = choose_layers(random_classifier())
    assert [layer.name for layer in layers] == LAYERS
    assert len(LAYERS) == 19
    assert LAYERS[:4] == ["relu", "layer1.0.relu", "layer1.0.relu#2", "layer1.1.relu"]
    shapes = [(16, 32, 32)] * 7 + [(32, 16, 16)] * 6 + [(64, 8, 8)] * 6
    assert [(layer.channels, layer.height, layer.width) for layer in layers] == shapes


@pytest.mark.parametrize("fix", ["centred", None])
def test_explanations_equal_the_method_written_out(study, fix):
    """Every image explained as another class, in double precision: there no ReLU is in doubt for rounding."""
    interpretation, _, inputs, state = study
    net = deepcopy(interpretation.classifier.model).double()
    double = replace(interpretation, classifier=replace(interpretation.classifier, model=net))
    depths = set()
    for n, e in enumerate(
        explain_batch(double, inputs, "abcdefghij", range(10), ExplainOptions(recipe=Recipe.paper(stride_fix=fix)))
    ):
        records, _ = literal_forward(state, inputs[n : n + 1])
        expected = literal_contributions(records, interpretation.weights[n])
        assert [v.feature for v in e.evidence] == [feature for feature, _ in expected]
        np.testing.assert_allclose([v.contribution for v in e.evidence], [value for _, value in expected], rtol=1e-5)
        for v in e.evidence:
            depths.add(v.feature.layer.partition(".")[0])
            literal = literal_heatmap(state, records, v.feature, fix)
            assert literal.max() > 0
            np.testing.assert_allclose(v.heatmap, literal, rtol=1e-5, atol=1e-6 * literal.max())
    assert depths >= {"layer1", "layer2", "layer3"}


def test_a_file_is_explained_in_the_same_way(study):
    """Prediction, probability and maps as a user has them, from a file and in single precision."""
    interpretation, paths, inputs, state = study
    for x, e in zip(inputs, explain_each(interpretation, paths, recipe=Recipe.paper(), strict=True), strict=True):
        records, scores = literal_forward(state, x[None])
        c = int(scores.argmax())
        assert e.prediction == e.target == interpretation.class_names[c]
        assert e.probability == pytest.approx(float(scores.softmax(dim=1)[0, c]), rel=1e-4)
        expected = literal_contributions(records, interpretation.weights[c])
        assert [v.feature for v in e.evidence] == [feature for feature, _ in expected]
        for v in e.evidence:
            literal = literal_heatmap(state, records, v.feature, "centred")
            assert np.abs(v.heatmap - literal).mean() < 1e-3 * literal.mean()
