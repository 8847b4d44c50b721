"""Where a class is seen rather than the others, on a network whose answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

import vebi
from vebi.backprop.feature_maps import forward_graph
from vebi.backprop.heatmaps import rescale
from vebi.explanation.contrast import (
    ALL_LAYERS,
    LAST_LAYER,
    LEFT,
    SAY,
    class_contrasts,
    contrast_gradient,
    keep_to_class,
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


def contrasts(classifier, images, targets, layers=("relu",)):
    with forward_graph(classifier, images, layers) as (inputs, recorder, scores):
        return class_contrasts(recorder, scores, targets, inputs.shape[2:]).numpy()


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
    both = contrasts(colors, image.repeat(2, 1, 1, 1), [0, 1])
    assert both.shape == (2, 1, 8, 8)
    assert (both[0, 0, :, :4] > 0).all()
    assert (both[0, 0, :, 4:] < 0).all()
    assert both[1, 0] == pytest.approx(both[0, 0, :, ::-1], abs=1e-6)
    heatmap = np.arange(64, dtype=np.float32).reshape(8, 8)
    kept = keep_to_class(heatmap, both[0])
    assert kept[:, :4] == pytest.approx(heatmap[:, :4] * (1 + LEFT * SAY) + LEFT * 63)
    assert kept[:, 4:] == pytest.approx(heatmap[:, 4:] * LEFT * SAY)  # where the contrast is lowest
    assert kept.dtype == heatmap.dtype


def test_a_heatmap_passes_two_gates_that_open_evenly():
    """Written out, pixel by pixel."""
    rng = np.random.default_rng(0)
    contrasts, heatmap = rng.normal(0.3, 1, (3, 6, 6)), rng.random((6, 6))
    shares = [np.maximum(c, 0) / c.max() for c in contrasts]
    mean = np.mean(shares, axis=0)
    kept, passed = keep_to_class(heatmap, contrasts), []
    for y in range(6):
        for x in range(6):
            gates = []
            for share, (low, high) in ((shares[-1], LAST_LAYER), (mean / mean.max(), ALL_LAYERS)):
                gates.append(min(1, max(0, (share[y, x] - low) / (high - low))))
            order = rescale(contrasts[-1])[y, x] * heatmap.max() + SAY * heatmap[y, x]
            assert kept[y, x] == pytest.approx(heatmap[y, x] * gates[0] * gates[1] + LEFT * order)
            passed.append(gates)
    for gate in np.transpose(passed):  # each is closed, open and half open somewhere
        assert {0, 1} < {round(float(g), 9) for g in gate}


def test_what_is_left_dark_is_in_the_order_of_the_contrast_and_the_heatmap():
    heatmap, contrast = np.array([[0.0, 5.0, 1.0]]), np.array([[[-3.0, -2.0, -1.0]]])
    assert keep_to_class(heatmap, contrast)[0] == pytest.approx(LEFT * np.array([0, 5 / 2 + SAY * 5, 5 + SAY]))
    assert not keep_to_class(np.zeros((1, 3)), contrast).any()


def test_where_places_cannot_be_told_apart_a_heatmap_stays_as_it_is(colors):
    image = torch.zeros(1, 3, 8, 8)
    image[0, 1] = 1
    heatmap = np.random.default_rng(0).random((8, 8))
    for layers in (("relu",), ()):  # nothing speaks for the class anywhere; no layer with positions was recorded
        (contrast,) = contrasts(colors, image, [0], layers)
        assert keep_to_class(heatmap, contrast) is heatmap
