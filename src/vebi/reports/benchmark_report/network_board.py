"""Methods on the networks of one architecture, ranked by area: what the page draws of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vebi.reports.benchmark_report.glossary import WITH_BEST_CHOICE, WITHOUT_NETWORK
from vebi.reports.benchmark_report.network_table import NetworkRow, NetworkTable, on_all_images
from vebi.reports.benchmark_report.network_tables import WITH_DEFAULTS, group_of
from vebi.reports.benchmark_report.number_formats import format_mean_std, format_ratio_to_default, highest
from vebi.reports.benchmark_report.ranking import Ranking, RankingRow, kind_of, position, rank_rows, whisker
from vebi.reports.svg_chart import ceiling

#: Group of a row -> kind of its mark.
KINDS = {WITH_DEFAULTS: "paper", WITH_BEST_CHOICE: "further", WITHOUT_NETWORK: "cue"}
#: How many of the best methods are shown at once.
SHOWN = 10


@dataclass(frozen=True)
class NetworkBoard:
    """The methods on the networks of one architecture, on one scale.

    Attributes:
        shown: The best methods, vebi, the maps without a network, and marking the whole image.
        rest: The other methods.
    """

    shown: Ranking
    rest: Ranking


def top_of_boards(table: NetworkTable) -> int:
    """Where the scale ends, the same on all boards, in percent."""
    return min(100, ceiling([row.mean + (row.std or 0) for row in table.rows]))


def make_network_board(rows: Sequence[NetworkRow], level: float, top: int) -> NetworkBoard:
    """The methods on the networks of one architecture, those that explain a network numbered from the best.

    Args:
        rows: The rows of the data set and the architecture.
        level: What marking the whole image scores, in percent.
        top: Where the scale ends, in percent; it starts at 0.
    """
    complete = on_all_images(rows)
    explaining = sorted((row for row in complete if row.uses_network), key=lambda row: -row.mean)
    ranks = {row.method: place for place, row in enumerate(explaining, start=1)}
    best = highest({row.method: row.mean for row in complete})
    lines = [_line(row, ranks.get(row.method), row.method in best, top) for row in rows]
    full = rank_rows(lines, level, top)
    return NetworkBoard(
        shown=replace(full, rows=tuple(line for line in full.rows if not _is_folded(line))),
        rest=replace(full, rows=tuple(line for line in full.rows if _is_folded(line))),
    )


def _line(row: NetworkRow, rank: int | None, best: bool, top: int) -> RankingRow:
    return RankingRow(
        title=row.title,
        kind=kind_of(row, KINDS[group_of(row)]),
        value=row.mean,
        text=format_mean_std(row.mean, row.std),
        dot=position(row.mean, top),
        best=best,
        ratio=format_ratio_to_default(row),
        whisker=whisker(row.mean, row.std, top),
        rank=rank,
    )


def _is_folded(row: RankingRow) -> bool:
    """Whether it is neither among the best, nor vebi, nor made without a network."""
    explains = row.kind in (KINDS[WITH_DEFAULTS], KINDS[WITH_BEST_CHOICE])
    return explains and (row.rank is None or row.rank > SHOWN)
