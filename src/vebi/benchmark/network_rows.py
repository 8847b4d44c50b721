"""Scores of many networks -> rows: one method on the networks of one data set and one architecture."""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from vebi.benchmark.network_experiment import NetworkResult
from vebi.benchmark.network_scores import EMPTY, SPARSENESS
from vebi.benchmark.statistics import compare, fold_means
from vebi.metrics.registry import METRICS
from vebi.reports.benchmark_report.network_table import CURVES, NetworkRow
from vebi.reports.benchmark_report.rows import BEST, GRID_POINTING, MAIN_METRIC, OURS

#: How many layers are random from the output down, in the rows.
DEPTHS = ("1", "2", "3", "all")
_SANITY = "sanity.{condition}.{score}"
#: Scores whose deviation over networks a row has.
_DEVIATIONS = (*(metric.name for metric in METRICS[1:]), GRID_POINTING, *CURVES, SPARSENESS)


def make_network_rows(
    variant: str,
    scene: str,
    architecture: str,
    networks: Sequence[NetworkResult],
    without_network: Sequence[str],
    order: Sequence[str] = (),
) -> list[NetworkRow]:
    """A row per method, see ``NetworkRow``; that of its best choice follows that of its defaults.

    Args:
        variant: Variant of the flowers.
        scene: Their scene.
        architecture: The network.
        networks: What was measured, one per fold and seed.
        without_network: Names of the methods that no network is asked for.
        order: Names of methods, as the rows are to follow each other; others come last.
    """
    place = {name: k for k, name in enumerate(order)}
    names = [name for name in networks[0].scores if all(name in network.scores for network in networks)]
    names.sort(key=lambda name: (place.get(name.removesuffix(BEST), len(place)), name.endswith(BEST)))
    shared = [np.all([np.isfinite(n.scores[name][MAIN_METRIC]) for name in names], axis=0) for n in networks]
    return [
        _make_row(variant, scene, architecture, networks, shared, name, uses_network=name not in without_network)
        for name in names
    ]


def _make_row(
    variant: str,
    scene: str,
    architecture: str,
    networks: Sequence[NetworkResult],
    shared: Sequence[Bool[np.ndarray, " images"]],
    method: str,
    *,
    uses_network: bool,
) -> NetworkRow:
    """The row of a method; ``shared`` says which images of each network every method was scored on."""
    own, default = (_scores(networks, name, MAIN_METRIC) for name in (method, OURS))
    comparison = compare(own, default)
    areas = 100 * fold_means(own)
    return NetworkRow(
        variant=variant,
        scene=scene,
        architecture=architecture,
        method=method,
        title=networks[0].titles[method],
        uses_network=uses_network,
        auc_iou=tuple(areas.tolist()),
        mean=float(areas.mean()),
        std=float(areas.std(ddof=1)) if len(areas) > 1 else None,
        images=tuple(int(np.isfinite(scores).sum()) for scores in own),
        shared_mean=100 * float(np.mean([scores[k].mean() for scores, k in zip(own, shared, strict=True)])),
        shared_images=int(sum(k.sum() for k in shared)),
        ratio_to_default=comparison.ratio,
        ratio_interval=(comparison.low, comparison.high) if np.isfinite(comparison.high) else None,
        p=None if method == OURS else comparison.p,
        grid_pointing=_percent(networks, method, GRID_POINTING),
        deletion=_percent(networks, method, "deletion_blur"),
        insertion=_percent(networks, method, "insertion_blur"),
        curves={name: _percent(networks, method, name) for name in CURVES},
        metrics={metric.name: _percent(networks, method, metric.name) for metric in METRICS[1:]},
        sparseness=_percent(networks, method, SPARSENESS),
        deviations={name: _deviation(networks, method, name) for name in _DEVIATIONS},
        randomisation={depth: _sanity(networks, method, depth, "rank_correlation") for depth in DEPTHS},
        sanity=_all_sanity(networks, method),
        empty=_percent(networks, method, EMPTY),
        described=tuple(network.described[method] for network in networks),
    )


def _scores(networks: Sequence[NetworkResult], method: str, name: str) -> list[Float[np.ndarray, " _"]]:
    return [network.scores[method][name] for network in networks]


def _percent(networks: Sequence[NetworkResult], method: str, name: str) -> float | None:
    """The mean over networks of the networks' means, in percent; None where nothing was measured."""
    if not all(name in network.scores[method] for network in networks):
        return None
    mean = _mean(_scores(networks, method, name))
    return 100 * mean if np.isfinite(mean) else None


def _deviation(networks: Sequence[NetworkResult], method: str, name: str) -> float | None:
    """The standard deviation of the networks' means, in percent; None where fewer than two were measured."""
    scores = [network.scores[method].get(name, np.array([])) for network in networks]
    means = [np.nanmean(values) for values in scores if np.isfinite(values).any()]
    return 100 * float(np.std(means, ddof=1)) if len(means) > 1 else None


def _mean(scores: Sequence[Float[np.ndarray, " _"]]) -> float:
    with warnings.catch_warnings():  # of nothing but NaN the mean is NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(np.nanmean([np.nanmean(values) if len(values) else np.nan for values in scores]))


def _sanity(networks: Sequence[NetworkResult], method: str, condition: str, score: str) -> float | None:
    """The mean over the checked networks; None where there is none, or no image has two maps."""
    name = _SANITY.format(condition=condition, score=score)
    checked = [network.scores[method][name] for network in networks if name in network.scores[method]]
    mean = _mean(checked) if checked else np.nan
    return float(mean) if np.isfinite(mean) else None


def _all_sanity(networks: Sequence[NetworkResult], method: str) -> dict[str, dict[str, float | None]]:
    """Condition -> rank correlation, structural similarity and share of empty maps."""
    names = {name for network in networks for name in network.scores[method] if name.startswith("sanity.")}
    conditions = sorted({name.split(".")[1] for name in names if name.count(".") == 2})
    scores = ("rank_correlation", "structural_similarity", "empty")
    return {c: {score: _sanity(networks, method, c, score) for score in scores} for c in conditions}
