"""SmoothGrad against its definition written out."""

import pytest
import torch
from unit.methods.nets import gradients_by_hand, same

from vebi.errors import UsageError
from vebi.methods.gradient import Gradient, SmoothGrad


def test_written_out(plain, images, targets):
    """The mean over samples of the largest absolute derivative at x + N(0, sigma^2), sigma = noise (max x - min x)."""
    images = images * torch.arange(1, 7).view(-1, 1, 1, 1)  # of other ranges
    chance = torch.Generator().manual_seed(3)
    samples = [torch.randn(3, 32, 32, generator=chance) for _ in range(4)]
    literal = torch.zeros(6, 32, 32)
    for i in range(6):
        sigma = 0.2 * float(images[i].max() - images[i].min())
        for sample in samples:
            gradient = gradients_by_hand(plain.model, (images[i] + sigma * sample)[None], targets[i : i + 1])[0]
            literal[i] += gradient.abs().amax(dim=0) / 4
    same(SmoothGrad(plain, n_samples=4, noise=0.2, seed=3)(images, targets), literal)


def test_without_noise_it_is_the_gradient(plain, images, targets):
    same(SmoothGrad(plain, n_samples=3, noise=0)(images, targets), Gradient(plain)(images, targets))
    constant = images * 0 + 0.3  # of no range
    same(SmoothGrad(plain, n_samples=3)(constant, targets), Gradient(plain)(constant, targets))


def test_the_seed(plain, images, targets):
    one, other = (SmoothGrad(plain, n_samples=2, seed=seed)(images, targets) for seed in (0, 1))
    assert ((one - other).abs().amax(dim=(1, 2)) > 0.05 * one.amax(dim=(1, 2))).all()
    same_noise = SmoothGrad(plain, n_samples=2)(images[[1, 1]], targets[[1, 1]])
    torch.testing.assert_close(same_noise[0], same_noise[1])


@pytest.mark.parametrize("options", [{"n_samples": 0}, {"noise": -0.1}, {"noise": float("nan")}])
def test_values_that_cannot_be(plain, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        SmoothGrad(plain, **options)
