"""Deletion and insertion against curves worked out by hand and a loop over steps as the paper writes it."""

import re

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import nn

from vebi.errors import ModelError, UsageError
from vebi.intervention.baseline import BASELINES, baseline_images
from vebi.intervention.deletion import curve_area, deletion_curve, insertion_curve
from vebi.intervention.registry import CURVE_METRICS
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

both = pytest.mark.parametrize("curve", [deletion_curve, insertion_curve])


class LogitOfMean(nn.Module):
    """Scores whose softmax is (m, 1 - m) for the mean m of the first channel; notes its passes."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.passes = []

    def forward(self, x):
        assert not torch.is_grad_enabled()
        self.passes.append(len(x))
        mean = self.drop(x)[:, 0].mean(dim=(1, 2)).clamp(1e-6, 1 - 1e-6)
        return torch.stack([mean.log(), (1 - mean).log()], dim=1)


@pytest.fixture
def of_mean():
    return Classifier(LogitOfMean(), Preprocess(4, (0.0,), (1.0,)))


def spot(height=2, width=2):
    """One image, 1 at the first pixel and 0 elsewhere."""
    image = torch.zeros(1, 1, height, width)
    image[..., 0, 0] = 1
    return image


ZERO = torch.zeros(1, dtype=torch.int64)


def test_by_hand(of_mean):
    """The probability is the share of light left: 1/4 until the only bright pixel goes."""
    image, right = spot(), torch.tensor([[[9.0, 1.0], [3.0, 2.0]]])
    options = {"baseline": "grey", "steps": 4}
    deletion = deletion_curve(of_mean, image, ZERO, right, **options)
    assert deletion[0].tolist() == pytest.approx([1 / 4, 0, 0, 0, 0], abs=1e-5)
    wrong = deletion_curve(of_mean, image, ZERO, -right, **options)
    assert wrong[0].tolist() == pytest.approx([1 / 4, 1 / 4, 1 / 4, 1 / 4, 0], abs=1e-5)
    insertion = insertion_curve(of_mean, image, ZERO, right, **options)
    assert insertion[0].tolist() == pytest.approx([0, 1 / 4, 1 / 4, 1 / 4, 1 / 4], abs=1e-5)
    assert curve_area(deletion).item() == pytest.approx(1 / 32, abs=1e-5)
    assert curve_area(wrong).item() == pytest.approx(7 / 32, abs=1e-5)
    assert curve_area(insertion).item() == pytest.approx(7 / 32, abs=1e-5)
    other = deletion_curve(of_mean, image, ZERO + 1, right, **options)
    torch.testing.assert_close(other, 1 - deletion)


def test_steps_share_the_pixels_evenly(of_mean):
    """Of 7 pixels 2, 4 and 7 are gone after the three steps."""
    curve = deletion_curve(of_mean, torch.ones(1, 1, 1, 7), ZERO, torch.rand(1, 1, 7), baseline="grey", steps=3)
    assert curve[0].tolist() == pytest.approx([1, 5 / 7, 3 / 7, 0], abs=1e-5)


def literal(classifier, start, end, target, order, steps):
    """Algorithm 1 of the paper: in each step the next pixels of one image are set to those of the other."""
    image, probabilities = start.clone(), []
    for step in range(steps + 1):
        for k in order[: step * len(order) // steps]:
            y, x = divmod(k, image.shape[2])
            image[:, y, x] = end[:, y, x]
        with torch.no_grad():
            probabilities.append(classifier.model(image[None]).softmax(1)[0, target].item())
    return probabilities


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_trained_network_as_the_paper_writes_it(toy, baseline):
    chance = torch.Generator().manual_seed(0)
    images, targets = torch.randn(3, 3, 32, 32, generator=chance), torch.tensor([2, 0, 1])
    maps = torch.stack([torch.randperm(1024, generator=chance) for _ in range(3)]).view(3, 32, 32).float() - 500
    hidden = baseline_images(images, baseline)
    for curve, start, end in ((deletion_curve, images, hidden), (insertion_curve, hidden, images)):
        curves = curve(toy, images, targets, maps, baseline=baseline, steps=5, batch_size=4)
        for i in range(3):
            order = sorted(range(1024), key=lambda k, i=i: -maps[i].flatten()[k])
            assert curves[i].tolist() == pytest.approx(
                literal(toy, start[i], end[i], targets[i], order, 5), rel=1e-4, abs=1e-6
            )


@both
def test_ties_do_not_give_away_where_pixels_are(of_mean, curve):
    """The bright half comes first, last, and in a chequerboard: an empty map has the same expectation for all."""
    images = torch.zeros(3, 1, 30, 30)
    images[0, :, :15], images[1, :, 15:], images[2, :, ::2, ::2], images[2, :, 1::2, 1::2] = 1, 1, 1, 1
    targets = torch.zeros(3, dtype=torch.int64)
    straight = torch.linspace(0.5, 0, 29) if curve is deletion_curve else torch.linspace(0, 0.5, 29)
    for maps in (torch.zeros(3, 30, 30), torch.full((3, 30, 30), -2.5)):
        curves = curve(of_mean, images, targets, maps, baseline="grey")
        assert (curves - straight).abs().max() < 0.06
        assert curve_area(curves).tolist() == pytest.approx([0.25] * 3, abs=0.02)


def test_ties_are_drawn_by_the_seed(of_mean):
    image = spot(6, 6)
    image[..., :3, :] += torch.rand(3, 6)
    binary = (torch.arange(36) < 18).view(1, 6, 6).float()
    curves = [
        deletion_curve(of_mean, image, ZERO, binary, baseline="grey", steps=36, seed=seed) for seed in (0, 0, 1, 2)
    ]
    assert torch.equal(curves[0], curves[1])
    assert not torch.equal(curves[0], curves[2])
    assert not torch.equal(curves[2], curves[3])
    for curve in curves:
        torch.testing.assert_close(curve[:, 18:], torch.zeros(1, 19), atol=1e-5, rtol=0)  # the marked half goes first


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.uint16, torch.float16])
def test_maps_of_any_real_type_have_an_order(of_mean, dtype):
    maps = (torch.arange(36).view(1, 6, 6) % 7).to(dtype)
    curves = [deletion_curve(of_mean, spot(6, 6), ZERO, given, baseline="grey") for given in (maps, maps.float())]
    assert torch.equal(*curves)


@both
def test_an_image_does_not_depend_on_its_batch(toy, curve):
    chance = torch.Generator().manual_seed(1)
    images, targets = torch.randn(4, 3, 32, 32, generator=chance), torch.tensor([0, 1, 2, 0])
    maps = torch.randint(0, 3, (4, 32, 32), generator=chance).float()
    options = {"baseline": "blur", "steps": 6}
    together = curve(toy, images, targets, maps, **options)
    for i in (0, 3):
        alone = curve(toy, images[i : i + 1], targets[i : i + 1], maps[i : i + 1], batch_size=1, **options)
        torch.testing.assert_close(alone[0], together[i])


@settings(max_examples=20, deadline=None)
@given(logits=st.lists(st.floats(-5, 5), min_size=2, max_size=4), seed=st.integers(0, 99), steps=st.integers(1, 12))
def test_a_constant_classifier_has_flat_curves(logits, seed, steps):
    head = nn.Linear(12, len(logits))
    nn.init.zeros_(head.weight)
    head.bias.data = torch.tensor(logits)
    classifier = Classifier(
        nn.Sequential(nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten(), head), Preprocess(4, (0.0,), (1.0,))
    )
    chance = torch.Generator().manual_seed(seed)
    images, maps = torch.randn(2, 1, 3, 4, generator=chance), torch.randn(2, 3, 4, generator=chance)
    targets = torch.tensor([0, len(logits) - 1])
    expected = torch.tensor(logits).softmax(0)[targets]
    for curve in (deletion_curve, insertion_curve):
        curves = curve(classifier, images, targets, maps, baseline="grey", steps=steps)
        torch.testing.assert_close(curves, expected[:, None].expand(2, steps + 1))
        torch.testing.assert_close(curve_area(curves), expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99))
def test_only_the_order_of_a_map_counts(seed):
    classifier = Classifier(LogitOfMean(), Preprocess(4, (0.0,), (1.0,)))
    chance = torch.Generator().manual_seed(seed)
    images, maps = torch.rand(2, 1, 4, 5, generator=chance), torch.randint(-2, 3, (2, 4, 5), generator=chance).float()
    targets = torch.zeros(2, dtype=torch.int64)
    one, other = (
        deletion_curve(classifier, images, targets, m, baseline="grey", steps=20) for m in (maps, maps.exp() * 1e-20)
    )
    assert torch.equal(one, other)
    assert ((one >= 0) & (one <= 1)).all()


@both
def test_passes_are_bounded_and_the_mode_is_given_back(of_mean, curve):
    of_mean.model.train()
    images = torch.rand(3, 1, 4, 4)
    targets = torch.zeros(3, dtype=torch.int64)
    curve(of_mean, images, targets, torch.rand(3, 4, 4), baseline="grey", steps=4, batch_size=4)
    assert of_mean.model.passes[2:] == [4, 4, 4, 3]  # after those of the probe
    assert of_mean.model.drop.training
    assert curve(of_mean, images[:0], targets[:0], torch.rand(0, 4, 4), baseline="blur", steps=4).shape == (0, 5)


def test_default_is_28_steps(of_mean):
    curve = deletion_curve(of_mean, torch.rand(1, 1, 6, 6), ZERO, torch.rand(1, 6, 6), baseline="blur")
    assert curve.shape == (1, 29)


def test_baselines():
    images = torch.randn(2, 3, 56, 112)
    assert torch.equal(baseline_images(images, "grey"), torch.zeros(2, 3, 56, 112))
    expected = ndimage.gaussian_filter(images.double().numpy(), (0, 0, 2.5, 2.5), mode="mirror", truncate=4)
    np.testing.assert_allclose(baseline_images(images, "blur"), expected, atol=1e-5)
    assert baseline_images(torch.ones(1, 3, 1, 1), "blur").tolist() == [[[[1]], [[1]], [[1]]]]


def test_directions(of_mean):
    """A map that is right about the light is better than one that is wrong about it, as the table says."""
    image = spot(8, 8) + 0.1
    baselines = {}
    for metric in CURVE_METRICS:
        areas = [
            curve_area(metric.curve(of_mean, image, ZERO, sign * image[:, 0], baseline="grey")) for sign in (1, -1)
        ]
        assert (areas[0] > areas[1]).item() == metric.higher_is_better
        baselines[metric.name] = metric.baseline
    assert baselines == {"deletion": "grey", "insertion": "blur"}


@both
@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"baseline": "black"}, "'black'.*blur.*grey"),
        ({"steps": 0}, r"steps is 0\b.* 16\b"),
        ({"steps": 17}, r"steps is 17\b.* 16\b"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"targets": torch.tensor([0, 2])}, "0 to 2.*0 to 1"),
        ({"targets": torch.tensor([-1, 1])}, "-1 to 1.*0 to 1"),
        ({"targets": torch.tensor([0])}, re.escape("(1,)")),
        ({"maps": torch.rand(2, 4, 5)}, re.escape("(2, 4, 5)")),
        ({"maps": torch.rand(1, 4, 4)}, re.escape("(1, 4, 4)")),
        ({"maps": torch.full((2, 4, 4), torch.nan)}, "image 0.*not finite"),
    ],
)
def test_what_is_refused(of_mean, curve, changes, fact):
    given = {"images": torch.rand(2, 1, 4, 4), "targets": torch.tensor([0, 1]), "maps": torch.rand(2, 4, 4)}
    given |= {"baseline": "grey", "steps": 4} | changes
    jaxtyping.config.update("jaxtyping_disable", True)  # without the checks of shapes that only tests have
    try:
        with pytest.raises(UsageError, match=fact):
            curve(of_mean, **given)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_a_model_without_class_scores():
    classifier = Classifier(nn.Identity(), Preprocess(4, (0.0,), (1.0,)))
    with pytest.raises(ModelError, match=re.escape("(1, 1, 4, 4)")):
        deletion_curve(classifier, torch.rand(1, 1, 4, 4), ZERO, torch.rand(1, 4, 4), baseline="grey", steps=4)


def test_an_area_needs_two_points():
    with pytest.raises(UsageError, match=r"\b1 points"):
        curve_area(torch.ones(3, 1))
