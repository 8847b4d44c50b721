"""The wide tables of many networks: every other score, and maps of random networks."""

from collections.abc import Callable, Sequence

from vebi.reports.benchmark_report.glossary import P_TITLE, WITH_BEST_CHOICE, WITHOUT_NETWORK
from vebi.reports.benchmark_report.network_table import NetworkRow
from vebi.reports.benchmark_report.number_formats import format_number, format_p, highest
from vebi.reports.benchmark_report.rows import OURS
from vebi.reports.benchmark_report.tables import Cell, ScoreLine, ScoreTable

#: Groups of rows.
WITH_DEFAULTS = "methods with their defaults"
GROUPS = (WITH_DEFAULTS, WITH_BEST_CHOICE, WITHOUT_NETWORK)
#: Title of a column -> its score.
_SCORES: dict[str, Callable[[NetworkRow], float | None]] = {
    "grid pointing": lambda row: row.grid_pointing,
    "deletion, blur": lambda row: row.curves["deletion_blur"],
    "deletion, grey": lambda row: row.curves["deletion_grey"],
    "insertion, blur": lambda row: row.curves["insertion_blur"],
    "insertion, grey": lambda row: row.curves["insertion_grey"],
    "sparseness": lambda row: row.sparseness,
    "empty": lambda row: row.empty,
}
_LOWER_IS_BETTER = ("deletion, blur", "deletion, grey")
_WITHOUT_A_BEST = ("sparseness", "empty")
_CONDITIONS = (
    *("1", "2", "3", "all", "independent 1", "independent 2", "independent 3"),
    *("1 refit", "2 refit", "3 refit", "all refit", "labels"),
)


def group_of(row: NetworkRow) -> str:
    """The group of a row."""
    if not row.uses_network:
        return WITHOUT_NETWORK
    return WITH_BEST_CHOICE if row.best_choice else WITH_DEFAULTS


def make_network_scores(rows: Sequence[NetworkRow]) -> ScoreTable:
    """Every other score of the methods on the networks of one architecture, in percent."""
    best = {title: set() if title in _WITHOUT_A_BEST else _best(rows, title) for title in _SCORES}

    def cells(row: NetworkRow) -> tuple[Cell, ...]:
        scores = ((format_number(score(row)), row.method in best[title]) for title, score in _SCORES.items())
        p = "" if row.ratio_interval is None else format_p(row.p)
        return (*scores, (str(sum(row.images)), False), (p, False))

    return _table(rows, (*_SCORES, "images", P_TITLE), cells)


def make_sanity_table(rows: Sequence[NetworkRow]) -> ScoreTable:
    """Similarity of maps with those of random networks under every condition, of the methods that were checked."""
    checked = [row for row in rows if row.sanity]
    conditions = [name for name in _CONDITIONS if any(name in row.sanity for row in checked)]
    return _table(checked, conditions, lambda row: tuple((_sanity_cell(row, name), False) for name in conditions))


def _table(
    rows: Sequence[NetworkRow], titles: Sequence[str], cells: Callable[[NetworkRow], tuple[Cell, ...]]
) -> ScoreTable:
    lines = {
        group: tuple(ScoreLine(row.title, row.method == OURS, cells(row)) for row in rows if group_of(row) == group)
        for group in GROUPS
    }
    return ScoreTable(tuple(titles), tuple((group, members) for group, members in lines.items() if members))


def _best(rows: Sequence[NetworkRow], title: str) -> set[str]:
    sign = -1 if title in _LOWER_IS_BETTER else 1
    scores = {row.method: _SCORES[title](row) for row in rows}
    return highest({method: None if score is None else sign * score for method, score in scores.items()})


def _sanity_cell(row: NetworkRow, condition: str) -> str:
    """``0.34 / 0.21``: rank correlation / structural similarity, and how many maps are empty where any is."""
    scores = row.sanity.get(condition, {})
    values = [format_number(scores.get(name), 2) or "–" for name in ("rank_correlation", "structural_similarity")]
    empty = scores.get("empty") or 0.0
    return " / ".join(values) + (f" ({100 * empty:.0f} % empty)" if empty else "")
