"""The gradient against its equation, the way back written out, and captum's Saliency."""

import torch
from unit.methods.nets import by_hand, gradients_by_hand, same

from vebi.methods.gradient import Gradient


def test_written_out(plain, pictures, targets):
    """M_ij = max over colours of |w_ij| (Simonyan et al. 2014, section 3.1)."""
    literal = torch.stack([by_hand(plain.module, x, c)[2] for x, c in zip(pictures, targets, strict=True)])
    largest = torch.zeros(len(pictures), 32, 32)
    for colour in range(3):
        largest = torch.where(literal[:, colour].abs() > largest, literal[:, colour].abs(), largest)
    same(Gradient(plain)(pictures, targets), largest)


def test_slope_of_the_score(plain, pictures, targets):
    """Where a map is largest, a small step in one of the colours changes the score as much."""
    plain.module.double()
    pictures = pictures.double()
    for x, c, heat in zip(pictures, targets, Gradient(plain)(pictures, targets), strict=True):
        i, j = divmod(int(heat.argmax()), 32)
        slopes = []
        for colour in range(3):
            step = torch.zeros_like(x)
            step[colour, i, j] = 1e-6
            with torch.no_grad():
                up, down = plain.module(torch.stack([x + step, x - step]))[:, c]
            slopes.append(abs(float(up - down)) / 2e-6)
        torch.testing.assert_close(heat[i, j].item(), max(slopes), rtol=1e-4, atol=0)


def test_is_of_the_score_not_of_the_probability(plain, pictures, targets):
    """A constant added to all scores of a picture changes nothing, nor does a certain prediction."""
    before = Gradient(plain)(pictures, targets)
    with torch.no_grad():
        plain.module.head.bias += torch.tensor([100.0, 0, 0, 0, 0])
    assert torch.equal(Gradient(plain)(pictures, targets), before)


def test_against_captum(plain, pictures, targets, captum):
    theirs = captum.Saliency(plain.module).attribute(pictures.clone().requires_grad_(), target=targets, abs=True)
    same(Gradient(plain)(pictures, targets), theirs.amax(dim=1))
    same(theirs, gradients_by_hand(plain.module, pictures, targets).abs())


def test_against_captum_on_a_resnet(resnet, captum):
    x = resnet.pictures.clone().requires_grad_()
    theirs = captum.Saliency(resnet.net).attribute(x, target=resnet.targets, abs=True)
    same(Gradient(resnet.classifier)(resnet.pictures, resnet.targets), theirs.amax(dim=1))
