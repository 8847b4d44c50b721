"""The table of many networks as Markdown."""

from collections.abc import Callable, Sequence

from vebi.reports.benchmark_report.network_table import Cell, NetworkRow, NetworkTable
from vebi.reports.benchmark_report.network_wording import (
    TERMS,
    compared,
    material,
    standing,
    table_caption,
    untouched_note,
)
from vebi.reports.benchmark_report.number_formats import format_mean_std, format_number, highest
from vebi.reports.markdown import bold, bullet_list, escape_markdown, markdown_table

_SCORES: tuple[tuple[str, Callable[[NetworkRow], float | None]], ...] = (
    ("grid pointing", lambda row: row.grid_pointing),
    ("deletion, blur", lambda row: row.curves["deletion_blur"]),
    ("deletion, grey", lambda row: row.curves["deletion_grey"]),
    ("insertion, blur", lambda row: row.curves["insertion_blur"]),
    ("insertion, grey", lambda row: row.curves["insertion_grey"]),
    ("sparseness", lambda row: row.sparseness),
    ("empty", lambda row: row.empty),
)
_LOWER_IS_BETTER = ("deletion, blur", "deletion, grey")
_WITHOUT_A_BEST = ("sparseness", "empty")


def render_network_markdown(table: NetworkTable) -> str:
    """The tables of many networks, where methods stand, and how they were made."""
    variants = list(dict.fromkeys((cell.variant, cell.scene) for cell in table.cells))
    parts = ["# Heatmaps on flowers in a meadow", compared(table)]
    for variant, scene in variants:
        cells = [cell for cell in table.cells if (cell.variant, cell.scene) == (variant, scene)]
        parts += [f"## {variant}, {scene}", bullet_list([material(cell) for cell in cells]), _area_table(table, cells)]
        parts += [table_caption(table), bullet_list([standing(table, cell) for cell in cells])]
        for cell in cells:
            parts += [f"### Every other score: {variant}, {cell.architecture}", _score_table(table.rows_of(cell))]
    if any(cell.checked for cell in table.cells):
        parts += ["## Does a map depend on what was learned?", untouched_note(table)]
        for cell in (cell for cell in table.cells if cell.checked):
            parts += [f"### {cell.variant}, {cell.architecture}", _sanity_table(table.rows_of(cell))]
    parts += ["## What the columns mean", bullet_list([f"{term}: {text}." for term, text in TERMS])]
    parts += ["## How it was made", bullet_list(_provenance(table))]
    return "\n\n".join(parts) + "\n"


def _area_table(table: NetworkTable, cells: Sequence[Cell]) -> str:
    """A row per method: for every architecture the area under the IoU curve and its ratio to vebi's."""
    head, columns = ["method"], [{row.method: row for row in table.rows_of(cell)} for cell in cells]
    for cell in cells:
        head += [cell.architecture, "method / vebi", "p"]
    best = [highest({name: row.mean for name, row in rows.items()}) for rows in columns]
    lines = []
    for uses_network, group in ((True, ""), (False, "*without a network*")):
        names = [name for name, row in columns[0].items() if row.uses_network == uses_network]
        lines += [[group, *[""] * (len(head) - 1)]] if group and names else []
        for name in names:
            line = [escape_markdown(columns[0][name].title)]
            for rows, highest_names in zip(columns, best, strict=True):
                line += _area_cells(rows.get(name), name in highest_names)
            lines.append(line)
    share = [text for cell in cells for text in (format_number(cell.mask_share), "", "")]
    return markdown_table(head, [*lines, ["*marking the whole image*", *share]])


def _area_cells(row: NetworkRow | None, is_best: bool) -> list[str]:
    if row is None:
        return ["", "", ""]
    ratio = "" if row.p is None else format_number(row.ratio_to_default, 2)
    if ratio and row.ratio_interval:
        ratio += " ({} to {})".format(*(format_number(end, 2) for end in row.ratio_interval))
    p = "" if row.p is None or row.ratio_interval is None else f"{row.p:.3f}"
    return [bold(format_mean_std(row.mean, row.std), is_best), ratio, p]


def _score_table(rows: Sequence[NetworkRow]) -> str:
    best = {}
    for title, score in _SCORES:
        sign = -1 if title in _LOWER_IS_BETTER else 1
        values = {row.method: None if score(row) is None else sign * (score(row) or 0.0) for row in rows}
        best[title] = set() if title in _WITHOUT_A_BEST else highest(values)
    lines = [
        [
            escape_markdown(row.title) if row.uses_network else f"*{escape_markdown(row.title)}*",
            *(bold(format_number(score(row)), row.method in best[title]) for title, score in _SCORES),
            str(sum(row.images)),
        ]
        for row in rows
    ]
    return markdown_table(["method", *(title for title, _ in _SCORES), "images"], lines)


def _sanity_table(rows: Sequence[NetworkRow]) -> str:
    """Rank correlation under every condition, and the share of empty maps beside it where there are any."""
    checked = [row for row in rows if row.sanity]
    conditions = list(dict.fromkeys(name for row in checked for name in _in_order(row.sanity)))
    lines = [
        [escape_markdown(row.title), *(_sanity_cell(row, condition) for condition in conditions)] for row in checked
    ]
    return markdown_table(["method", *conditions], lines)


def _in_order(conditions: object) -> list[str]:
    known = ("1", "2", "3", "all", "independent 1", "independent 2", "independent 3")
    refits = ("1 refit", "2 refit", "3 refit", "all refit", "labels")
    assert isinstance(conditions, dict)
    return [name for name in (*known, *refits) if name in conditions]


def _sanity_cell(row: NetworkRow, condition: str) -> str:
    """``.34 / .21``: rank correlation / structural similarity, and how many maps are empty where any is."""
    scores = row.sanity.get(condition, {})
    values = [format_number(scores.get(name), 2) or "–" for name in ("rank_correlation", "structural_similarity")]
    empty = scores.get("empty") or 0.0
    return " / ".join(values) + (f" ({100 * empty:.0f} % empty)" if empty else "")


def _provenance(table: NetworkTable) -> list[str]:
    items = [] if table.command is None else [f"command: {table.command}"]
    items += [f"{name}: {value}" for name, value in table.plan.items()]
    for cell in table.cells:
        networks = ", ".join(
            f"fold {fold} seed {seed} {model[:12]} ({accuracy:.1f} %)"
            for fold, seed, model, accuracy in zip(cell.folds, cell.seeds, cell.models, cell.accuracies, strict=True)
        )
        items.append(f"{cell.variant}, {cell.architecture}: images sha256 {cell.data_sha256[:12]}; networks {networks}")
    for method in dict.fromkeys(row.method for row in table.rows):
        rows = [row for row in table.rows if row.method == method]
        made = list(dict.fromkeys(text for row in rows for text in row.described))
        items.append(f"method {method}: {'; '.join(made)}")
    items.append(f"versions: {', '.join(f'{name} {version}' for name, version in table.versions.items())}")
    return [*items, f"threads of a training: {table.threads}", f"created: {table.created}"]
