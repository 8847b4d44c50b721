"""Where a class is seen rather than the others, on a network whose answer is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import vebi
from vebi.backprop.feature_maps import forward_graph
from vebi.backprop.heatmaps import upsample
from vebi.explanation.contrast import (
    ALL_LAYERS_GATE,
    HEATMAP_IN_REST,
    LAST_LAYER_GATE,
    REST,
    Gates,
    contrast_gradient,
    make_gates,
)


class Colors(nn.Module):
    """The score of a class is how much of its color there is."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return 5 * self.relu(x).mean(dim=(2, 3))


@pytest.fixture
def colors():
    return vebi.Classifier(Colors(), vebi.Preprocess(8, (0.0,) * 3, (1.0,) * 3), ("red", "green", "blue"))


class Branches(nn.Module):
    """Two activations of which the second never reaches the scores."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        scores = self.used(x).mean(dim=(2, 3))
        self.unused(-x)
        return scores


class EndsSideBySide(nn.Module):
    """A layer whose channels end in two branches, and are joined."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 1)
        self.join, self.head = nn.Identity(), nn.Linear(5, 3)

    def forward(self, x):
        x = self.first(x).relu()
        return self.head(self.join(torch.cat([self.left(x).relu(), self.right(x).relu()], 1)).mean(dim=(2, 3)))


def gates_of(classifier, images, targets, layers=("relu",)):
    with forward_graph(classifier, images, layers) as (inputs, recorder, scores):
        return make_gates(recorder, scores, targets, inputs.shape[2:])


def test_the_gradient_of_the_contrast_is_that_of_autograd():
    scores = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]], requires_grad=True)
    targets = [0, 2]
    total = sum(z[c] - torch.cat([z[:c], z[c + 1 :]]).logsumexp(0) for z, c in zip(scores, targets, strict=True))
    (expected,) = torch.autograd.grad(total, scores)
    assert torch.allclose(contrast_gradient(scores, targets), expected)
    assert contrast_gradient(torch.zeros(2, 1), [0, 0]).tolist() == [[1.0], [1.0]]


def test_a_heatmap_is_kept_where_the_class_is_and_not_where_another_one_is(colors):
    image = torch.zeros(1, 3, 8, 8)
    image[0, 0, :, :4] = 1  # red on the left, green on the right
    image[0, 1, :, 4:] = 1
    both = gates_of(colors, image.repeat(2, 1, 1, 1), [0, 1])
    assert both.open[0, :, :4].eq(1).all()
    assert not both.open[0, :, 4:].any()
    assert both.open[1].allclose(both.open[0].flip(1))
    assert both.order[1].allclose(both.order[0].flip(1))
    heatmap = np.arange(64, dtype=np.float32).reshape(8, 8)
    kept = both.apply(0, heatmap)
    assert kept[:, :4] == pytest.approx(heatmap[:, :4])
    assert kept[:, 4:] == pytest.approx(heatmap[:, 4:] * REST * HEATMAP_IN_REST)  # where the contrast is lowest
    assert kept.dtype == heatmap.dtype


