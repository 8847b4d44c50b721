"""The gradient against its equation, the way back written out, and captum's Saliency."""

import torch
from unit.methods.nets import by_hand, gradients_by_hand, same

from vebi.methods.gradient import Gradient


def test_written_out(plain, images, targets):
    """M_ij = max over channels of |w_ij| (Simonyan et al. 2014, section 3.1)."""
    literal = torch.stack([by_hand(plain.model, x, c)[2] for x, c in zip(images, targets, strict=True)])
    largest = torch.zeros(len(images), 32, 32)
    for channel in range(3):
        largest = torch.where(literal[:, channel].abs() > largest, literal[:, channel].abs(), largest)
    same(Gradient(plain)(images, targets), largest)


def test_slope_of_the_score(plain, images, targets):
    """Where a map is largest, a small step in one of the channels changes the score as much."""
    plain.model.double()
    images = images.double()
    for x, c, heat in zip(images, targets, Gradient(plain)(images, targets), strict=True):
        i, j = divmod(int(heat.argmax()), 32)
        slopes = []
        for channel in range(3):
            step = torch.zeros_like(x)
            step[channel, i, j] = 1e-6
            with torch.no_grad():
                up, down = plain.model(torch.stack([x + step, x - step]))[:, c]
            slopes.append(abs(float(up - down)) / 2e-6)
        torch.testing.assert_close(heat[i, j].item(), max(slopes), rtol=1e-4, atol=0)


def test_is_of_the_score_not_of_the_probability(plain, images, targets):
    """A constant added to all scores of a image changes nothing, nor does a certain prediction."""
    before = Gradient(plain)(images, targets)
    with torch.no_grad():
        plain.model.head.bias += torch.tensor([100.0, 0, 0, 0, 0])
    assert torch.equal(Gradient(plain)(images, targets), before)


def test_against_captum(plain, images, targets, captum):
    theirs = captum.Saliency(plain.model).attribute(images.clone().requires_grad_(), target=targets, abs=True)
    same(Gradient(plain)(images, targets), theirs.amax(dim=1))
    same(theirs, gradients_by_hand(plain.model, images, targets).abs())


def test_against_captum_on_a_resnet(resnet, captum):
    x = resnet.images.clone().requires_grad_()
    theirs = captum.Saliency(resnet.net).attribute(x, target=resnet.targets, abs=True)
    same(Gradient(resnet.classifier)(resnet.images, resnet.targets), theirs.amax(dim=1))
