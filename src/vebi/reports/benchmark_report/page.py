"""A benchmark on one page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vebi.files import write_text
from vebi.reports.benchmark_report import wording
from vebi.reports.benchmark_report.examples import Examples, make_strips
from vebi.reports.benchmark_report.findings import findings
from vebi.reports.benchmark_report.glossary import (
    CHANCE,
    NOT_COMPARABLE,
    RATIO_TITLE,
    TRANSFORM,
    WHOLE_IMAGE,
    group_methods,
    method_titles,
)
from vebi.reports.benchmark_report.number_formats import format_number
from vebi.reports.benchmark_report.ranking import KINDS, Ranking, make_board, top_of_scale
from vebi.reports.benchmark_report.result import BenchmarkResult
from vebi.reports.benchmark_report.rows import GRID_POINTING, MAIN_METRIC, OURS, MethodRow, group_by_dataset
from vebi.reports.benchmark_report.tables import make_score_table, make_sensitivity_table
from vebi.reports.html import render_template
from vebi.reports.svg_chart import ceiling, line_chart
from vebi.reports.svg_line import Line


def write_benchmark_page(result: BenchmarkResult, examples: Mapping[str, Examples], out: Path) -> None:
    """Writes the page of a benchmark.

    Args:
        result: What is shown.
        examples: Images with heatmaps, by data set.
        out: The HTML file.
    """
    write_text(out, render_page(result, examples))


def render_page(result: BenchmarkResult, examples: Mapping[str, Examples]) -> str:
    """The page of a benchmark as text, see ``write_benchmark_page``."""
    rows, notes = group_by_dataset(result.rows), result.settings.data
    shown = {dataset: _shown_methods(of_dataset) for dataset, of_dataset in rows.items()}
    return render_template(
        "benchmark_report.html.j2",
        title=wording.heading(result),
        measured=wording.measured(result),
        material=wording.material(result),
        published=wording.has_published(result),
        folds=wording.has_folds(result),
        several=len(rows) > 1,
        not_comparable=NOT_COMPARABLE,
        findings=findings(result),
        caption=wording.caption(result),
        boards=_main_boards(result),
        legend_of_curves=_legend_of_curves(next(iter(shown.values()))),
        charts=_charts(result.curves, shown),
        examples={d: make_strips(examples[d], titles) for d, titles in shown.items() if d in examples},
        scores={d: make_score_table(of_dataset, notes[d].mask_share) for d, of_dataset in rows.items()},
        transform=TRANSFORM,
        transformed=_transformed_boards(result),
        pointing=_pointing_boards(rows),
        mosaics=wording.mosaics(result),
        sensitivity={d: make_sensitivity_table(varied, rows[d]) for d, varied in result.sensitivity.items()},
        sensitivity_caption=wording.sensitivity_caption(result),
        choices=wording.choices(result),
        ratio_title=RATIO_TITLE,
        whole_image=WHOLE_IMAGE,
        kinds=_kinds(result.rows),
        terms=wording.terms(result),
        provenance=wording.provenance(result),
    )


def _kinds(rows: Sequence[MethodRow]) -> dict[str, str]:
    """Kinds of methods beside vebi -> what the key calls them."""
    return {KINDS[group]: group for group in group_methods(rows)}


def _shown_methods(rows: Sequence[MethodRow]) -> dict[str, str]:
    """The methods with curves and example maps, vebi, those of the paper's table and the user's own -> titles."""
    return method_titles([row for row in rows if row.method == OURS or row.in_paper or row.user_defined])


def _main_boards(result: BenchmarkResult) -> dict[str, Ranking]:
    datasets = group_by_dataset(result.rows)
    top = top_of_scale(datasets)
    return {d: make_board(rows, MAIN_METRIC, result.settings.data[d].mask_share, top) for d, rows in datasets.items()}


def _transformed_boards(result: BenchmarkResult) -> dict[str, Ranking]:
    """Boards of the transformed maps, with the scores of the raw maps beside them."""
    datasets = group_by_dataset(result.transformed_rows)
    top = top_of_scale(datasets)
    before: dict[str, dict[str, str]] = {}
    for row in result.rows:
        before.setdefault(row.dataset, {})[row.method] = format_number(row.mean)
    return {
        d: make_board(rows, MAIN_METRIC, result.settings.data[d].mask_share, top, before[d])
        for d, rows in datasets.items()
    }


def _pointing_boards(datasets: Mapping[str, Sequence[MethodRow]]) -> dict[str, Ranking]:
    """Boards of grid pointing, of the data sets with mosaics."""
    return {
        dataset: make_board(rows, GRID_POINTING, CHANCE, 100, reference="chance")
        for dataset, rows in datasets.items()
        if any(row.grid_pointing is not None for row in rows)
    }


def _legend_of_curves(titles: Mapping[str, str]) -> list[tuple[int, str, str]]:
    """Number, title and stroke of each line."""
    return [(k, title, Line(k, ()).stroke) for k, title in enumerate(titles.values(), start=1)]


def _charts(
    curves: Mapping[str, Mapping[str, Sequence[float]]], shown: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """A chart per data set, all on one scale; a method has the same number in all of them."""
    lines = {
        dataset: [Line(k, curves[dataset][method]) for k, method in enumerate(titles, start=1)]
        for dataset, titles in shown.items()
    }
    top = ceiling([value for of_dataset in lines.values() for line in of_dataset for value in line.values], 20)
    return {
        dataset: line_chart(of_dataset, top, f"IoU by threshold on {dataset}: {', '.join(shown[dataset].values())}")
        for dataset, of_dataset in lines.items()
    }