def test_two_gates_open_evenly(toy):
    """Written out, pixel by pixel, on a network with two layers of different sizes."""
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    targets = [0, 1, 2, 0]
    with forward_graph(toy, images, ["relu1", "relu"]) as (_, recorder, scores):
        made = make_gates(recorder, scores, targets, (32, 32))
        passed = []
        for n, target in enumerate(targets):
            others = torch.cat([scores[n, :target], scores[n, target + 1 :]]).logsumexp(0)
            edges = [recorder.gradient_edges[name] for name in ("relu1", "relu")]
            gradients = torch.autograd.grad(scores[n, target] - others, edges, retain_graph=True)
            small = [
                (g[n].mean(dim=(1, 2))[:, None, None] * recorder.records[name][n]).sum(0)
                for name, g in zip(("relu1", "relu"), gradients, strict=True)
            ]
            large = [F.interpolate(m[None, None], (32, 32), mode="bilinear", align_corners=False)[0, 0] for m in small]
            shares = [m.clamp(min=0) / m.max() for m in small if m.max() > 0]
            mean = sum((upsample(share[None], (32, 32))[0] for share in shares), torch.zeros(32, 32))
            order = ((large[1] - small[1].min()) / (small[1].max() - small[1].min())).clamp(0, 1)
            assert made.order[n].numpy() == pytest.approx(order.numpy(), abs=1e-5)
            last = large[1].clamp(min=0) / large[1].max() if small[1].max() > 0 else order
            gate = ((last - LAST_LAYER_GATE[0]) / (LAST_LAYER_GATE[1] - LAST_LAYER_GATE[0])).clamp(0, 1)
            if small[1].max() > 0:
                low, high = ALL_LAYERS_GATE
                gate = gate * ((mean / mean.max() - low) / (high - low)).clamp(0, 1)
            assert made.open[n].numpy() == pytest.approx(gate.numpy(), abs=1e-4)
            passed += gate.flatten().tolist()
    assert {0.0, 1.0} < set(passed)


def test_what_is_left_dark_is_in_the_order_of_the_contrast_and_the_heatmap():
    heatmap = np.array([[0.0, 5.0, 1.0]])
    gates = Gates(torch.zeros(1, 1, 3), torch.tensor([[[0.0, 0.5, 1.0]]]))
    expected = [0, 5 * (0.5 + HEATMAP_IN_REST), 5 + HEATMAP_IN_REST]
    assert gates.apply(0, heatmap)[0] == pytest.approx(REST * np.array(expected))
    assert not gates.apply(0, np.zeros((1, 3))).any()


def test_where_nothing_speaks_for_the_class_the_gate_opens_where_least_speaks_against_it(colors):
    image = torch.zeros(1, 3, 8, 8)
    image[0, 1] = 1
    image[0, 1, :, :2] = 0.1  # no red, and less green on the left
    gates = gates_of(colors, image, [0])
    assert gates.open[0, :, :2].eq(1).all()
    assert not gates.open[0, :, 2:].any()


def test_where_places_cannot_be_told_apart_a_heatmap_stays_as_it_is(colors):
    image = torch.zeros(1, 3, 8, 8)
    image[0, 1] = 1
    heatmap = np.random.default_rng(0).random((8, 8))
    for layers in (("relu",), ()):  # nothing speaks for the class anywhere; no layer with positions was recorded
        assert gates_of(colors, image, [0], layers).apply(0, heatmap) == pytest.approx(heatmap)


def test_layers_that_do_not_lead_to_the_scores_have_no_say():
    image = torch.zeros(1, 3, 8, 8)
    image[0, 0, :, :4] = image[0, 1, :, 4:] = 1
    networks = [vebi.Classifier(Branches(), vebi.Preprocess(8, (0.0,) * 3, (1.0,) * 3), tuple("rgb")) for _ in range(2)]
    both, alone = (
        gates_of(network, image, [0], layers)
        for network, layers in zip(networks, (("used", "unused"), ("used",)), strict=True)
    )
    assert torch.equal(both.open, alone.open)
    assert gates_of(networks[0], image, [0], ("unused",)).open.eq(1).all()


def test_branches_that_end_side_by_side_are_one_last_layer():
    network = vebi.Classifier(EndsSideBySide(), vebi.Preprocess(12, (0.0,) * 3, (1.0,) * 3), tuple("abc"))
    images = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    branches = gates_of(network, images, [0, 1, 2], ["relu", "relu#2", "relu#3"])
    joined = gates_of(network, images, [0, 1, 2], ["join"])
    assert branches.order.numpy() == pytest.approx(joined.order.numpy(), abs=1e-5)
    one_branch = gates_of(network, images, [0, 1, 2], ["relu", "relu#3"])
    assert (one_branch.order - joined.order).abs().max() > 0.1
