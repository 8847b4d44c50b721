"""Finer-CAM against its definition written out, Grad-CAM of a changed network, and pytorch-grad-cam's FinerCAM."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from unit.methods.nets import classifier_of, same, scaled

from vebi.errors import ModelError, UsageError
from vebi.methods.cam import GradCam
from vebi.methods.finer_cam import FinerCam


def similar(scores, target, count):
    """The other classes, nearest score first."""
    others = [c for c in range(len(scores)) if c != target]
    return sorted(others, key=lambda c: abs(float(scores[c] - scores[target])))[:count]


def comparison(net, weights):
    """A copy whose first score is a weighted sum of the scores."""
    net = deepcopy(net)
    with torch.no_grad():
        net.head.weight[0] = sum(w * net.head.weight[c].clone() for c, w in weights.items())
    return net


@pytest.mark.parametrize(("alpha", "n_similar"), [(0.6, 3), (1.0, 1), (0.3, 4), (0.6, 9)])
def test_is_grad_cam_of_the_difference(plain, images, targets, alpha, n_similar):
    """y_c - alpha / k (y_d1 + ... + y_dk), the k capped at the other classes."""
    scores = plain.model(images).detach()
    literal = []
    for x, s, c in zip(images, scores, targets.tolist(), strict=True):
        nearest = similar(s, c, n_similar)
        net = comparison(plain.model, {c: 1.0} | {d: -alpha / len(nearest) for d in nearest})
        literal.append(GradCam(classifier_of(net))(x[None], torch.tensor([0]))[0])
    same(FinerCam(plain, alpha=alpha, n_similar=n_similar)(images, targets), torch.stack(literal))


def test_similar_are_the_nearest_scores_on_both_sides(plain):
    """Of scores 5, 1, 4, 6.5 and -3 the nearest to 5 are 4 and 6.5, the nearest to 1 are 4 and -3 or 5."""
    scores = torch.tensor([[5, 1, 4, 6.5, -3], [5, 1, 4, 6.5, -3.1]])
    seed = FinerCam(plain, alpha=0.5, n_similar=2).seed(scores, torch.tensor([0, 1]))
    assert seed.tolist() == [[1, 0, -0.25, -0.25, 0], [-0.25, 1, -0.25, 0, 0]]


def test_without_a_comparison_it_is_grad_cam(plain, images, targets):
    same(FinerCam(plain, alpha=0)(images, targets), GradCam(plain)(images, targets))


@pytest.mark.parametrize("name", ["relu1", "relu2"])
def test_against_pytorch_grad_cam(plain, images, targets, cams, name):
    """Whose similar classes are weighted by their probabilities, so that one is compared."""
    theirs = []
    with cams.FinerCAM(plain.model, [plain.model.get_submodule(name)]) as reference:
        for x, c in zip(images, targets.tolist(), strict=True):
            theirs.append(torch.tensor(reference(x[None], alpha=0.6, comparison_categories=[1], target_idx=c)[0]))
    ours = FinerCam(plain, name, n_similar=1)(images, targets)
    same(scaled(ours), scaled(torch.stack(theirs)), 1e-3)


def test_values_that_cannot_be(plain):
    with pytest.raises(UsageError, match="n_similar is 0"):
        FinerCam(plain, n_similar=0)
    with pytest.raises(UsageError, match=r"alpha is -0\.1"):
        FinerCam(plain, alpha=-0.1)


def test_one_class_has_none_that_is_similar(plain):
    plain.model.head = nn.Linear(24, 1)
    with pytest.raises(ModelError, match="two or more classes"):
        FinerCam(plain)
