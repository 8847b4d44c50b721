"""A small result of a benchmark, made by hand."""

from dataclasses import replace

import numpy as np

from vebi.reports.benchmark_report.examples import Examples
from vebi.reports.benchmark_report.result import BenchmarkResult, BenchmarkSettings, DatasetNote, NetworkNote
from vebi.reports.benchmark_report.rows import MethodRow, SensitivityRow

METRICS = ("best_iou", "average_precision", "pointing_game", "relevance_mass", "relevance_rank")
CURVES = {"vebi": 90.0, "grad-cam": 70.0, "grad-cam-fix": 40.0, "gradient": 30.0}


def row(
    dataset,
    method,
    title,
    folds,
    *,
    paper=True,
    published=None,
    others=50.0,
    pointing=40.0,
    p=0.0004,
    own=False,
    network=True,
):
    mean = sum(folds) / len(folds)
    return MethodRow(
        dataset=dataset,
        method=method,
        title=title,
        auc_iou=tuple(folds),
        mean=mean,
        std=float(np.std(folds, ddof=1)) if len(folds) > 1 else None,
        ratio=50 / mean,
        ratio_interval=(50 / mean - 0.05, 50 / mean + 0.05),
        p=None if method == "vebi" else p,
        grid_pointing=pointing,
        grid_pointing_ratio=None if pointing is None else (40 / pointing, 40 / pointing - 0.1, 40 / pointing + 0.1),
        in_paper=paper,
        user_defined=own,
        uses_network=network,
        published=published,
        metrics=dict.fromkeys(METRICS, others),
    )


def rows(dataset, published, folds=((48, 52), (38, 42), (20, 20), (46, 50))):
    return (
        row(dataset, "vebi", "vebi", folds[0], published=(22.5, 0.82) if published else None, others=80.0),
        row(
            dataset,
            "grad-cam",
            "Grad-CAM (first)",
            folds[1],
            published=(17.5, 0.25) if published else None,
            pointing=64.26,
        ),
        row(dataset, "grad-cam-fix", "Grad-CAM with the stride fix", folds[2], paper=False, others=90.04),
        row(dataset, "gradient", "gradient", folds[3], paper=False, others=10.0, p=0.1234),
    )


def cue(dataset, folds=(44, 46)):
    return row(dataset, "saturation", "saturation", folds, paper=False, others=85.0, network=False)


def note(folds, mosaics=10, **more):
    return DatasetNote(
        data_sha256="d" * 64,
        networks=(NetworkNote(1.0, "e" * 64),) * folds,
        folds=folds,
        images=(600,) * folds,
        mosaics=(mosaics,) * folds,
        full_size=True,
        correct=(1.0, 0.95)[:folds],
        mask_share=11.33,
        **more,
    )


def rerun():
    """Two data sets, two folds, published scores, a map without a network."""
    datasets = ("single-6c", "double-12c")
    behind = ((58, 62), (48, 52), (58, 66), (20, 30))
    varied = (
        SensitivityRow("as in the table", "", {"vebi": 49.0, "grad-cam": 39.0}),
        SensitivityRow("layer of Grad-CAM", "relu1", {"grad-cam": 61.25}),
        SensitivityRow("mu", "1", {"vebi": 30.0}),
        SensitivityRow("mu", "2", {"vebi": 31.0}),
    )
    return BenchmarkResult(
        rows=tuple(r for d in datasets for r in (*rows(d, True), cue(d))),
        transformed_rows=tuple(r for d in datasets for r in (*rows(d, True, behind), cue(d))),
        curves={d: {m: tuple(np.linspace(top, 0, 101).tolist()) for m, top in CURVES.items()} for d in datasets},
        sensitivity={"single-6c": varied},
        settings=BenchmarkSettings(
            plan={"images_per_class": 120, "folds": 2, "varied": 2, "mu": 5.0, "seed": 7},
            thresholds=101,
            methods={"vebi": "FeatureEvidence()"},
            data={d: note(2, seed=7) for d in datasets},
            versions={"python": "3.11.7", "vebi": "0.1.0"},
            code_sha256="f" * 64,
            created="2026-01-02T03:04:05+00:00",
            inference="networks",
        ),
    )


def own(name="birds", title="my own", **changes):
    """A user's images: one data set of any name, one fold, no mosaics, nothing published, nothing varied.

    ``title`` and ``changes`` are those of the last row, of a method of the user's.
    """
    singles = [
        replace(single, grid_pointing=None, grid_pointing_ratio=None)
        for single in rows(name, False, ((50,), (40,), (20,), (55,)))
    ]
    singles.append(replace(row(name, "my-own", title, (45,), paper=False, pointing=None), **changes))
    return BenchmarkResult(
        rows=tuple(singles),
        transformed_rows=tuple(singles),
        curves={name: dict.fromkeys((*CURVES, "my-own"), (1.0,) * 101)},
        sensitivity={},
        settings=replace(
            rerun().settings,
            plan={"scored": 50, "mu": 10.0, "seed": 0, "folds": 1},
            data={name: note(1, mosaics=0, fitted_on_scored_images=True)},
            inference="images",
        ),
    )


def examples(classes=("red", "blue")):
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 32, 32), bool)
    masks[:, 8:20, 8:20] = True
    maps = {name: rng.random((2, 32, 32), np.float32) for name in CURVES}
    maps["vebi"] = masks.astype(np.float32)
    return Examples(rng.integers(0, 256, (2, 32, 32, 3), np.uint8), masks, tuple(classes), maps)
