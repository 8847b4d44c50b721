"""Scores -> rows: means over folds, ratios with intervals, paired tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vebi.benchmark.methods import OURS, Method
from vebi.benchmark.runner import MOSAICS, Contest
from vebi.benchmark.scoring import CURVE
from vebi.benchmark.statistics import fold_means, holm, paired_p, ratio_interval
from vebi.metrics.registry import METRICS

#: Figures of table 1 of Oramas, Wang and Tuytelaars (BNAIC 2019): area under the IoU curve, mean and deviation, in
#: percent, on the authors' own an8Flower.
PUBLISHED = {
    "single-6c": {
        "upsampled-activations": [16.8, 2.63],
        "guided-backprop": [21.3, 0.77],
        "grad-cam": [17.5, 0.25],
        "guided-grad-cam": [19.9, 0.61],
        "grad-cam++": [15.6, 0.57],
        "guided-grad-cam++": [19.6, 0.65],
        OURS: [22.5, 0.82],
    },
    "double-12c": {
        "upsampled-activations": [16.1, 1.30],
        "guided-backprop": [21.9, 0.72],
        "grad-cam": [14.8, 0.16],
        "guided-grad-cam": [19.4, 0.34],
        "grad-cam++": [14.6, 0.12],
        "guided-grad-cam++": [19.7, 0.27],
        OURS: [23.2, 0.60],
    },
}
MAIN = METRICS[0].name


def make_rows(
    variant: str,
    folds: Sequence[Contest],
    methods: Sequence[Method],
    form: str,
    published: Mapping[str, Sequence[float]] | None = None,
) -> list[dict[str, Any]]:
    """A row a method that took part, with scores in percent; ``form`` is ``raw`` or ``transformed``.

    ``auc_iou`` one mean a fold; ``mean`` and ``std`` (of a sample, None for one fold) over folds;
    ``ratio_of_vebi_to_it`` with its 95 % ``ratio_interval`` (see ``statistics``); ``p`` of the paired test against
    vebi, Holm-adjusted over the methods of the table; the other metrics as means over folds. ``grid_pointing`` is of
    maps as they are, with the same ratio and interval (``grid_pointing_ratio``); both None where there are no mosaics.
    ``published``: mean and deviation by method.
    """

    def values(name: str, metric: str) -> list[np.ndarray]:
        return [fold.scores[name][metric] for fold in folds]

    def aims(name: str) -> list[np.ndarray]:
        return [fold.scores[name][MOSAICS] for fold in folds if fold.mosaics]

    ours, our_aims = values(OURS, f"{form}.{MAIN}"), aims(OURS)
    rows = []
    for method in folds[0].of(methods):
        theirs, their_aims = values(method.name, f"{form}.{MAIN}"), aims(method.name)
        means = 100 * fold_means(theirs)
        ratio, low, high = ratio_interval(ours, theirs)
        rows.append(
            {
                "variant": variant,
                "method": method.name,
                "title": method.title,
                MAIN: means.tolist(),
                "mean": float(means.mean()),
                "std": float(means.std(ddof=1)) if len(means) > 1 else None,
                "ratio_of_vebi_to_it": ratio,
                "ratio_interval": [low, high],
                "p": None if method.name == OURS else paired_p(ours, theirs),
                "grid_pointing": _percent(their_aims) if our_aims else None,
                "grid_pointing_ratio": list(map(_finite, ratio_interval(our_aims, their_aims))) if our_aims else None,
                "of_the_seed": method.of_the_seed,
                "own": bool(method.key),
                "published": (published or {}).get(method.name),
            }
            | {m.name: _percent(values(method.name, f"{form}.{m.name}")) for m in METRICS[1:]}
        )
    others = [row for row in rows if row["p"] is not None]
    for row, adjusted in zip(others, holm([row["p"] for row in others]), strict=True):
        row["p"] = adjusted
    return rows


def make_curves(folds: Sequence[Contest], methods: Sequence[Method], form: str) -> dict[str, list[float]]:
    """The IoU at every threshold, mean over folds, in percent, a list a method."""
    return {
        m.name: (100 * np.mean([fold.scores[m.name][f"{form}.{CURVE}"] for fold in folds], axis=0)).tolist()
        for m in folds[0].of(methods)
    }


def _finite(value: float) -> float | None:
    """The value itself; None where it cannot be told, as a ratio to nothing."""
    return float(value) if np.isfinite(value) else None


def _percent(folds: Sequence[np.ndarray]) -> float:
    return float(100 * fold_means(folds).mean())
