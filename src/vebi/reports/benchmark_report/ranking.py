"""Methods ranked by one score, with a dot for each on a scale: what the page draws of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vebi.reports.benchmark_report.glossary import (
    FURTHER,
    IN_PAPER,
    WHOLE_IMAGE,
    WITH_BEST_CHOICE,
    WITHOUT_NETWORK,
    group_of,
)
from vebi.reports.benchmark_report.number_formats import (
    format_mean_std,
    format_number,
    format_published,
    format_ratio,
    highest,
)
from vebi.reports.benchmark_report.rows import MAIN_METRIC, OURS, MethodForm, MethodRow
from vebi.reports.svg_chart import ceiling

#: Group of a method -> kind of its row.
KINDS = {IN_PAPER: "paper", FURTHER: "further", WITH_BEST_CHOICE: "tuned", WITHOUT_NETWORK: "cue"}


@dataclass(frozen=True)
class RankingRow:
    """A method or the reference on a board; positions are percentages of the scale's width, as ``"41.20%"``.

    Attributes:
        title: Name of the method.
        kind: ``"ours"``, ``"paper"``, ``"further"``, ``"tuned"`` (with its best choice), ``"ours further"``, ``"cue"``
            (without a network) or ``"reference"``.
        value: The score, in percent.
        text: The score as it is written.
        dot: Position of the score.
        best: Whether it is the highest.
        before: The score before the transform, empty where there is none.
        published: The published score, empty where there is none.
        ratio: vebi's score divided by the method's or the other way round, empty for vebi and the reference.
        whisker: Positions one standard deviation below and above the score, None where there is none.
        published_mark: Position of the published score, None where there is none.
        rank: Place among the methods that explain a network, None where boards do not number them.
    """

    title: str
    kind: str
    value: float
    text: str
    dot: str
    best: bool = False
    before: str = ""
    published: str = ""
    ratio: str = ""
    whisker: tuple[str, str] | None = None
    published_mark: str | None = None
    rank: int | None = None


@dataclass(frozen=True)
class Ranking:
    """Methods by one score, the highest first.

    Attributes:
        rows: The methods and the reference.
        level: Position of the reference on the scale.
        ticks: Positions and labels of the scale.
        published: Whether any row has a published score.
        before: Whether rows have a score before the transform.
    """

    rows: tuple[RankingRow, ...]
    level: str
    ticks: tuple[tuple[str, str], ...]
    published: bool
    before: bool


def top_of_scale(datasets: Mapping[str, Sequence[MethodRow]]) -> int:
    """Where the scale of the main metric ends, the same for all data sets, in percent."""
    rows = [row for of_dataset in datasets.values() for row in of_dataset]
    ends = [row.mean + (row.std or 0) for row in rows] + [sum(row.published or ()) for row in rows]
    return min(100, ceiling(ends))


def make_board(
    rows: Sequence[MethodRow],
    column: str,
    level: float,
    top: int,
    before: Mapping[str, str] | None = None,
    reference: str = WHOLE_IMAGE,
) -> Ranking:
    """The methods of one data set by one score.

    Args:
        rows: The rows of the data set.
        column: The score.
        level: Score of the reference, in percent.
        top: Where the scale ends, in percent; it starts at 0.
        before: Scores before the transform by method, as they are written; published scores are left out then.
        reference: Title of the reference.
    """
    scores = {row.method: row.score(column) or 0.0 for row in rows}
    best = highest(scores)
    lines = [_method_row(row, column, scores[row.method], row.method in best, top, before) for row in rows]
    return rank_rows(lines, level, top, reference, before=before is not None)


def rank_rows(
    rows: Sequence[RankingRow], level: float, top: int, reference: str = WHOLE_IMAGE, *, before: bool = False
) -> Ranking:
    """Rows and a reference on a scale, the highest first.

    Args:
        rows: The methods.
        level: Score of the reference, in percent.
        top: Where the scale ends, in percent; it starts at 0.
        reference: Title of the reference.
        before: Whether rows have a score before the transform.
    """
    marker = RankingRow(reference, "reference", level, format_number(level), position(level, top))
    step = 20 if top > 50 else 10
    return Ranking(
        rows=tuple(sorted([*rows, marker], key=lambda row: -row.value)),
        level=marker.dot,
        ticks=tuple((position(tick, top), str(tick)) for tick in range(0, top + 1, step)),
        published=any(row.published for row in rows),
        before=before,
    )


def whisker(value: float, std: float | None, top: int) -> tuple[str, str] | None:
    """Positions one standard deviation below and above a score, None where there is none."""
    return (position(value - std, top), position(value + std, top)) if std else None


def position(value: float, top: int) -> str:
    """Where a value lies on a scale from 0 to ``top``, as a percentage of its width."""
    return f"{100 * min(max(value, 0), top) / top:.2f}%"


def kind_of(row: MethodForm, kind: str) -> str:
    """The kind of a row: vebi's own, or that of its group."""
    if row.form_of != OURS:
        return kind
    return "ours further" if row.best_choice else "ours"


def _method_row(
    row: MethodRow, column: str, value: float, best: bool, top: int, before: Mapping[str, str] | None
) -> RankingRow:
    std = row.std if column == MAIN_METRIC else None
    published = row.published if column == MAIN_METRIC and before is None else None
    return RankingRow(
        title=row.title,
        kind=kind_of(row, KINDS[group_of(row)]),
        value=value,
        text=format_mean_std(value, std),
        dot=position(value, top),
        best=best,
        before="" if before is None else before[row.method],
        published=format_published(row) if published else "",
        ratio=format_ratio(row, column),
        whisker=whisker(value, std, top),
        published_mark=position(published[0], top) if published else None,
    )
