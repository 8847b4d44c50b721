"""One method on pictures with masks -> a score a picture and metric."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vebi.backprop import heatmaps
from vebi.benchmark.ground_truth import Truth
from vebi.errors import ModelError
from vebi.methods.base import Explainer
from vebi.metrics.iou import STEPS, iou_curve
from vebi.metrics.registry import METRICS
from vebi.progress import Progress

#: Maps as they are, and after one transform that is the same for every method.
FORMS = ("raw", "transformed")
CURVE = "curve"


def score(
    explainer: Explainer, truth: Truth, *, batch_size: int = 32, progress: Progress | None = None
) -> dict[str, Float[np.ndarray, "..."]]:
    """``FORM.METRIC`` -> a score a picture, and ``FORM.curve`` -> the mean IoU at every threshold.

    The positive part of a map counts, min-max scaled where a metric needs values in [0, 1].
    """
    found = {f"{form}.{metric.name}": np.zeros(len(truth)) for form in FORMS for metric in METRICS}
    curves = {form: np.zeros(STEPS) for form in FORMS}
    thresholds = torch.linspace(0, 1, STEPS)
    for here, inputs, targets in truth.batches(batch_size):
        maps, masks = positive_maps(explainer, inputs, targets), truth.masks[here]
        for form, values in zip(FORMS, (maps, _transformed(maps)), strict=True):
            scaled = torch.from_numpy(heatmaps.rescale(values.numpy()))
            for metric in METRICS:
                shown = values if metric.scale_free else scaled
                found[f"{form}.{metric.name}"][here] = metric.function(shown, masks).numpy()
            curves[form] += iou_curve(scaled, masks, thresholds).sum(dim=0).numpy()
        if progress:
            progress(here.stop, len(truth))
    return found | {f"{form}.{CURVE}": curve / len(truth) for form, curve in curves.items()}


def positive_maps(
    explainer: Explainer, images: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]
) -> Float[Tensor, "n h w"]:
    """The positive part of a method's maps, on the processor. Raises ModelError where it gives anything else than one
    finite map a picture."""
    return as_maps(explainer(images, targets), images).clamp(min=0)


def as_maps(found: Any, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w"]:
    """What a method gave, checked, as float32 on the processor."""
    wanted = (len(images), *images.shape[2:])
    maps = torch.from_numpy(found) if isinstance(found, np.ndarray) else found
    if not isinstance(maps, Tensor) or tuple(maps.shape) != wanted:
        given = f"an array of shape {tuple(maps.shape)}" if isinstance(maps, Tensor) else f"a {type(found).__name__}"
        raise ModelError(f"a method gave {given} for {len(images)} pictures, but maps of shape {wanted} are needed")
    maps = maps.detach().float().cpu()
    if not maps.isfinite().all():
        raise ModelError("a method gave maps with NaN or infinity, but finite ones are needed")
    return maps


def _transformed(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    return torch.from_numpy(heatmaps.common_transform(maps.numpy()))
