"""Where vebi stands among the methods of a benchmark, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from vebi.reports.benchmark_text import (
    CHANCE,
    GRID,
    MAIN,
    NAMED,
    OURS,
    Row,
    by_variant,
    column,
    figure,
    listed,
    names,
    scores,
)


def findings(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """Data set -> where vebi stands, with everything that it is not first in."""
    transformed = by_variant(found["transformed_rows"])
    told = {}
    for variant, rows in by_variant(found["rows"]).items():
        title = names(rows)
        lines = [
            _standing(rows, title),
            f"After one transform for all maps {_standing(transformed[variant], title)}",
            *_other_scores(rows, title),
            *_other_choices(found["sensitivity"].get(variant, []), title),
        ]
        told[variant] = lines
    return told


def above_ours(row: Row, reference: Row) -> dict[str, float]:
    """Of a row of other choices the methods that pass vebi, the highest first; what the choice does not touch is as in
    ``reference``, the first row."""
    values = reference["auc_iou"] | row["auc_iou"]
    return dict(sorted(((m, v) for m, v in values.items() if v > values[OURS]), key=lambda pair: -pair[1]))


def choice(row: Row, method: str, above: Mapping[str, float]) -> str:
    """A method's value in a row of other choices, empty where the choice does not touch it; vebi's with ▼ where others
    are above it."""
    text = figure(row["auc_iou"].get(method))
    return f"{text} ▼" if text and method == OURS and above else text


def _standing(rows: Sequence[Row], title: Mapping[str, str]) -> str:
    values = {row["method"]: row["mean"] for row in rows}
    above = _above(values)
    others = sorted((m for m in values if m != OURS), key=lambda m: -values[m])
    if above:
        place = len(above) + 1
        behind = listed([f"{title[m]} ({figure(values[m])})" for m in above], NAMED)
        text = f"vebi has {figure(values[OURS])} and comes {_ordinal(place)} of {len(rows)} methods, behind {behind}."
    elif others:
        second = others[0]
        text = f"vebi has the highest score of {len(rows)} methods, {figure(values[OURS])}; "
        text += f"next comes {title[second]} with {figure(values[second])}."
    else:
        text = f"vebi has {figure(values[OURS])}."
    others = [row for row in rows if row["method"] != OURS]
    level = [title[row["method"]] for row in others if row["ratio_interval"][0] <= 1 <= row["ratio_interval"][1]]
    if level:
        text += f" The interval of the ratio holds 1 for {listed(level)}: these pictures do not tell which is ahead."
    return text


def _other_scores(rows: Sequence[Row], title: Mapping[str, str]) -> list[str]:
    lines, first = [], []
    for name, score in scores(rows).items():
        if name == MAIN:
            continue
        values = {row["method"]: column(row, name) for row in rows}
        above = _above(values)
        if not above:
            first.append(score)
            continue
        ahead = listed([f"{title[m]} ({figure(values[m])})" for m in above], NAMED)
        by = f"By {score}" + (f" (chance {CHANCE:.0f})" if name == GRID else "")
        lines.append(f"{by}, {ahead} {'is' if len(above) == 1 else 'are'} ahead of vebi ({figure(values[OURS])}).")
    if first:
        lines.insert(0, f"By {listed(first)} no method is ahead of vebi.")
    return lines


def _other_choices(rows: Sequence[Row], title: Mapping[str, str]) -> list[str]:
    passed = []
    for row in rows:
        above = above_ours(row, rows[0])
        if above:
            ours = figure(row["auc_iou"].get(OURS, rows[0]["auc_iou"][OURS]))
            which = listed([f"{title.get(m, m)} ({figure(v)})" for m, v in above.items()], NAMED)
            change = ": ".join(part for part in (row["choice"], row["setting"]) if part)
            passed.append(f"{which} against vebi’s {ours} ({change})")
    return [f"Where one choice is made differently, others are ahead: {'; '.join(passed)}."] if passed else []


def _above(values: Mapping[str, float | None]) -> list[str]:
    """The methods with a higher value than vebi, the highest first."""
    higher = [m for m, v in values.items() if v is not None and v > values[OURS]]
    return sorted(higher, key=lambda m: -values[m])


def _ordinal(place: int) -> str:
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
