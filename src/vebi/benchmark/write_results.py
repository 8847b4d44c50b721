"""Scores -> the result of a benchmark, written as data, as Markdown and as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vebi import provenance
from vebi.benchmark.make_rows import make_curves, make_rows
from vebi.benchmark.methods import Method
from vebi.benchmark.runner import FoldScores, code_of_scores
from vebi.files import write_json, write_text
from vebi.metrics.iou import STEPS
from vebi.reports.benchmark_report.examples import Examples
from vebi.reports.benchmark_report.markdown import render_markdown
from vebi.reports.benchmark_report.page import write_benchmark_page
from vebi.reports.benchmark_report.result import BenchmarkResult, BenchmarkSettings, DatasetNote, NetworkNote
from vebi.reports.benchmark_report.rows import MethodRow, SensitivityRow


@dataclass(frozen=True, eq=False)
class DatasetResult:
    """What was measured on one data set.

    Attributes:
        methods: The methods in the order of the tables.
        folds: The scores of each fold.
        examples: Images with the maps of all methods.
        sensitivity: The sensitivity table, empty where there is none.
        note: Where the scores come from.
        published: Published mean and standard deviation by method, in percent.
    """

    methods: Sequence[Method]
    folds: Sequence[FoldScores]
    examples: Examples
    sensitivity: Sequence[SensitivityRow]
    note: DatasetNote
    published: Mapping[str, tuple[float, float]] | None = None


def make_note(folds: Sequence[FoldScores], data_sha256: str, networks: Sequence[NetworkNote]) -> DatasetNote:
    """A note that counts the images and mosaics of the folds.

    Args:
        folds: The scores of each fold.
        data_sha256: Hash of the images.
        networks: The network of each fold.
    """
    return DatasetNote(
        data_sha256=data_sha256,
        networks=tuple(networks),
        folds=len(folds),
        images=tuple(fold.images for fold in folds),
        mosaics=tuple(fold.mosaics for fold in folds),
        full_size=all(fold.full_size for fold in folds),
        correct=tuple(fold.correct for fold in folds),
        mask_share=float(np.mean([100 * fold.mask_share for fold in folds])),
    )


def make_result(
    datasets: Mapping[str, DatasetResult],
    plan: Mapping[str, int | float | str | None],
    command: str | None = None,
) -> BenchmarkResult:
    """The tables of all data sets.

    Args:
        datasets: What was measured, by name of the data set.
        plan: Sizes, seed and options by name.
        command: The command that repeats the benchmark, None where there is none.
    """
    return BenchmarkResult(
        rows=_rows(datasets, "raw"),
        transformed_rows=_rows(datasets, "transformed"),
        curves={name: make_curves(dataset.folds, dataset.methods, "raw") for name, dataset in datasets.items()},
        sensitivity={name: tuple(dataset.sensitivity) for name, dataset in datasets.items() if dataset.sensitivity},
        settings=BenchmarkSettings(
            plan=plan,
            thresholds=STEPS,
            data={name: dataset.note for name, dataset in datasets.items()},
            methods=_described(datasets),
            versions=provenance.versions(),
            code_sha256=code_of_scores(),
            created=provenance.now(),
            inference="networks" if all(len(dataset.folds) > 1 for dataset in datasets.values()) else "images",
            command=command,
        ),
    )


def write_result(result: BenchmarkResult, examples: Mapping[str, Examples], out: Path, name: str) -> None:
    """Writes ``NAME.json``, ``NAME.md`` and ``report.html`` into a folder.

    Args:
        result: The tables.
        examples: Images with the maps of all methods, by data set.
        out: The folder.
        name: Name of the files without their suffix.
    """
    write_json(out / f"{name}.json", result.to_dict())
    write_text(out / f"{name}.md", render_markdown(result))
    write_benchmark_page(result, examples, out / "report.html")


def _described(datasets: Mapping[str, DatasetResult]) -> dict[str, str]:
    """How each method was made, where that differs all ways."""
    ways: dict[str, list[str]] = {}
    for fold in (fold for dataset in datasets.values() for fold in dataset.folds):
        for method, way in fold.described.items():
            ways.setdefault(method, []).append(way)
    return {method: "; ".join(dict.fromkeys(of_method)) for method, of_method in ways.items()}


def _rows(datasets: Mapping[str, DatasetResult], form: str) -> tuple[MethodRow, ...]:
    return tuple(
        row
        for name, dataset in datasets.items()
        for row in make_rows(name, dataset.folds, dataset.methods, form, dataset.published)
    )
