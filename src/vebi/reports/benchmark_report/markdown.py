"""The tables of a benchmark as Markdown, to be read as it is or on a forge."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from vebi.reports.benchmark_report import wording
from vebi.reports.benchmark_report.findings import above_ours, findings, format_sensitivity
from vebi.reports.benchmark_report.glossary import (
    CHANCE,
    NOT_COMPARABLE,
    P_TITLE,
    RATIO_TITLE,
    TRANSFORM,
    WHOLE_IMAGE,
    group_methods,
    method_titles,
    score_titles,
)
from vebi.reports.benchmark_report.number_formats import (
    format_mean_std,
    format_number,
    format_p,
    format_published,
    format_ratio,
    highest,
)
from vebi.reports.benchmark_report.result import BenchmarkResult
from vebi.reports.benchmark_report.rows import GRID_POINTING, MethodRow, SensitivityRow, group_by_dataset
from vebi.reports.markdown import bold, bullet_list, escape_markdown, markdown_table

T = TypeVar("T")


def render_markdown(result: BenchmarkResult) -> str:
    """The tables of a benchmark, where vebi stands, and how it was made."""
    rows, transformed = group_by_dataset(result.rows), group_by_dataset(result.transformed_rows)
    published = wording.has_published(result)
    mosaics = wording.mosaics(result)
    parts = [
        f"# {escape_markdown(wording.heading(result))}",
        wording.measured(result),
        *(f"**{escape_markdown(d)}**: {escape_markdown(text)}." for d, text in wording.material(result).items()),
        "## Where vebi stands",
        *_for_each(findings(result), lambda _, lines: bullet_list(lines)),
        "## The table",
        f"{wording.caption(result)} Bold: the highest in a column.",
        _main_table(result, rows, published),
        *([NOT_COMPARABLE] if published else []),
        "## Every score",
        "In percent, of the maps as they are. Bold: the highest in a column."
        + (f" Grid pointing: {escape_markdown(mosaics)}" if mosaics else ""),
        *_for_each(rows, lambda d, of_dataset: _score_table(of_dataset, _mask_share(result, d))),
        "## After one transform for all maps",
        f"{TRANSFORM} Scores as in the first table.",
        _main_table(result, transformed, False),
        *_sensitivity_section(result, rows),
        "## What the columns mean",
        bullet_list([f"{term}: {text}." for term, text in wording.terms(result)]),
        "## How it was made",
        bullet_list([f"{name}: {text}" for name, text in wording.provenance(result)]),
    ]
    return "\n\n".join(parts) + "\n"


def _for_each(datasets: Mapping[str, T], render: Callable[[str, T], str]) -> list[str]:
    """A part for every data set, under its name where there are several."""
    parts = []
    for dataset, content in datasets.items():
        parts += [f"### {escape_markdown(dataset)}"] if len(datasets) > 1 else []
        parts.append(render(dataset, content))
    return parts


def _main_table(result: BenchmarkResult, datasets: Mapping[str, Sequence[MethodRow]], published: bool) -> str:
    """A row per method: for every data set its score, the published one and the ratio."""
    head, reference = ["method"], [f"*{WHOLE_IMAGE}*"]
    cells: dict[str, list[str]] = {}
    for dataset, rows in datasets.items():
        head += [escape_markdown(dataset), *(["published"] if published else []), RATIO_TITLE]
        reference += [format_number(_mask_share(result, dataset)), *([""] if published else []), ""]
        best = highest({row.method: row.mean for row in rows})
        best_published = highest({row.method: row.published[0] for row in rows if row.published})
        for row in rows:
            score = bold(format_mean_std(row.mean, row.std), row.method in best)
            beside = [bold(format_published(row), row.method in best_published)] if published else []
            cells[row.method] = [*cells.get(row.method, []), score, *beside, format_ratio(row)]
    first = next(iter(datasets.values()))
    return markdown_table(head, [*_grouped(first, lambda row: cells[row.method]), reference])


def _score_table(rows: Sequence[MethodRow], mask_share: float) -> str:
    """A row per method with every score of one data set."""
    titles = score_titles(rows)
    best = {column: highest({row.method: row.score(column) for row in rows}) for column in titles}

    def cells(row: MethodRow) -> list[str]:
        scores = [bold(format_number(row.score(column)), row.method in best[column]) for column in titles]
        return [*scores, format_p(row.p)]

    reference = [format_number(CHANCE if column == GRID_POINTING else mask_share) for column in titles]
    return markdown_table(
        ["method", *titles.values(), P_TITLE], [*_grouped(rows, cells), [f"*{WHOLE_IMAGE}*", *reference, ""]]
    )


def _grouped(rows: Sequence[MethodRow], cells: Callable[[MethodRow], list[str]]) -> list[list[str]]:
    """Cells behind the titles of the methods, each group of them below a line that names it."""
    titles = {method: escape_markdown(title) for method, title in method_titles(rows).items()}
    width = len(cells(rows[0]))
    lines = []
    for group, members in group_methods(rows).items():
        lines += [[f"*{group}*", *[""] * width], *([titles[row.method], *cells(row)] for row in members)]
    return lines


def _sensitivity_section(result: BenchmarkResult, datasets: Mapping[str, Sequence[MethodRow]]) -> list[str]:
    if not result.sensitivity:
        return []
    return [
        "## Sensitivity to single choices",
        f"{wording.sensitivity_caption(result)} A dot stands where a choice does not affect a method; bold is "
        "what passes vebi, ▼ a vebi that is passed; what a choice does not affect is as in the first row.",
        *_for_each(result.sensitivity, lambda d, rows: _sensitivity_table(rows, method_titles(datasets[d]))),
        bullet_list([f"{name}: {text}." for name, text in wording.choices(result)]),
    ]


def _sensitivity_table(rows: Sequence[SensitivityRow], titles: Mapping[str, str]) -> str:
    shown = {method: title for method, title in titles.items() if method in rows[0].auc_iou}
    lines = []
    for row in rows:
        above = above_ours(row, rows[0])
        scores = [bold(format_sensitivity(row, method, above), method in above) or "·" for method in shown]
        lines.append([escape_markdown(f"{row.choice}: {row.setting}" if row.setting else row.choice), *scores])
    return markdown_table(["choice", *map(escape_markdown, shown.values())], lines)


def _mask_share(result: BenchmarkResult, dataset: str) -> float:
    return result.settings.data[dataset].mask_share
