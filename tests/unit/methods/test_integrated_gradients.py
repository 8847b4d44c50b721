"""Integrated gradients against their equation, their completeness and captum's IntegratedGradients."""

import pytest
import torch
from unit.methods.nets import gradients_by_hand, same

from vebi.errors import UsageError
from vebi.methods.gradient import IntegratedGradients


def test_written_out(plain, images, targets):
    """(x - x') times the mean of the gradients at x' + (k + 1/2) / m (x - x'), for x' = 0."""
    literal = torch.zeros_like(images)
    for share in (1 / 8, 3 / 8, 5 / 8, 7 / 8):
        literal += images * gradients_by_hand(plain.model, share * images, targets) / 4
    maps = IntegratedGradients(plain, n_steps=4)(images, targets)
    same(maps, literal[:, 0] + literal[:, 1] + literal[:, 2])
    assert maps.min() < 0 < maps.max()


def test_completeness(plain, images, targets):
    """The sum of a map is the score less that of the mean colour, the more exactly the more steps."""
    plain.model.double()
    images, targets = images[:3].double(), targets[:3]
    with torch.no_grad():
        scores, start = plain.model(images), plain.model(torch.zeros_like(images))
    difference = (scores - start).gather(1, targets[:, None])[:, 0]
    errors = []
    for n_steps in (2, 16, 128):
        total = IntegratedGradients(plain, n_steps)(images, targets).sum(dim=(1, 2))
        errors.append(((total - difference).abs() / difference.abs().max()).max())
    assert errors[2] < 0.01
    assert errors[2] < errors[1] < errors[0]


def test_of_a_linear_score_one_step_is_enough(plain, images, targets):
    plain.model.relu1 = plain.model.relu2 = plain.model.relu3 = plain.model.pool = torch.nn.Identity()
    plain.model.hidden = torch.nn.Linear(8 * 256, 24)
    same(IntegratedGradients(plain, 1)(images, targets), IntegratedGradients(plain, 9)(images, targets))


def test_against_captum(plain, images, targets, captum):
    reference = captum.IntegratedGradients(plain.model)
    theirs = reference.attribute(images, target=targets, n_steps=7, method="riemann_middle")
    same(IntegratedGradients(plain, 7)(images, targets), theirs.sum(dim=1))


def test_against_captum_on_a_resnet(resnet, captum):
    reference = captum.IntegratedGradients(resnet.net)
    theirs = reference.attribute(resnet.images, target=resnet.targets, n_steps=3, method="riemann_middle")
    same(IntegratedGradients(resnet.classifier, 3)(resnet.images, resnet.targets), theirs.sum(dim=1))


def test_no_step(plain):
    with pytest.raises(UsageError, match="n_steps is 0"):
        IntegratedGradients(plain, 0)
