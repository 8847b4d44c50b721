"""Example images with the heatmaps of every method, for the page."""

from collections.abc import Sequence

import numpy as np
import torch

from vebi.benchmark.ground_truth import GroundTruth
from vebi.benchmark.methods import Method
from vebi.benchmark.runner import bind_methods, errors_of
from vebi.benchmark.scoring import positive_maps
from vebi.data.collections import evenly_spaced
from vebi.interpretation.result import Interpretation
from vebi.reports.benchmark_report.examples import Examples

#: Example images at most, one per class.
N_EXAMPLES = 6


def typical_rows(truth: GroundTruth) -> list[int]:
    """The middle one of the images of up to six classes, which are spread evenly over all classes."""
    classes = evenly_spaced(np.unique(truth.targets).tolist(), N_EXAMPLES)
    members = [np.flatnonzero(truth.targets == c) for c in classes]
    return [int(rows[len(rows) // 2]) for rows in members]


def find_examples(
    interpretation: Interpretation, truth: GroundTruth, methods: Sequence[Method], rows: Sequence[int] | None = None
) -> Examples:
    """Images with the heatmaps of every method.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        truth: The scored images.
        methods: The methods that draw heatmaps.
        rows: Positions of the images; by default ``typical_rows``.
    """
    rows = typical_rows(truth) if rows is None else list(rows)
    inputs, targets = truth.inputs(rows), torch.from_numpy(truth.targets[rows]).to(truth.classifier.device)
    maps = {}
    for method, explainer in bind_methods(interpretation, methods).items():
        with errors_of(method):
            maps[method.name] = positive_maps(explainer, inputs.clone(), targets).numpy()
    return Examples(
        images=np.stack([truth.classifier.preprocess.to_rgb_uint8(x) for x in inputs]),
        masks=truth.masks[rows].numpy(),
        classes=tuple(interpretation.class_names[c] for c in truth.targets[rows]),
        maps=maps,
    )
