"""Where a class is seen rather than the others, on a network whose answer is known."""

import pytest
import torch
from torch import nn

import vebi
from vebi.backprop.feature_maps import forward_graph
from vebi.explanation.contrast import CLOSED, LEFT, OPEN, contrast_gates, contrast_gradient


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


def gates(classifier, images, targets, layers=("relu",)):
    with forward_graph(classifier, images, layers) as (inputs, recorder, scores):
        return contrast_gates(recorder, scores, targets, inputs.shape[2:])


def test_the_gradient_of_the_contrast_is_that_of_autograd():
    scores = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]], requires_grad=True)
    targets = [0, 2]
    total = sum(z[c] - torch.cat([z[:c], z[c + 1 :]]).logsumexp(0) for z, c in zip(scores, targets, strict=True))
    (expected,) = torch.autograd.grad(total, scores)
    assert torch.allclose(contrast_gradient(scores, targets), expected)
    assert contrast_gradient(torch.zeros(2, 1), [0, 0]).tolist() == [[1.0], [1.0]]


def test_a_gate_is_open_where_the_class_is_and_closed_where_another_one_is(colors):
    image = torch.zeros(1, 3, 8, 8)
    image[0, 0, :, :4] = 1  # red on the left, green on the right
    image[0, 1, :, 4:] = 1
    both = gates(colors, image.repeat(2, 1, 1, 1), [0, 1])
    assert both[0, :, :4].eq(1).all()
    assert both[0, :, 4:].allclose(torch.tensor(LEFT))
    assert both[1].allclose(both[0].flip(1))


def test_between_the_two_thresholds_a_gate_rises_evenly(colors):
    image = torch.zeros(1, 3, 8, 8)
    image[0, 0, 0, :3] = torch.tensor([1.0, (CLOSED + OPEN) / 2, CLOSED])
    gate = gates(colors, image, [0])[0, 0]
    assert gate[0] == 1
    assert gate[1] == pytest.approx(LEFT + (1 - LEFT) / 2)
    assert gate[2] == pytest.approx(LEFT)


def test_where_nothing_speaks_for_the_class_a_gate_is_open(colors):
    image = torch.zeros(1, 3, 8, 8)
    image[0, 1] = 1
    assert gates(colors, image, [0]).eq(1).all()
    assert gates(colors, image, [0], layers=()).eq(1).all()  # no layer with positions was recorded
