"""Everything that is measured on one trained network: a score per image, method and metric.

NaN stands where a score was not measured: methods that ask the network hundreds of times per image, and metrics that
do, have fewer images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vebi.backprop.heatmaps import rescale
from vebi.benchmark.ground_truth import GroundTruth
from vebi.benchmark.mosaics import Mosaic, mosaic_scores
from vebi.benchmark.scoring import maps_of
from vebi.intervention import CURVE_METRICS, curve_area
from vebi.intervention.baseline import BASELINES
from vebi.methods.base import Explainer
from vebi.metrics.registry import METRICS
from vebi.metrics.similarity import is_empty
from vebi.metrics.sparseness import gini_index
from vebi.reports.benchmark_report.rows import GRID_POINTING

Scores = dict[str, Float[np.ndarray, " _"]]

EMPTY, SPARSENESS = "empty", "sparseness"
#: Steps of the deletion and insertion curves.
CURVE_STEPS = 14


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """The images that methods are scored on.

    Attributes:
        truth: All of them.
        few: Positions of those on which methods and metrics are measured that ask the network many times.
        mosaics: Four images each, see ``draw_mosaics``.
        full_size: Whether the images of a mosaic keep their size.
    """

    truth: GroundTruth
    few: Sequence[int]
    mosaics: Sequence[Mosaic]
    full_size: bool


def score_network(explainer: Explainer, images: ScoredImages, *, perturbs: bool, batch_size: int = 32) -> Scores:
    """Scores one method on one network.

    Args:
        explainer: The method.
        images: The scored images.
        perturbs: Whether the method asks the network hundreds of times per image, and so is scored on few images and no
            mosaics.
        batch_size: Images per pass.

    Returns:
        By metric a score per image: those of ``METRICS``, ``sparseness``, ``empty`` (1 where all values of a map are
        equal), ``deletion_BASELINE`` and ``insertion_BASELINE``; and ``grid_pointing`` per mosaic. In [0, 1], NaN where
        not measured.
    """
    truth = images.truth
    rows = list(images.few) if perturbs else list(range(len(truth)))
    maps = maps_of(explainer, truth.subset(rows), batch_size)
    measured = _map_scores(maps.clamp(min=0), truth.masks[rows])
    few = [rows.index(row) for row in images.few]
    scores = {name: _spread(values, rows, len(truth)) for name, values in measured.items()}
    curves = _curve_scores(truth, images.few, maps[few], batch_size)
    scores |= {name: _spread(values, images.few, len(truth)) for name, values in curves.items()}
    if not perturbs:
        scores[GRID_POINTING] = mosaic_scores(explainer, truth, images.mosaics, images.full_size, batch_size=batch_size)
    return scores


def score_without_masks(explainer: Explainer, truth: GroundTruth, *, batch_size: int = 32) -> Scores:
    """Scores one method by what needs no masks.

    Args:
        explainer: The method.
        truth: The scored images; their masks are not looked at.
        batch_size: Images per pass.

    Returns:
        A score per image: ``sparseness``, ``empty``, ``deletion_BASELINE`` and ``insertion_BASELINE``, in [0, 1].
    """
    maps = maps_of(explainer, truth, batch_size)
    return _shape_scores(maps.clamp(min=0)) | _curve_scores(truth, range(len(truth)), maps, batch_size)


def _map_scores(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"]) -> Scores:
    """What the positive parts of maps, and masks, alone tell."""
    scaled = torch.from_numpy(rescale(maps.numpy()))
    scores = {metric.name: metric.function(maps if metric.scale_free else scaled, masks) for metric in METRICS}
    return {name: values.double().numpy() for name, values in scores.items()} | _shape_scores(maps)


def _shape_scores(maps: Float[Tensor, "n h w"]) -> Scores:
    """What the positive parts of maps alone tell."""
    return {SPARSENESS: gini_index(maps).double().numpy(), EMPTY: is_empty(maps).double().numpy()}


def _curve_scores(truth: GroundTruth, rows: Sequence[int], maps: Float[Tensor, "n h w"], batch_size: int) -> Scores:
    """Areas under the deletion and insertion curves with every baseline."""
    device = truth.classifier.device
    inputs, targets = truth.inputs(rows), torch.from_numpy(truth.targets[list(rows)]).to(device)
    scores = {}
    for metric in CURVE_METRICS:
        for baseline in BASELINES:
            curves = metric.curve(
                truth.classifier,
                inputs,
                targets,
                maps,
                baseline=baseline,
                steps=CURVE_STEPS,
                batch_size=4 * batch_size,
            )
            scores[f"{metric.name}_{baseline}"] = curve_area(curves).double().cpu().numpy()
    return scores


def _spread(values: Float[np.ndarray, " k"], rows: Sequence[int], count: int) -> Float[np.ndarray, " n"]:
    """The values at their rows, NaN elsewhere."""
    spread = np.full(count, np.nan)
    spread[list(rows)] = values
    return spread
