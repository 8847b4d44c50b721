"""The table as data, as text and as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vebi import provenance
from vebi.benchmark.methods import Method
from vebi.benchmark.rows import make_curves, make_rows
from vebi.benchmark.runner import Contest
from vebi.benchmark.scoring import FORMS
from vebi.files import whole, write_json
from vebi.metrics.iou import STEPS
from vebi.reports.benchmark_markdown import in_markdown
from vebi.reports.benchmark_page import Examples, write_contest


@dataclass(frozen=True)
class Part:
    """What was found on one data set: a contest a fold, pictures to look at, the sensitivity table, where it all comes
    from, and published figures (mean and deviation by method) to stand beside it."""

    folds: list[Contest]
    examples: Examples
    sensitivity: list[dict[str, Any]]
    note: dict[str, Any]
    published: Mapping[str, Sequence[float]] | None = None


def write_result(
    out: Path, name: str, parts: Mapping[str, Part], methods: Sequence[Method], settings: dict[str, Any]
) -> dict[str, Any]:
    """Writes ``NAME.json``, ``NAME.md`` and ``report.html`` into ``out`` and returns the contents of the first."""
    rows = {
        form: [r for v, p in parts.items() for r in make_rows(v, p.folds, methods, form, p.published)] for form in FORMS
    }
    found = {
        "rows": rows["raw"],
        "transformed_rows": rows["transformed"],
        "curves": {v: make_curves(p.folds, methods, "raw") for v, p in parts.items()},
        "sensitivity": {v: p.sensitivity for v, p in parts.items() if p.sensitivity},
        "settings": settings
        | {
            "thresholds": STEPS,
            "data": {v: p.note | _counts(p.folds) for v, p in parts.items()},
            "methods": next(iter(parts.values())).folds[0].made,
            "versions": provenance.versions(),
            "code_sha256": provenance.source(),
            "created": provenance.now(),
        },
    }
    write_json(out / f"{name}.json", found)
    with whole(out / f"{name}.md") as partial:
        partial.write_text(in_markdown(found), encoding="utf-8")
    write_contest(found, {v: p.examples for v, p in parts.items()}, out / "report.html")
    return found


def _counts(folds: Sequence[Contest]) -> dict[str, Any]:
    return {
        "folds": len(folds),
        "pictures": [fold.pictures for fold in folds],
        "mosaics": [fold.mosaics for fold in folds],
        "mosaics_of": "whole pictures" if all(fold.whole for fold in folds) else "halved pictures",
        "predicted_right": [fold.right for fold in folds],
        "whole_picture": float(np.mean([100 * fold.covered for fold in folds])),
    }
