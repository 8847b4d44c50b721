"""Numbers and names of a benchmark as the tables and sentences write them."""

import math
from collections.abc import Mapping, Sequence

from vebi.reports.benchmark_report.network_table import NetworkRow
from vebi.reports.benchmark_report.rows import GRID_POINTING, MAIN_METRIC, OURS, MethodRow
from vebi.reports.html import number


def format_number(value: float | None, digits: int = 1) -> str:
    """A number for a table, empty where there is none."""
    if value is None or math.isnan(value):
        return ""
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def format_mean_std(mean: float | None, std: float | None) -> str:
    """``46.3 ± 3.1``, without a standard deviation where there is none."""
    return " ± ".join(part for part in (format_number(mean), format_number(std)) if part)


def format_published(row: MethodRow) -> str:
    """Mean and standard deviation that the paper prints, empty where it prints none."""
    return format_mean_std(*row.published) if row.published else ""


def format_ratio(row: MethodRow, column: str = MAIN_METRIC) -> str:
    """``1.15 (1.08 to 1.23)`` of the main metric or of grid pointing, ``1.15`` without an interval, empty for vebi."""
    if row.method == OURS:
        return ""
    if column == GRID_POINTING:
        values = row.grid_pointing_ratio or (None, None, None)
    else:
        values = (row.ratio, *(row.ratio_interval or (None, None)))
    ratio, low, high = (format_number(value, 2) for value in values)
    return ratio + (f" ({low} to {high})" if low and high else "")


def format_ratio_to_default(row: NetworkRow) -> str:
    """``0.87 (0.81 to 0.93)``, ``0.87`` without an interval, empty for vebi itself."""
    if row.method == OURS:
        return ""
    ratio, low, high = (format_number(x, 2) for x in (row.ratio_to_default, *(row.ratio_interval or (None, None))))
    return ratio + (f" ({low} to {high})" if low and high else "")


def format_p(p: float | None) -> str:
    """``0.123``, ``< 0.001`` for anything below, empty where there was no test."""
    if p is None or math.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def format_ordinal(count: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``4th``, ``11th``."""
    ending = "th" if count % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{ending}"


def format_count(count: int, noun: str) -> str:
    """``1 image``, ``1 500 images``."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def join_words(words: Sequence[str], limit: int | None = None) -> str:
    """``a, b and c``; the words beyond ``limit`` are counted."""
    shown = list(words[:limit])
    shown += [f"{len(words) - len(shown)} more"] if len(words) > len(shown) else []
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def highest(values: Mapping[str, float | None]) -> set[str]:
    """The names with the highest value, as far as a table shows it."""
    shown = {name: round(value, 1) for name, value in values.items() if value is not None and not math.isnan(value)}
    return {name for name, value in shown.items() if value == max(shown.values())}
