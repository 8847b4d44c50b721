"""The tables of the page of a benchmark: every score, and single choices made differently."""

from collections.abc import Sequence
from dataclasses import dataclass

from vebi.reports.benchmark_report.findings import above_ours, format_sensitivity
from vebi.reports.benchmark_report.glossary import CHANCE, P_TITLE, group_methods, method_titles, score_titles
from vebi.reports.benchmark_report.number_formats import format_number, format_p, highest
from vebi.reports.benchmark_report.rows import GRID_POINTING, OURS, MethodRow, SensitivityRow

#: The text of a cell and whether it is emphasised.
Cell = tuple[str, bool]


@dataclass(frozen=True)
class ScoreLine:
    """Every score of one method."""

    title: str
    ours: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ScoreTable:
    """Every score on one data set, or on the networks of one architecture.

    Attributes:
        titles: Titles of the columns.
        groups: Title of a group of methods and its lines.
        reference: What marking the whole image scores in each column; empty where there is no such line.
    """

    titles: tuple[str, ...]
    groups: tuple[tuple[str, tuple[ScoreLine, ...]], ...]
    reference: tuple[str, ...] = ()


@dataclass(frozen=True)
class SensitivityTable:
    """One choice made differently in each line.

    Attributes:
        titles: Titles of the methods.
        groups: By choice, the setting and the cells of each line; a cell is empty where the choice does not affect the
            method and emphasised where the method passes vebi.
    """

    titles: tuple[str, ...]
    groups: dict[str, list[tuple[str, tuple[Cell, ...]]]]


def make_score_table(rows: Sequence[MethodRow], mask_share: float) -> ScoreTable:
    """Every score of every method; what marking the whole image has is the mask's share, in percent."""
    titles = score_titles(rows)
    best = {column: highest({row.method: row.score(column) for row in rows}) for column in titles}

    def line(row: MethodRow) -> ScoreLine:
        cells = ((format_number(row.score(column)), row.method in best[column]) for column in titles)
        return ScoreLine(row.title, row.method == OURS, (*cells, (format_p(row.p), False)))

    groups = tuple((title, tuple(map(line, members))) for title, members in group_methods(rows).items())
    reference = (format_number(CHANCE if column == GRID_POINTING else mask_share) for column in titles)
    return ScoreTable((*titles.values(), P_TITLE), groups, (*reference, ""))


def make_sensitivity_table(varied: Sequence[SensitivityRow], rows: Sequence[MethodRow]) -> SensitivityTable:
    """The sensitivity table of a data set; the first row is of the defaults."""
    titles = {method: title for method, title in method_titles(rows).items() if method in varied[0].auc_iou}
    groups: dict[str, list[tuple[str, tuple[Cell, ...]]]] = {}
    for row in varied:
        above = above_ours(row, varied[0])
        cells = tuple((format_sensitivity(row, m, above), m in above and m in row.auc_iou) for m in titles)
        groups.setdefault(row.choice, []).append((row.setting, cells))
    return SensitivityTable(tuple(titles.values()), groups)
