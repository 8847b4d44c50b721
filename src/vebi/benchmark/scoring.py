"""One method on images with masks -> a score per image and metric."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop.heatmaps import rescale
from vebi.benchmark.common_transform import common_transform
from vebi.benchmark.ground_truth import GroundTruth
from vebi.errors import ModelError
from vebi.methods.base import Explainer
from vebi.metrics.iou import STEPS, iou_curve
from vebi.metrics.registry import METRICS
from vebi.progress import Progress

#: Maps as they are, and after one transform that is the same for every method.
FORMS = ("raw", "transformed")
CURVE = "curve"


def score(
    explainer: Explainer, truth: GroundTruth, *, batch_size: int = 32, progress: Progress | None = None
) -> dict[str, Float[np.ndarray, "..."]]:
    """Scores one method by every metric.

    The positive part of a map counts, min-max scaled where a metric needs values in [0, 1].

    Args:
        explainer: The method.
        truth: The scored images.
        batch_size: Images per pass.
        progress: Called with (images done, images).

    Returns:
        ``FORM.METRIC`` -> a score per image, and ``FORM.curve`` -> the mean IoU at each threshold; all in [0, 1].
    """
    scores = {f"{form}.{metric.name}": np.zeros(len(truth)) for form in FORMS for metric in METRICS}
    curves = {form: np.zeros(STEPS) for form in FORMS}
    thresholds = torch.linspace(0, 1, STEPS)
    for rows, inputs, targets in truth.batches(batch_size):
        maps, masks = positive_maps(explainer, inputs, targets), truth.masks[rows]
        for form, values in zip(FORMS, (maps, _transformed(maps)), strict=True):
            scaled = torch.from_numpy(rescale(values.numpy()))
            for metric in METRICS:
                of_metric = metric.function(values if metric.scale_free else scaled, masks)
                scores[f"{form}.{metric.name}"][rows] = of_metric.numpy()
            curves[form] += iou_curve(scaled, masks, thresholds).sum(dim=0).numpy()
        if progress:
            progress(rows.stop, len(truth))
    return scores | {f"{form}.{CURVE}": curve / len(truth) for form, curve in curves.items()}


def positive_maps(
    explainer: Explainer, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]
) -> Float[Tensor, "n h w"]:
    """The positive part of a method's maps, on the CPU.

    Args:
        explainer: The method.
        images: Inputs on the model's device.
        targets: A class for each.

    Raises:
        ModelError: The method gives anything else than one finite map per image.
    """
    return as_maps(explainer(images, targets), images).clamp(min=0)


def maps_of(explainer: Explainer, truth: GroundTruth, batch_size: int) -> Float[Tensor, "n h w"]:
    """A method's maps of all images, with what is negative in them, on the CPU; ModelError as ``positive_maps``."""
    batches = truth.batches(batch_size)
    return torch.cat([as_maps(explainer(inputs, targets), inputs) for _, inputs, targets in batches])


def as_maps(maps: object, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w"]:
    """What a method gave for images, checked, as float32 on the CPU.

    Raises:
        ModelError: It is anything else than one finite map per image.
    """
    shape = (len(images), *images.shape[2:])
    if isinstance(maps, np.ndarray):
        maps = torch.from_numpy(maps)
    if not isinstance(maps, Tensor) or tuple(maps.shape) != shape:
        given = f"an array of shape {tuple(maps.shape)}" if isinstance(maps, Tensor) else f"a {type(maps).__name__}"
        raise ModelError(f"a method gave {given} for {len(images)} images, but maps of shape {shape} are needed")
    maps = maps.detach().float().cpu()
    if not maps.isfinite().all():
        raise ModelError("a method gave maps with NaN or infinity, but finite ones are needed")
    return maps


def _transformed(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    return torch.from_numpy(common_transform(maps.numpy()))
