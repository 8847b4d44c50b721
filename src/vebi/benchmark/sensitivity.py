"""How the figures move with every choice that the paper leaves open: one choice at a time."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vebi import lasso, provenance
from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import choose_layers
from vebi.activations.table import DescriptorTable, tabulate
from vebi.backprop import heatmaps
from vebi.benchmark.ground_truth import Truth
from vebi.benchmark.methods import OURS
from vebi.benchmark.scoring import positive_maps
from vebi.data.collections import Images
from vebi.explanation.explain import Settings
from vebi.files import write_json
from vebi.interpretation.fit import LABELS, selected
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.methods.cam import GradCam, GradCamPlusPlus
from vebi.methods.features import CombinedMaps, UpsampledActivations
from vebi.methods.guided_cam import GuidedCam
from vebi.methods.modified_backprop import GuidedBackprop
from vebi.metrics.iou import STEPS, iou_curve
from vebi.progress import Progress

MUS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
FEATURES = (1, 2, 3, 5, 10)
GRIDS = {
    "11 thresholds": torch.linspace(0, 1, 11),
    "1001 thresholds": torch.linspace(0, 1, 1001),
    "101 thresholds without 0": torch.linspace(0, 1, 101)[1:],
}
DEFAULT = ("as in the table", "")


@dataclass(frozen=True)
class Variation:
    """Explainers with one thing changed: ``choice`` what, ``setting`` to what."""

    choice: str
    setting: str
    make: Callable[[], dict[str, Explainer]]
    thresholds: tuple[str, ...] = ()


def measure(
    interpretation: Interpretation,
    learnt: Images,
    truth: Truth,
    run: Path,
    kept: Path,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """(``choice``, ``setting``, ``auc_iou`` by method in percent) for every variation, of the maps as they are.

    ``learnt`` and ``run`` are the pictures and the run folder of the interpretation, whose table is used again. The
    rows are kept in the file ``kept`` and read from there where they are of the same model, pictures and features.
    """
    key = f"{provenance.source()} {interpretation.fingerprint()} {truth.fingerprint()}"
    with suppress(OSError, ValueError, TypeError, KeyError):
        held = json.loads(kept.read_text())
        if held["key"] == key:
            return held["rows"]
    rows = []
    found = list(_variations(interpretation, learnt, run, batch_size))
    for k, variation in enumerate(found):
        explainers = variation.make()
        grids = {"": torch.linspace(0, 1, STEPS)} | {name: GRIDS[name] for name in variation.thresholds}
        scores = {name: _score(e, truth, grids, batch_size) for name, e in explainers.items()}
        for grid in grids:
            choice, setting = ("thresholds", grid) if grid else (variation.choice, variation.setting)
            rows.append({"choice": choice, "setting": setting, "auc_iou": {n: s[grid] for n, s in scores.items()}})
        if progress:
            progress(k + 1, len(found))
    write_json(kept, {"key": key, "rows": rows})
    return rows


def _score(explainer: Explainer, truth: Truth, grids: dict[str, torch.Tensor], batch_size: int) -> dict[str, float]:
    sums = dict.fromkeys(grids, 0.0)
    for here, inputs, targets in truth.batches(batch_size):
        maps = torch.from_numpy(heatmaps.rescale(positive_maps(explainer, inputs, targets).numpy()))
        for name, thresholds in grids.items():
            sums[name] += float(iou_curve(maps, truth.masks[here], thresholds).mean(dim=1).sum())
    return {name: 100 * total / len(truth) for name, total in sums.items()}


def _variations(i: Interpretation, learnt: Images, run: Path, batch_size: int) -> Iterator[Variation]:
    classifier = i.require_classifier()
    layers = choose_layers(classifier, [name for name, _ in i.layers])

    @cache
    def table(energy: str) -> DescriptorTable:
        folder = run / "table" if energy == i.descriptor.energy else run.with_name(f"{run.name}-table-{energy}")
        descriptor = Descriptor(energy, i.descriptor.unit_norm)
        return tabulate(classifier, learnt, layers, folder, descriptor, batch_size=batch_size)

    def refitted(energy: str = i.descriptor.energy, **options: Any) -> dict[str, Explainer]:
        return _of_features(_refit(i, table(energy), Descriptor(energy, i.descriptor.unit_norm), **options))

    yield Variation(*DEFAULT, lambda: _of_features(i) | _guided(i) | _cams(i), tuple(GRIDS))
    for interpolation in ("nearest", "bicubic"):
        yield Variation("interpolation", interpolation, partial(_interpolated, i, interpolation))
    maps = [layer.name for layer in layers if layer.height * layer.width > 1]
    for layer in maps[-4:-1]:
        yield Variation("layer of Grad-CAM", layer, partial(_cams, i, layer=layer))
    yield Variation("descriptor", "plain l2 norms", partial(refitted, "l2"))
    yield Variation("weights", "signed", partial(refitted, signed=True))
    yield Variation("labels", "true", partial(refitted, labels="true"))
    for mu in MUS:
        if mu != i.mu:
            yield Variation("mu", f"{mu:g}", partial(refitted, mu=mu))
    for count in FEATURES:
        if count != Settings().features:
            yield Variation("features", str(count), partial(_of_features, i, count))
    yield Variation("combination", "weighted mean", lambda: _averaged(i))
    yield Variation("stride fix", "nearest", lambda: {OURS: CombinedMaps(i, Settings(stride_fix="nearest"))})
    yield Variation("stride fix", "none", lambda: {OURS: CombinedMaps(i, Settings(stride_fix=None))})


def _of_features(i: Interpretation, count: int = Settings().features) -> dict[str, Explainer]:
    return {
        OURS: CombinedMaps(i, Settings(features=count)),
        "upsampled-activations": UpsampledActivations(i, features=count),
    }


def _averaged(i: Interpretation) -> dict[str, Explainer]:
    return {
        OURS: CombinedMaps(i, reduction="mean"),
        "upsampled-activations": UpsampledActivations(i, reduction="mean"),
    }


def _guided(i: Interpretation) -> dict[str, Explainer]:
    return {"guided-backprop": GuidedBackprop(i.require_classifier())}


def _cams(i: Interpretation, **options: str) -> dict[str, Explainer]:
    plain, plus = (kind(i.require_classifier(), **options) for kind in (GradCam, GradCamPlusPlus))
    return {
        "grad-cam": plain,
        "guided-grad-cam": GuidedCam(plain),
        "grad-cam++": plus,
        "guided-grad-cam++": GuidedCam(plus),
    }


def _interpolated(i: Interpretation, interpolation: str) -> dict[str, Explainer]:
    activations = UpsampledActivations(i, interpolation=interpolation)
    return {"upsampled-activations": activations, **_cams(i, interpolation=interpolation)}


def _refit(
    i: Interpretation,
    table: DescriptorTable,
    descriptor: Descriptor,
    *,
    mu: float | None = None,
    signed: bool = False,
    labels: str = "predicted",
) -> Interpretation:
    """The interpretation of the same table with other settings, without exemplars."""
    sums = table.sums(len(i.classes), LABELS[labels])
    mu = i.mu if mu is None else mu
    solutions = lasso.solve_all(sums.gram, sums.b, sums.e, mu, signed=signed)
    return replace(i, **selected(table, solutions), mu=mu, descriptor=descriptor, exemplars=())


def mean_over_folds(folds: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The same rows with the means of several folds, and what these were (``folds``)."""
    return [
        {
            "choice": rows[0]["choice"],
            "setting": rows[0]["setting"],
            "auc_iou": {n: float(np.mean([row["auc_iou"][n] for row in rows])) for n in rows[0]["auc_iou"]},
            "folds": {n: [row["auc_iou"][n] for row in rows] for n in rows[0]["auc_iou"]},
        }
        for rows in zip(*folds, strict=True)
    ]
