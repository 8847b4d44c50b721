"""The table of many networks as Markdown."""

from collections.abc import Mapping, Sequence

from vebi.reports.benchmark_report.network_standing import cues_by_other_scores, standing
from vebi.reports.benchmark_report.network_table import Cell, NetworkRow, NetworkTable, on_all_images
from vebi.reports.benchmark_report.network_tables import GROUPS, group_of, make_network_scores, make_sanity_table
from vebi.reports.benchmark_report.network_terms import RATIO_TITLE, TERMS
from vebi.reports.benchmark_report.network_wording import (
    HEADING,
    compared,
    made,
    material,
    provenance,
    scores_caption,
    table_caption,
    untouched_note,
)
from vebi.reports.benchmark_report.number_formats import (
    format_mean_std,
    format_number,
    format_p,
    format_ratio_to_default,
    highest,
)
from vebi.reports.benchmark_report.tables import ScoreTable
from vebi.reports.markdown import bold, bullet_list, escape_markdown, markdown_table


def render_network_markdown(table: NetworkTable) -> str:
    """The tables of many networks, where methods stand, and how they were made."""
    variants = list(dict.fromkeys((cell.variant, cell.scene) for cell in table.cells))
    parts = [f"# {HEADING}", compared(table)]
    for variant, scene in variants:
        cells = [cell for cell in table.cells if (cell.variant, cell.scene) == (variant, scene)]
        networks = [f"{cell.architecture}: {material(cell)}" for cell in cells]
        standings = [f"{cell.architecture}: {standing(table, cell)}" for cell in cells]
        others = [f"{cell.architecture}: {text}." for cell in cells if (text := cues_by_other_scores(table, cell))]
        parts += [f"## {variant}, {scene}", bullet_list(networks), _area_table(table, cells)]
        parts += [table_caption(table), bullet_list(standings)]
        if others:
            parts += ["By the other scores the best map without a network reaches", bullet_list(others)]
        parts += [scores_caption(table)]
        for cell in cells:
            scores = make_network_scores(table.rows_of(cell))
            parts += [f"### Every other score: {variant}, {cell.architecture}", _wide_table(scores)]
    if any(cell.checked for cell in table.cells):
        parts += ["## Does a map depend on what was learned?", untouched_note(table)]
        for cell in (cell for cell in table.cells if cell.checked):
            sanity = make_sanity_table(table.rows_of(cell))
            parts += [f"### {cell.variant}, {cell.architecture}", _wide_table(sanity)]
    parts += ["## What the columns mean", bullet_list([f"{term}: {text}." for term, text in TERMS])]
    methods = [f"method {name}: {text}" for name, text in made(table)]
    parts += ["## How it was made", bullet_list([f"{name}: {text}" for name, text in provenance(table)] + methods)]
    return "\n\n".join(parts) + "\n"


def _area_table(table: NetworkTable, cells: Sequence[Cell]) -> str:
    """A row per method: for every architecture the area under the IoU curve and its ratio to vebi's."""
    head, columns = ["method"], [{row.method: row for row in table.rows_of(cell)} for cell in cells]
    for cell in cells:
        head += [cell.architecture, RATIO_TITLE, "p"]
    best = [highest({row.method: row.mean for row in on_all_images(table.rows_of(cell))}) for cell in cells]
    lines, complete = [], {row.method for row in on_all_images(list(columns[0].values()))}
    for group in GROUPS:
        members = [row for row in columns[0].values() if group_of(row) == group]
        names = sorted((row.method for row in members), key=lambda name: -_mean_area(columns, name))
        lines += [[f"*{group}*", *[""] * (len(head) - 1)]] if names else []
        for name in names:
            fewer = "" if name in complete else ", on fewer images"
            line = [escape_markdown(columns[0][name].title) + fewer]
            for rows, highest_names in zip(columns, best, strict=True):
                line += _area_cells(rows.get(name), name in highest_names)
            lines.append(line)
    share = [text for cell in cells for text in (format_number(cell.mask_share), "", "")]
    return markdown_table(head, [*lines, ["*marking the whole image*", *share]])


def _mean_area(columns: Sequence[Mapping[str, NetworkRow]], method: str) -> float:
    """The area of a method, the mean over the architectures that it was scored on."""
    areas = [rows[method].mean for rows in columns if method in rows]
    return sum(areas) / len(areas)


def _area_cells(row: NetworkRow | None, is_best: bool) -> list[str]:
    if row is None:
        return ["", "", ""]
    p = "" if row.ratio_interval is None else format_p(row.p)
    return [bold(format_mean_std(row.mean, row.std), is_best), format_ratio_to_default(row), p]


def _wide_table(table: ScoreTable) -> str:
    lines = []
    for group, members in table.groups:
        lines.append([f"*{group}*", *[""] * len(table.titles)])
        lines += [[escape_markdown(line.title), *(bold(text, best) for text, best in line.cells)] for line in members]
    return markdown_table(["method", *table.titles], lines)
