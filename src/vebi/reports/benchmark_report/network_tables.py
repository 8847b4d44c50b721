"""The wide tables of many networks: every other score, and maps of random networks."""

from collections.abc import Callable, Sequence

from vebi.metrics.registry import METRICS
from vebi.reports.benchmark_report.glossary import WITH_BEST_CHOICE, WITHOUT_NETWORK
from vebi.reports.benchmark_report.network_table import CURVES, NetworkRow, on_all_images
from vebi.reports.benchmark_report.number_formats import format_mean_std, format_number, highest
from vebi.reports.benchmark_report.rows import GRID_POINTING, OURS
from vebi.reports.benchmark_report.tables import Cell, ScoreLine, ScoreTable

#: Groups of rows.
WITH_DEFAULTS = "methods with their defaults"
GROUPS = (WITH_DEFAULTS, WITH_BEST_CHOICE, WITHOUT_NETWORK)
#: Title of the column of areas on the images that every method has.
SHARED = "area, shared images"
#: Scores against masks and mosaics, of which the highest is the best -> titles.
MASK_SCORES = {metric.name: metric.title for metric in METRICS[1:]} | {GRID_POINTING: "grid pointing"}
#: Other scores -> titles; deletion and insertion are of few images, and nothing is marked as the best there.
_OTHER_SCORES = {name: name.replace("_", ", ") for name in CURVES} | {"sparseness": "sparseness", "empty": "empty"}
_CONDITIONS = (
    *("1", "2", "3", "all", "independent 1", "independent 2", "independent 3"),
    *("1 refit", "2 refit", "3 refit", "all refit", "labels"),
)


def group_of(row: NetworkRow) -> str:
    """The group of a row."""
    if not row.uses_network:
        return WITHOUT_NETWORK
    return WITH_BEST_CHOICE if row.best_choice else WITH_DEFAULTS


def score_of(row: NetworkRow, name: str) -> float | None:
    """One of the other scores of a row, in percent."""
    single = {GRID_POINTING: row.grid_pointing, "sparseness": row.sparseness, "empty": row.empty}
    return {**row.metrics, **row.curves, **single}[name]


def make_network_scores(rows: Sequence[NetworkRow]) -> ScoreTable:
    """Every other score of the methods on the networks of one architecture, in percent."""
    complete = on_all_images(rows)
    best = {name: highest({row.method: score_of(row, name) for row in complete}) for name in MASK_SCORES}

    def cells(row: NetworkRow) -> tuple[Cell, ...]:
        texts = {
            name: format_mean_std(score_of(row, name), row.deviations.get(name))
            for name in (*MASK_SCORES, *_OTHER_SCORES)
        }
        shared = (format_number(row.shared_mean), False)
        return (shared, *((text, row.method in best.get(name, ())) for name, text in texts.items()))

    return _table(rows, (SHARED, *MASK_SCORES.values(), *_OTHER_SCORES.values()), cells)


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


def _sanity_cell(row: NetworkRow, condition: str) -> str:
    """``0.34 / 0.21``: rank correlation / structural similarity, and how many maps are empty where any is."""
    scores = row.sanity.get(condition, {})
    values = [format_number(scores.get(name), 2) or "–" for name in ("rank_correlation", "structural_similarity")]
    empty = scores.get("empty") or 0.0
    return " / ".join(values) + (f" ({100 * empty:.0f} % empty)" if empty else "")
