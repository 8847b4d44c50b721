"""How the main score moves where one choice behind the heatmaps is made differently."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vebi.backprop.heatmaps import rescale
from vebi.benchmark.ground_truth import GroundTruth
from vebi.benchmark.runner import code_of_scores
from vebi.benchmark.scoring import positive_maps
from vebi.benchmark.variations import DEFAULT, Variation, iter_variations
from vebi.files import check_signature, parse_json, read_file, sign, write_json
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.metrics.iou import STEPS, iou_curve
from vebi.progress import Progress
from vebi.reports.benchmark_report.rows import SensitivityRow

#: Thresholds of the IoU curve by name.
Thresholds = Mapping[str, Float[Tensor, " t"]]

#: The thresholds of the tables are varied, too, for the methods with their defaults.
VARIED_THRESHOLDS: Thresholds = {
    "11 thresholds": torch.linspace(0, 1, 11),
    "1001 thresholds": torch.linspace(0, 1, 1001),
    "101 thresholds without 0": torch.linspace(0, 1, 101)[1:],
}


def sensitivity_rows(
    interpretation: Interpretation,
    truth: GroundTruth,
    run: Path,
    cache: Path,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> list[SensitivityRow]:
    """Scores the raw maps of every variation.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        truth: The scored images.
        run: The run folder of the interpretation, whose table is used again.
        cache: A JSON file that keeps the rows; it is read where it is of this code, of the same model, features and
            images.
        batch_size: Images per pass.
        progress: Called with (variations done, variations).

    Returns:
        A row per variation, the defaults first.
    """
    key = f"{code_of_scores()} {interpretation.fingerprint()} {truth.fingerprint()}"
    with suppress(OSError, ValueError, TypeError, KeyError):
        stored = parse_json(read_file(cache))
        check_signature(stored)
        if stored["key"] == key:
            return [SensitivityRow.from_dict(row) for row in stored["rows"]]
    rows: list[SensitivityRow] = []
    variations = list(iter_variations(interpretation, run))
    for k, variation in enumerate(variations, start=1):
        rows += _score_variation(variation, truth, batch_size)
        if progress:
            progress(k, len(variations))
    write_json(cache, sign({"key": key, "rows": [row.to_dict() for row in rows]}))
    return rows


def mean_over_folds(folds: Sequence[Sequence[SensitivityRow]]) -> list[SensitivityRow]:
    """The same rows with the means of several folds, and the scores of each fold."""
    return [
        SensitivityRow(
            choice=rows[0].choice,
            setting=rows[0].setting,
            auc_iou={name: float(np.mean([row.auc_iou[name] for row in rows])) for name in rows[0].auc_iou},
            folds={name: tuple(row.auc_iou[name] for row in rows) for name in rows[0].auc_iou},
        )
        for rows in zip(*folds, strict=True)
    ]


def _score_variation(variation: Variation, truth: GroundTruth, batch_size: int) -> Iterator[SensitivityRow]:
    """The row of a variation; that of the defaults is followed by those of other thresholds."""
    is_default = (variation.choice, variation.setting) == DEFAULT
    grids = {"": torch.linspace(0, 1, STEPS), **(VARIED_THRESHOLDS if is_default else {})}
    scores = {name: _score(explainer, truth, grids, batch_size) for name, explainer in variation.make().items()}
    for grid in grids:
        choice, setting = ("thresholds", grid) if grid else (variation.choice, variation.setting)
        yield SensitivityRow(choice, setting, {name: of_method[grid] for name, of_method in scores.items()})


def _score(explainer: Explainer, truth: GroundTruth, grids: Thresholds, batch_size: int) -> dict[str, float]:
    """The area under the IoU curve by grid of thresholds, mean over images, in percent."""
    sums = dict.fromkeys(grids, 0.0)
    for rows, inputs, targets in truth.batches(batch_size):
        maps = torch.from_numpy(rescale(positive_maps(explainer, inputs, targets).numpy()))
        for grid, thresholds in grids.items():
            sums[grid] += float(iou_curve(maps, truth.masks[rows], thresholds).mean(dim=1).sum())
    return {grid: 100 * total / len(truth) for grid, total in sums.items()}
