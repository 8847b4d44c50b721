"""Scores of images without masks as rows of a table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from vebi.benchmark.methods import Method
from vebi.benchmark.network_scores import EMPTY, SPARSENESS
from vebi.benchmark.random_networks import CASCADING
from vebi.benchmark.runner import Scores
from vebi.reports.benchmark_report.image_table import ImageRow, Paired
from vebi.reports.benchmark_report.network_table import CURVES
from vebi.reports.benchmark_report.rows import GRID_POINTING, OURS


class Measured(NamedTuple):
    """What was measured on one part of the images.

    Attributes:
        scores: The scores of each method.
        ours_on_few: Those of vebi on the images of the methods that are scored on few.
        made: How each method was made.
    """

    scores: dict[str, Scores]
    ours_on_few: Scores
    made: dict[str, str]


def make_image_rows(groups: Sequence[Sequence[Method]], measured: Sequence[Measured]) -> tuple[ImageRow, ...]:
    """A row for each method that was scored, on the images of all parts together.

    Args:
        groups: The methods that are scored on all images, and those on few.
        measured: The parts.
    """
    scores = {name: join_parts([part.scores[name] for part in measured]) for name in measured[0].scores}
    ours = scores[OURS], join_parts([part.ours_on_few for part in measured])
    made = measured[0].made
    return tuple(
        _make_row(method, scores[method.name], on_images, made[method.name])
        for on_images, methods in zip(ours, groups, strict=True)
        for method in methods
        if method.name in scores
    )


def join_parts(parts: Sequence[Scores]) -> Scores:
    """The scores of all parts; a part of too few classes for mosaics has none of these."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}


def _make_row(method: Method, scores: Scores, ours: Scores, made: str) -> ImageRow:
    randomisation, empty = (
        {c.name: _mean(scores.get(f"sanity.{c.name}.{name}")) for c in CASCADING}
        for name in ("rank_correlation", "empty")
    )
    return ImageRow(
        method=method.name,
        title=method.title,
        uses_network=method.uses_network,
        images=len(scores[SPARSENESS]),
        curves={name: _paired(100 * scores[name], 100 * ours[name]) for name in CURVES},
        grid_pointing=100 * float(scores[GRID_POINTING].mean()) if GRID_POINTING in scores else None,
        sparseness=_mean(scores[SPARSENESS]),
        empty=float(scores[EMPTY].mean()),
        randomisation=randomisation,
        randomised_empty=empty,
        made=made,
    )


def _paired(values: Float[np.ndarray, " n"], ours: Float[np.ndarray, " n"]) -> Paired:
    """The mean, and by how much it is above that of vebi: paired images, Student's t."""
    difference = values - ours
    interval = None
    if len(difference) > 1 and difference.std() > 0:
        low, high = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
        interval = float(low), float(high)
    return Paired(float(values.mean()), float(difference.mean()), interval)


def _mean(values: Float[np.ndarray, " n"] | None) -> float | None:
    """The mean of what is finite; None where nothing is."""
    if values is None or not np.isfinite(values).any():
        return None
    return float(np.nanmean(values))
