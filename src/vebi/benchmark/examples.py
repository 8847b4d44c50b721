"""Pictures with the maps of every method, to look at."""

from collections.abc import Sequence

import numpy as np
import torch

from vebi.benchmark.ground_truth import Truth
from vebi.benchmark.methods import Method
from vebi.benchmark.runner import bind, named
from vebi.benchmark.scoring import positive_maps
from vebi.data.collections import evenly
from vebi.interpretation.result import Interpretation
from vebi.reports.benchmark_page import Examples

SHOWN = 6


def find_examples(interpretation: Interpretation, truth: Truth, methods: Sequence[Method]) -> Examples:
    """Of up to six classes, spread evenly, the picture in the middle of the class's scored ones."""
    chosen = [
        int(members[len(members) // 2])
        for c in evenly(np.unique(truth.targets).tolist(), SHOWN)
        for members in [np.flatnonzero(truth.targets == c)]
    ]
    inputs, targets = truth.inputs(chosen), torch.from_numpy(truth.targets[chosen]).to(truth.classifier.device)
    maps = {}
    for method, explainer in bind(interpretation, methods).items():
        with named(method):
            maps[method.name] = positive_maps(explainer, inputs.clone(), targets).numpy()
    picture = truth.classifier.preprocess.picture
    return Examples(
        np.stack([picture(x) for x in inputs]),
        truth.masks[chosen].numpy(),
        tuple(interpretation.classes[c] for c in truth.targets[chosen]),
        maps,
    )
