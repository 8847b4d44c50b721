"""A small result of a contest, made by hand."""

import copy

import numpy as np

from vebi.reports.benchmark_page import Examples

METRICS = ("best_iou", "average_precision", "pointing_game", "relevance_mass", "relevance_rank")


def row(variant, method, title, folds, *, paper=True, published=None, others=50.0, pointing=40.0, p=0.0004, own=False):
    mean = sum(folds) / len(folds)
    return {
        "variant": variant,
        "method": method,
        "title": title,
        "auc_iou": list(folds),
        "mean": mean,
        "std": float(np.std(folds, ddof=1)) if len(folds) > 1 else None,
        "ratio_of_vebi_to_it": 50 / mean,
        "ratio_interval": [50 / mean - 0.05, 50 / mean + 0.05],
        "p": None if method == "vebi" else p,
        "grid_pointing": pointing,
        "grid_pointing_ratio": None if pointing is None else [40 / pointing, 40 / pointing - 0.1, 40 / pointing + 0.1],
        "of_the_seed": paper,
        "own": own,
        "published": published,
    } | dict.fromkeys(METRICS, others)


def rows(variant, published, folds=((48, 52), (38, 42), (20, 20), (46, 50))):
    return [
        row(variant, "vebi", "vebi", folds[0], published=(22.5, 0.82) if published else None, others=80.0),
        row(
            variant,
            "grad-cam",
            "Grad-CAM (first)",
            folds[1],
            published=[17.5, 0.25] if published else None,
            pointing=64.26,
        ),
        row(variant, "grad-cam-fix", "Grad-CAM with the stride fix", folds[2], paper=False, others=90.04),
        row(variant, "gradient", "gradient", folds[3], paper=False, others=10.0, p=0.1234),
    ]


def note(folds, **more):
    return {
        "folds": folds,
        "pictures": [600] * folds,
        "mosaics": [10] * folds,
        "mosaics_of": "whole pictures",
        "predicted_right": [1.0, 0.95][:folds],
        "whole_picture": 11.33,
        "data_sha256": "d" * 64,
        "networks": [{"accuracy": 1.0, "model": "e" * 64}] * folds,
    } | more


def rerun():
    """Two data sets, two folds, published figures."""
    variants = ("single-6c", "double-12c")
    behind = ((58, 62), (48, 52), (58, 66), (20, 30))
    varied = [
        {"choice": "as in the table", "setting": "", "auc_iou": {"vebi": 49.0, "grad-cam": 39.0}},
        {"choice": "layer of Grad-CAM", "setting": "relu1", "auc_iou": {"grad-cam": 61.25}},
        {"choice": "mu", "setting": "1", "auc_iou": {"vebi": 30.0}},
        {"choice": "mu", "setting": "2", "auc_iou": {"vebi": 31.0}},
    ]
    return {
        "rows": [r for v in variants for r in rows(v, True)],
        "transformed_rows": [r for v in variants for r in rows(v, True, behind)],
        "curves": {v: {m: np.linspace(top, 0, 101).tolist() for m, top in CURVES.items()} for v in variants},
        "sensitivity": {"single-6c": varied},
        "settings": {
            "plan": {"images_per_class": 120, "folds": 2, "varied": 2, "mu": 5.0, "seed": 7},
            "thresholds": 101,
            "methods": {"vebi": "CombinedMaps()"},
            "data": {v: note(2, seed=7) for v in variants},
            "versions": {"python": "3.11.7", "vebi": "0.1.0"},
            "created": "2026-01-02T03:04:05+00:00",
        },
    }


CURVES = {"vebi": 90.0, "grad-cam": 70.0, "grad-cam-fix": 40.0, "gradient": 30.0}


def own(name="birds"):
    """A user's pictures: one data set of any name, one fold, no mosaics, nothing published, nothing varied."""
    found = copy.deepcopy(rerun())
    singles = rows(name, False, ((50,), (40,), (20,), (55,)))
    for some in singles:
        some["grid_pointing"] = some["grid_pointing_ratio"] = None
    singles.append(row(name, "my-own", "my own", (45,), paper=False, pointing=None))
    return found | {
        "rows": singles,
        "transformed_rows": copy.deepcopy(singles),
        "curves": {name: {m: [1.0] * 101 for m in (*CURVES, "my-own")}},
        "sensitivity": {},
        "settings": found["settings"]
        | {
            "plan": {"scored": 50, "mu": 10.0, "seed": 0, "folds": 1},
            "data": {name: note(1, mosaics=[0], fitted_on_the_same_pictures=True)},
        },
    }


def examples(classes=("red", "blue")):
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 32, 32), bool)
    masks[:, 8:20, 8:20] = True
    maps = {name: rng.random((2, 32, 32), np.float32) for name in CURVES}
    maps["vebi"] = masks.astype(np.float32)
    return Examples(rng.integers(0, 256, (2, 32, 32, 3), np.uint8), masks, tuple(classes), maps)
