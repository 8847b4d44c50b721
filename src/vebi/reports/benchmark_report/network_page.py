"""The table of many networks on one page."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from vebi.files import write_text
from vebi.reports.benchmark_report import network_wording as wording
from vebi.reports.benchmark_report.glossary import WHOLE_IMAGE
from vebi.reports.benchmark_report.network_board import KINDS, make_network_board, top_of_boards
from vebi.reports.benchmark_report.network_standing import cues_by_other_scores, standing
from vebi.reports.benchmark_report.network_table import Cell, NetworkTable
from vebi.reports.benchmark_report.network_tables import GROUPS, group_of, make_network_scores, make_sanity_table
from vebi.reports.benchmark_report.network_terms import RATIO_TITLE, TERMS
from vebi.reports.html import render_template

T = TypeVar("T")


def write_network_page(table: NetworkTable, out: Path) -> None:
    """Writes the page of many networks.

    Args:
        table: What is shown.
        out: The HTML file.
    """
    write_text(out, render_network_page(table))


def render_network_page(table: NetworkTable) -> str:
    """The page of many networks as text, see ``write_network_page``."""
    top = top_of_boards(table)
    present = {group_of(row) for row in table.rows}
    checked = [cell for cell in table.cells if cell.checked]
    return render_template(
        "network_report.html.j2",
        title=wording.HEADING,
        compared=wording.compared(table),
        material=_by_dataset(table.cells, wording.material),
        standing=_by_dataset(table.cells, lambda cell: standing(table, cell)),
        others=_by_dataset(table.cells, lambda cell: cues_by_other_scores(table, cell)),
        caption=wording.table_caption(table),
        scores_caption=wording.scores_caption(table),
        boards=_by_dataset(table.cells, lambda cell: make_network_board(table.rows_of(cell), cell.mask_share, top)),
        scores=_by_dataset(table.cells, lambda cell: make_network_scores(table.rows_of(cell))),
        sanity=_by_dataset(checked, lambda cell: make_sanity_table(table.rows_of(cell))),
        sanity_note=wording.untouched_note(table),
        kinds={KINDS[group]: group for group in GROUPS if group in present},
        whole_image=WHOLE_IMAGE,
        ratio_title=RATIO_TITLE,
        terms=TERMS,
        provenance=wording.provenance(table),
        methods=wording.made(table),
    )


def _by_dataset(cells: Sequence[Cell], make: Callable[[Cell], T]) -> dict[str, dict[str, T]]:
    """By data set and architecture what is made of their networks."""
    made: dict[str, dict[str, T]] = {}
    for cell in cells:
        made.setdefault(f"{cell.variant}, {cell.scene}", {})[cell.architecture] = make(cell)
    return made
