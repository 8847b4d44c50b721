"""Methods at their best: of the choices that a method leaves open, the one that scores highest on training images.

The choice is made on images that the network was trained on, which have masks, too, and never on those that are scored.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vebi.backprop.heatmaps import rescale
from vebi.benchmark.ground_truth import GroundTruth
from vebi.benchmark.methods import Method
from vebi.benchmark.runner import Scores, cached_scores, origin_of
from vebi.benchmark.scoring import maps_of
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.metrics.iou import auc_iou
from vebi.reports.benchmark_report.rows import BEST


def tune(
    interpretation: Interpretation, truth: GroundTruth, method: Method, folder: Path, *, batch_size: int = 32
) -> Method:
    """Makes the row of a method with its best choice, and keeps the scores of all of them in a file of a folder.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        truth: Training images with masks.
        method: A method that leaves choices open.
        folder: The folder; scores that it holds by this code, of this model and of these images are used again.
        batch_size: Images per pass.

    Returns:
        A method with the choice whose maps have the largest mean area under the IoU curve on ``truth``; of equal ones
        the first.
    """
    assert method.choices is not None, "the method leaves no choice open"
    choices_of = method.choices
    explainers = choices_of(interpretation)
    origin = origin_of(interpretation, truth)
    made = method.key or {name: repr(explainer) for name, explainer in explainers.items()}

    def compute() -> Scores:
        return {name: np.array(mean_area(explainer, truth, batch_size)) for name, explainer in explainers.items()}

    folder.mkdir(parents=True, exist_ok=True)
    scores = cached_scores(folder / f"{method.name}.choices.safetensors", f"{origin} {made}", compute)
    name = max(explainers, key=lambda choice: scores[choice].item())
    return replace(
        method,
        name=f"{method.name}{BEST}",
        title=f"{method.title}, best choice",
        make=lambda other: choices_of(other)[name],
        in_paper=False,
        needed=False,
        choices=None,
        chosen=name,
    )


def tune_all(
    interpretation: Interpretation,
    truth: GroundTruth,
    methods: Sequence[Method],
    folder: Path,
    *,
    batch_size: int = 32,
) -> list[Method]:
    """The row with its best choice of every method that leaves choices open, see ``tune``."""
    return [tune(interpretation, truth, method, folder, batch_size=batch_size) for method in methods if method.choices]


def mean_area(explainer: Explainer, truth: GroundTruth, batch_size: int) -> float:
    """The mean area under the IoU curve of a method's maps."""
    maps = torch.from_numpy(rescale(maps_of(explainer, truth, batch_size).clamp(min=0).numpy()))
    return float(auc_iou(maps, truth.masks).mean())
