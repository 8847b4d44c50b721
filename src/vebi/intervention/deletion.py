"""Deletion and insertion: how the class probability follows as pixels go, or come, in the order of a map."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from vebi.data.loader import check_batch_size
from vebi.errors import UsageError
from vebi.intervention.baseline import baseline_images
from vebi.metrics.base import validate_finite
from vebi.models.classifier import Classifier

#: Steps from the whole image to none of it.
STEPS = 28


def deletion_curve(
    classifier: Classifier,
    images: Float[Tensor, "n c h w"],
    targets: Int[Tensor, " m"],
    maps: Shaped[Tensor, "k y x"],
    *,
    baseline: str,
    steps: int = STEPS,
    seed: int = 0,
    batch_size: int = 32,
) -> Float[Tensor, "n points"]:
    """Computes the class probability as the pixels of an image are replaced, highest values of its map first.

    A map that names the pixels that the class depends on makes the curve fall early: lower is better. The first point
    is the image itself, the last one the baseline. Tied pixels go in an order that is drawn once and is the same for
    all images, so that neither their place in the image nor the rest of a batch decides: an empty map, whose values are
    all the same, scores as a random order does.

    Args:
        classifier: The model, which runs in evaluation mode.
        images: Preprocessed, on the model's device, n x c x h x w.
        targets: The class of each image whose probability is followed, n.
        maps: Heatmaps of any scale, n x h x w; negative values come last.
        baseline: What replaces a pixel: ``"grey"``, the mean colour, as in the paper; or ``"blur"``, the image blurred
            by a Gaussian of 10/224 of its shorter side, which draws no edges that the network has never seen.
        steps: How many equal shares the pixels are replaced in, from 1 to h w.
        seed: Of the order of tied pixels.
        batch_size: Images per pass.

    Returns:
        The softmax of the logits at the target, in [0, 1], n x (steps + 1).

    Raises:
        UsageError: An option that cannot be, a target that is no class, a number of targets or maps that does not fit
            the images, or maps that are not finite.
        ModelError: The outputs of the model are not the class scores that it needs to have.

    Reference:
        Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
        section 4.1 and algorithm 1.

    Example:
        >>> images, targets = torch.rand(2, 3, 32, 32), torch.tensor([0, 2])
        >>> maps = vebi.methods.GradCam(classifier)(images, targets)
        >>> curves = vebi.intervention.deletion_curve(classifier, images, targets, maps, baseline="grey")
        >>> curves.shape, vebi.intervention.curve_area(curves).shape
        (torch.Size([2, 29]), torch.Size([2]))
    """
    hidden = baseline_images(images, baseline)
    return _curves(classifier, images, hidden, targets, maps, steps, seed, batch_size)


def insertion_curve(
    classifier: Classifier,
    images: Float[Tensor, "n c h w"],
    targets: Int[Tensor, " m"],
    maps: Shaped[Tensor, "k y x"],
    *,
    baseline: str,
    steps: int = STEPS,
    seed: int = 0,
    batch_size: int = 32,
) -> Float[Tensor, "n points"]:
    """Computes the class probability as the pixels of an image come into its baseline, highest values of its map first.

    A map that names the pixels that the class depends on makes the curve rise early: higher is better. The first point
    is the baseline, the last one the image itself. Ties are as in ``deletion_curve``.

    Args:
        classifier: The model, which runs in evaluation mode.
        images: Preprocessed, on the model's device, n x c x h x w.
        targets: The class of each image whose probability is followed, n.
        maps: Heatmaps of any scale, n x h x w; negative values come last.
        baseline: What pixels come into: ``"blur"``, as in the paper, or ``"grey"``, see ``deletion_curve``.
        steps: How many equal shares the pixels come in, from 1 to h w.
        seed: Of the order of tied pixels.
        batch_size: Images per pass.

    Returns:
        The softmax of the logits at the target, in [0, 1], n x (steps + 1).

    Raises:
        UsageError: See ``deletion_curve``.
        ModelError: See ``deletion_curve``.

    Reference:
        Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
        section 4.1 and algorithm 1.

    Example:
        >>> images, targets, maps = torch.rand(1, 3, 32, 32), torch.tensor([1]), torch.rand(1, 32, 32)
        >>> curve = vebi.intervention.insertion_curve(classifier, images, targets, maps, baseline="blur", steps=4)
        >>> curve.shape
        torch.Size([1, 5])
    """
    hidden = baseline_images(images, baseline)
    return _curves(classifier, hidden, images, targets, maps, steps, seed, batch_size)


def curve_area(curves: Float[Tensor, "n points"]) -> Float[Tensor, " n"]:
    """Computes the area under curves by the trapezoidal rule, their points evenly spaced on [0, 1].

    Args:
        curves: Probabilities, n x points, two points or more.

    Returns:
        Areas in [0, 1], n.

    Raises:
        UsageError: Curves of a single point.

    Example:
        >>> vebi.intervention.curve_area(torch.tensor([[1.0, 0.5, 0.0], [1.0, 0.0, 0.0]]))
        tensor([0.5000, 0.2500])
    """
    if curves.shape[1] < 2:
        raise UsageError(
            f"curves have {curves.shape[1]} points, but there is an area under two or more: give whole curves"
        )
    return torch.trapezoid(curves, dim=1) / (curves.shape[1] - 1)


def _validate(images: Tensor, targets: Tensor, maps: Tensor, steps: int, batch_size: int) -> Float[Tensor, "n h w"]:
    """The maps as floats. Raises UsageError where curves cannot be computed."""
    n, _, height, width = images.shape
    if maps.shape != (n, height, width) or targets.shape != (n,):
        raise UsageError(
            f"{n} images of {height} x {width} pixels come with targets of shape {tuple(targets.shape)} and maps of "
            f"shape {tuple(maps.shape)}: give every image one class and one map of its size"
        )
    if not 1 <= steps <= height * width:
        raise UsageError(f"steps is {steps}, but it must be from 1 to {height * width}, the number of pixels")
    check_batch_size(batch_size)
    return validate_finite(maps)


def _ranks(maps: Float[Tensor, "n h w"], seed: int) -> Int[Tensor, "n 1 h w"]:
    """The place of every pixel in the order of its map, from 0 for the highest on."""
    values = maps.flatten(1)
    drawn = torch.randperm(values.shape[1], generator=torch.Generator().manual_seed(seed), device="cpu")
    drawn = drawn.to(values.device)
    order = drawn[values[:, drawn].argsort(dim=1, descending=True, stable=True)]  # tied ones stay as they were drawn
    places = torch.arange(values.shape[1], device=values.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view_as(maps)[:, None]


def _curves(
    classifier: Classifier,
    start: Float[Tensor, "n c h w"],
    end: Float[Tensor, "n c h w"],
    targets: Int[Tensor, " m"],
    maps: Shaped[Tensor, "k y x"],
    steps: int,
    seed: int,
    batch_size: int,
) -> Float[Tensor, "n points"]:
    """The class probabilities on the way from one image to another, the highest values of its map first."""
    maps = _validate(start, targets, maps, steps, batch_size)
    ranks, targets = _ranks(maps.to(start.device), seed), targets.to(start.device).long()
    pixels = maps.shape[1] * maps.shape[2]
    curves = start.new_zeros(len(start), steps + 1)
    points = torch.arange(curves.numel(), device=start.device)
    with classifier.evaluation(), torch.no_grad():
        for first in range(0, len(points), batch_size):
            batch = points[first : first + batch_size]
            image, step = batch // (steps + 1), batch % (steps + 1)
            replaced = ranks[image] < (step * pixels // steps).view(-1, 1, 1, 1)
            scores = classifier.logits(torch.where(replaced, end[image], start[image]))
            if first == 0 and not 0 <= targets.min() <= targets.max() < scores.shape[1]:
                raise UsageError(
                    f"targets range from {int(targets.min())} to {int(targets.max())}: "
                    f"count the classes from 0 to {scores.shape[1] - 1}"
                )
            probabilities = classifier.probabilities(scores).gather(1, targets[image, None])[:, 0]
            curves[image, step] = probabilities.to(curves.dtype)
    return curves
