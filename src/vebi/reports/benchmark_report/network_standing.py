"""Which methods are ahead on the networks of one architecture, in sentences."""

from collections.abc import Sequence

from vebi.reports.benchmark_report.network_table import Cell, NetworkRow, NetworkTable, on_all_images
from vebi.reports.benchmark_report.network_tables import MASK_SCORES, score_of
from vebi.reports.benchmark_report.number_formats import format_number, join_words
from vebi.reports.benchmark_report.rows import GRID_POINTING, OURS


def best_of(rows: Sequence[NetworkRow], *, uses_network: bool) -> NetworkRow:
    """The row with the largest area, of those on all images with or without a network; of equal ones the default."""
    candidates = [row for row in on_all_images(rows) if row.uses_network == uses_network]
    return max(candidates, key=lambda row: (row.mean, not row.best_choice))


def _name(row: NetworkRow) -> str:
    """The title of a row inside a sentence."""
    return row.title.replace(", best choice", " (best choice)")


def standing(table: NetworkTable, cell: Cell) -> str:
    """Which method is best, how far an image alone gets, and where vebi stands."""
    rows = table.rows_of(cell)
    cues = [row for row in rows if not row.uses_network]
    cue, best = best_of(rows, uses_network=False), best_of(rows, uses_network=True)
    ours = next(row for row in rows if row.method == OURS)
    share = cue.mean / best.mean
    verdict = "at most half of it" if share <= 0.5 else "more than half of it"
    above = sum(row.mean > ours.mean for row in cues)
    return (
        f"the highest area on all images is that of {_name(best)}, {format_number(best.mean)}{_level(rows, best)}"
        f"{_slow_and_better(rows, best)}. Without a network {cue.title} reaches {format_number(cue.mean)}, "
        f"{100 * share:.0f} % of that ({verdict}). vebi has {format_number(ours.mean)}, and "
        f"{above or 'none'} of {len(cues)} maps without a network {'are' if above > 1 else 'is'} above it"
        f"{_ahead_and_behind(rows)}."
    )


def _level(rows: Sequence[NetworkRow], best: NetworkRow) -> str:
    """The methods that ``best`` is not ahead of on every network; its own other row is none."""
    rivals = [row for row in on_all_images(rows) if row.uses_network and row.form_of != best.form_of]
    level = [row for row in rivals if any(a <= b for a, b in zip(best.auc_iou, row.auc_iou, strict=True))]
    names = list(dict.fromkeys(_name(row) for row in sorted(level, key=lambda row: -row.mean)))
    return f"; not ahead on every network of {join_words(names, 3)}" if names else ""


def _slow_and_better(rows: Sequence[NetworkRow], best: NetworkRow) -> str:
    """What slow methods have on the images that all have, where that is more."""
    complete = {row.method for row in on_all_images(rows)}
    slow = [row for row in rows if row.method not in complete and row.shared_mean > best.shared_mean]
    if not slow:
        return ""
    areas = [f"{_name(row)} {format_number(row.shared_mean)}" for row in sorted(slow, key=lambda r: -r.shared_mean)]
    own = format_number(best.shared_mean)
    return f"; on the {best.shared_images} images that every method has it has {own}, {join_words(areas)}"


def _ahead_and_behind(rows: Sequence[NetworkRow]) -> str:
    """How many other methods are ahead of vebi and behind, each by its better row."""
    better: dict[str, NetworkRow] = {}
    for row in rows:
        if row.uses_network and row.is_rival and row.ratio_interval:
            other = better.setdefault(row.form_of, row)
            better[row.form_of] = max(other, row, key=lambda one: one.ratio_to_default)
    intervals = [row.ratio_interval for row in better.values() if row.ratio_interval]
    if not intervals:
        return ""
    ahead, behind = sum(low > 1 for low, _ in intervals), sum(high < 1 for _, high in intervals)
    return (
        f"; of {len(intervals)} other methods, each by its better row, {ahead} are ahead of it and {behind} behind, "
        "the interval of the ratio leaving out 1"
    )


def cues_by_other_scores(table: NetworkTable, cell: Cell) -> str:
    """How far an image alone gets by the other scores; empty where there are none."""
    rows, parts = on_all_images(table.rows_of(cell)), []
    for name, title in MASK_SCORES.items():
        if name == GRID_POINTING:
            continue
        scores = {row.method: score_of(row, name) for row in rows}
        cue, best = (
            max((row for row in rows if row.uses_network == uses), key=lambda row: scores[row.method] or 0)
            for uses in (False, True)
        )
        own, highest = scores[cue.method], scores[best.method]
        if own and highest:
            parts.append(f"{title} {100 * own / highest:.0f} % ({cue.title}; {_name(best)} {format_number(highest)})")
    return f"of the best method’s {join_words(parts)}" if parts else ""
