"""Scores -> rows of the tables: means over networks, ratios with intervals and p-values."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from vebi.benchmark.methods import Method
from vebi.benchmark.runner import FoldScores
from vebi.benchmark.scoring import CURVE
from vebi.benchmark.statistics import Comparison, compare, fold_means
from vebi.metrics.registry import METRICS
from vebi.reports.benchmark_report.rows import GRID_POINTING, MAIN_METRIC, OURS, PAPER, MethodRow

#: Table 1 of Oramas, Wang and Tuytelaars (BNAIC 2019): area under the IoU curve, mean and standard deviation in
#: percent, on the authors' own an8Flower.
PUBLISHED = {
    "single-6c": {
        "upsampled-activations": (16.8, 2.63),
        "guided-backprop": (21.3, 0.77),
        "grad-cam": (17.5, 0.25),
        "guided-grad-cam": (19.9, 0.61),
        "grad-cam++": (15.6, 0.57),
        "guided-grad-cam++": (19.6, 0.65),
        PAPER: (22.5, 0.82),
    },
    "double-12c": {
        "upsampled-activations": (16.1, 1.30),
        "guided-backprop": (21.9, 0.72),
        "grad-cam": (14.8, 0.16),
        "guided-grad-cam": (19.4, 0.34),
        "grad-cam++": (14.6, 0.12),
        "guided-grad-cam++": (19.7, 0.27),
        PAPER: (23.2, 0.60),
    },
}


def make_rows(
    dataset: str,
    folds: Sequence[FoldScores],
    methods: Sequence[Method],
    form: str,
    published: Mapping[str, tuple[float, float]] | None = None,
) -> list[MethodRow]:
    """A row per method that took part, see ``MethodRow``; ratios, intervals and p-values are those of ``compare``.

    Args:
        dataset: Name of the data set.
        folds: The scores of each fold, whose images one network was not trained on.
        methods: The methods in the order of the table.
        form: ``"raw"`` or ``"transformed"`` maps; grid pointing is always of raw ones.
        published: Published mean and standard deviation by method, in percent.
    """
    return [
        _make_row(dataset, folds, method, form, (published or {}).get(method.name))
        for method in folds[0].participants(methods)
    ]


def _make_row(
    dataset: str,
    folds: Sequence[FoldScores],
    method: Method,
    form: str,
    published: tuple[float, float] | None,
) -> MethodRow:
    ours, theirs = (_folds_of(folds, name, f"{form}.{MAIN_METRIC}") for name in (OURS, method.name))
    means = 100 * fold_means(theirs)
    comparison = compare(ours, theirs)
    grid_pointing, grid_pointing_ratio = _compare_mosaics(folds, method)
    return MethodRow(
        dataset=dataset,
        method=method.name,
        title=method.title,
        auc_iou=tuple(means.tolist()),
        mean=float(means.mean()),
        std=float(means.std(ddof=1)) if len(means) > 1 else None,
        ratio=comparison.ratio,
        ratio_interval=_interval(comparison),
        p=None if method.name == OURS else comparison.p,
        grid_pointing=grid_pointing,
        grid_pointing_ratio=grid_pointing_ratio,
        in_paper=method.in_paper,
        user_defined=bool(method.key),
        uses_network=method.uses_network,
        published=published,
        metrics={m.name: _percent(_folds_of(folds, method.name, f"{form}.{m.name}")) for m in METRICS[1:]},
    )


def _compare_mosaics(
    folds: Sequence[FoldScores], method: Method
) -> tuple[float | None, tuple[float | None, float | None, float | None] | None]:
    """Grid pointing of a method and its ratio with interval, None where no fold has mosaics."""
    with_mosaics = [fold for fold in folds if fold.mosaics]
    if not with_mosaics:
        return None, None
    ours, theirs = (_folds_of(with_mosaics, name, GRID_POINTING) for name in (OURS, method.name))
    comparison = compare(ours, theirs)
    low, high = _interval(comparison) or (math.nan, math.nan)
    return _percent(theirs), (_finite(comparison.ratio), _finite(low), _finite(high))


def _interval(comparison: Comparison) -> tuple[float, float] | None:
    """The interval of a ratio, None where the draws cannot tell any."""
    interval = comparison.low, comparison.high
    return None if interval == (0, math.inf) else interval


def make_curves(folds: Sequence[FoldScores], methods: Sequence[Method], form: str) -> dict[str, tuple[float, ...]]:
    """The IoU at each threshold by method, mean over folds, in percent."""
    return {
        method.name: tuple((100 * np.mean(_folds_of(folds, method.name, f"{form}.{CURVE}"), axis=0)).tolist())
        for method in folds[0].participants(methods)
    }


def _folds_of(folds: Sequence[FoldScores], method: str, name: str) -> list[Float[np.ndarray, " _"]]:
    """The scores of one method by one metric, an array per network."""
    return [fold.scores[method][name] for fold in folds]


def _finite(value: float) -> float | None:
    """The value itself; None for a ratio to nothing, which is infinite or undefined."""
    return float(value) if np.isfinite(value) else None


def _percent(folds: Sequence[Float[np.ndarray, " _"]]) -> float:
    return float(100 * fold_means(folds).mean())
