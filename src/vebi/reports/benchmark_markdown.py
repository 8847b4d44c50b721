"""The tables of a contest as text, to be read as it is or on a forge."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vebi.reports import benchmark_findings, benchmark_text
from vebi.reports.benchmark_text import CHANCE, GRID, P_TITLE, WHOLE, Row

Cells = Sequence[Sequence[str]]


def in_markdown(found: dict[str, Any]) -> str:
    """What was found, as ``write_result`` holds it: its tables, where vebi stands, and how it was made."""
    rows, transformed = (benchmark_text.by_variant(found[form]) for form in ("rows", "transformed_rows"))
    rerun = benchmark_text.is_rerun(found)
    parts = [
        f"# {escaped(benchmark_text.heading(found))}",
        benchmark_text.measured(found),
        *(f"**{escaped(v)}**: {escaped(text)}." for v, text in benchmark_text.material(found).items()),
        "## Where vebi stands",
        *_each(benchmark_findings.findings(found), lambda v, lines: _items(lines)),
        "## The table",
        f"{benchmark_text.caption(found)} Bold: the highest in a column.",
        _main(found, rows, rerun),
        *([benchmark_text.NOT_COMPARABLE] if rerun else []),
        "## Every score",
        f"In percent, of the maps as they are. Bold: the highest in a column. {_mosaics(found)}".rstrip(),
        *_each(rows, lambda v, some: _detail(found, v, some)),
        "## After one transform for all",
        f"{benchmark_text.TRANSFORM} Scores as in the first table.",
        _main(found, transformed, False),
        *_sensitivity(found, rows),
        "## What the figures mean",
        _items([f"{term}: {text}." for term, text in benchmark_text.terms(found)]),
        "## How it was made",
        _items([f"{name}: {text}" for name, text in benchmark_text.made(found)]),
    ]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that stays text in a paragraph or in a cell."""
    return re.sub(r"([\\`*_<>\[\]|&~])", r"\\\1", " ".join(text.split()))


def table(head: Sequence[str], rows: Cells) -> str:
    """A table whose columns stand below each other in plain text, too: the first to the left, others to the right."""
    widths = [max(3, *(len(line[k]) for line in (head, *rows))) for k in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def _each(variants: Mapping[str, Any], told: Callable[[str, Any], str]) -> list[str]:
    """A part for every data set, under its name where there are several."""
    parts = [
        ([f"### {escaped(variant)}"] if len(variants) > 1 else []) + [told(variant, x)]
        for variant, x in variants.items()
    ]
    return sum(parts, [])


def _main(found: Mapping[str, Any], variants: Mapping[str, Sequence[Row]], with_published: bool) -> str:
    """A row a method: for every data set its score, the published one and the ratio."""
    head, reference, cells = ["method"], [f"*{WHOLE}*"], {}
    for variant, rows in variants.items():
        head += [escaped(variant), *(["published"] if with_published else []), "vebi / it"]
        reference += [benchmark_text.figure(_whole(found, variant)), *([""] if with_published else []), ""]
        best = benchmark_text.best({row["method"]: row["mean"] for row in rows})
        highest = benchmark_text.best({row["method"]: row["published"][0] for row in rows if row["published"]})
        for row in rows:
            method = row["method"]
            known = [_bold(benchmark_text.published(row), method in highest)] if with_published else []
            score = _bold(benchmark_text.spread(row["mean"], row["std"]), method in best)
            cells[method] = [*cells.get(method, []), score, *known, benchmark_text.ratio(row)]
    first = next(iter(variants.values()))
    return table(head, [*_grouped(first, lambda row: cells[row["method"]]), reference])


def _detail(found: Mapping[str, Any], variant: str, rows: Sequence[Row]) -> str:
    titles = benchmark_text.scores(rows)
    best = {
        name: benchmark_text.best({row["method"]: benchmark_text.column(row, name) for row in rows}) for name in titles
    }

    def cells(row: Row) -> list[str]:
        shown = [_bold(benchmark_text.figure(benchmark_text.column(row, n)), row["method"] in best[n]) for n in titles]
        return [*shown, benchmark_text.chance(row["p"])]

    covered = benchmark_text.figure(_whole(found, variant))
    reference = [benchmark_text.figure(CHANCE) if name == GRID else covered for name in titles]
    return table(["method", *titles.values(), P_TITLE], [*_grouped(rows, cells), [f"*{WHOLE}*", *reference, ""]])


def _grouped(rows: Sequence[Row], cells: Callable[[Row], list[str]]) -> list[list[str]]:
    """Rows of cells after the method's name: first those of the paper's table, then the others below a line that says
    so."""
    title = {method: escaped(name) for method, name in benchmark_text.names(rows).items()}
    groups = [
        [[title[row["method"]], *cells(row)] for row in rows if row["of_the_seed"] == paper] for paper in (True, False)
    ]
    width = len(cells(rows[0]))
    lines = [["*in the paper’s table 1*", *[""] * width], *groups[0]] if groups[0] else []
    return lines + ([["*further methods*", *[""] * width], *groups[1]] if groups[1] else [])


def _sensitivity(found: Mapping[str, Any], variants: Mapping[str, Sequence[Row]]) -> list[str]:
    if not found["sensitivity"]:
        return []
    parts = [
        "## Other choices",
        f"{benchmark_text.other_choices(found)} A dot stands where a choice does not touch a method; "
        "bold is what passes vebi, ▼ a vebi that is passed; what a choice does not touch is as in the first row.",
    ]
    parts += _each(found["sensitivity"], lambda v, varied: _choices(varied, variants[v]))
    return [*parts, _items([f"{name}: {text}." for name, text in benchmark_text.choices(found)])]


def _choices(varied: Sequence[dict[str, Any]], rows: Sequence[Row]) -> str:
    title = {method: name for method, name in benchmark_text.names(rows).items() if method in varied[0]["auc_iou"]}
    lines = []
    for row in varied:
        above = benchmark_findings.above_ours(row, varied[0])
        values = [_bold(benchmark_findings.choice(row, m, above), m in above) or "·" for m in title]
        lines.append([escaped(f"{row['choice']}: {row['setting']}" if row["setting"] else row["choice"]), *values])
    return table(["choice", *map(escaped, title.values())], lines)


def _mosaics(found: Mapping[str, Any]) -> str:
    told = benchmark_text.mosaics(found)
    return f"Grid pointing: {escaped(told)}" if told else ""


def _items(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)


def _bold(text: str, strong: bool) -> str:
    return f"**{text}**" if strong and text else text


def _whole(found: Mapping[str, Any], variant: str) -> float:
    return found["settings"]["data"][variant]["whole_picture"]
