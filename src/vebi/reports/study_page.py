"""One HTML file, with every image inlined: classes, their features and pictures, example explanations, scores."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vebi import provenance
from vebi.activations.layers import Feature
from vebi.data.collections import evenly
from vebi.data.sources import open_images
from vebi.datasets.masks import find_masks
from vebi.errors import InputError, UsageError
from vebi.explanation.assessment import WHOLE, Example, Survey, survey
from vebi.explanation.result import Explanation
from vebi.files import make_place, whole
from vebi.interpretation.contact_sheet import vivid
from vebi.interpretation.result import Interpretation
from vebi.progress import StageProgress
from vebi.reports import selection_charts, selection_summary
from vebi.reports.colors import overlay
from vebi.reports.html import fill, inline
from vebi.reports.svg_chart import Line

CLASSES = 24  # shown at most, unless they are asked for by name: a page is to be read
CROPS = 6
LIGHT = 0.03  # features with less than this share of a class's weight are named only
LARGE, MEDIUM, SMALL = 224, 112, 64  # pixels at most: pictures of explanations, averages, crops and thumbs
#: Consistency from which on crops are called ...
WORDS = ((0.6, "nearly the same"), (0.3, "much alike"), (LOOSE := 0.1, "somewhat alike"), (-1.0, "hardly alike"))
METHODS = {
    "vebi": "the combined heatmaps of this page",
    "vebi-without-stride-fix": "the same without the correction for strides",
    WHOLE: "for comparison: the whole picture marked",
}


def write_report(
    interpretation: Interpretation,
    out: str | Path,
    *,
    images: Any = None,
    masks: str | Path | None = None,
    classes: Sequence[str] | None = None,
    title: str | None = None,
    batch_size: int = 32,
    progress: StageProgress | None = None,
) -> Survey:
    """Writes the page and returns what it says of the pictures.

    ``images``: where examples come from, as for ``interpret``; by default the pictures of the fit. ``masks``: a folder
    of masks with the names of the pictures (what is not black is the object); flowers of `vebi flowers` have their own.
    ``classes``: those to show, by default up to ``CLASSES``, spread evenly. ``progress`` is called with (stage, done,
    all). Raises UsageError for classes that do not exist, InputError where there are no pictures.
    """
    held = interpretation.provenance["settings"]["data"].get("place")
    if images is None and held is None:
        raise UsageError("the run does not know where its pictures are: say which pictures to take examples from")
    if images is None and not Path(held).exists():
        raise InputError(
            f"the pictures of the run are not in {held} any more: say which pictures to take examples from"
        )
    for name in classes or ():
        interpretation.selected(name)  # says which there are
    collection = open_images(held if images is None else images, interpretation.classes)
    out = Path(out)
    make_place(out)
    truth = find_masks(collection, None if masks is None else Path(masks))
    found = survey(interpretation, collection, truth, batch_size=batch_size, progress=progress)
    page = render(
        interpretation,
        found,
        title=title or f"What {_model(interpretation)} has learned",
        classes=classes,
        of_the_fit=images is None,
    )
    with whole(out) as partial:
        partial.write_text(page, encoding="utf-8")
    return found


def render(
    interpretation: Interpretation,
    found: Survey,
    *,
    title: str,
    classes: Sequence[str] | None = None,
    of_the_fit: bool = False,
) -> str:
    """The page as text. ``of_the_fit`` says that the survey is of the very pictures that were fitted."""
    shown = list(classes or evenly(interpretation.classes, CLASSES))
    return fill(
        "study.html.j2",
        title=title,
        model=_model(interpretation),
        preprocess=interpretation.require_classifier().preprocess,
        classes=[_class(interpretation, found, name) for name in shown],
        all_classes=len(interpretation.classes),
        layers=interpretation.layers,
        channels=sum(channels for _, channels in interpretation.layers),
        mu=interpretation.mu,
        survey=found,
        wrong=sum(found.labelled.values()) - sum(found.right.values()),
        methods=METHODS,
        uncovered=_uncovered(found),
        charts=[selection_charts.validation_chart(interpretation), selection_charts.count_chart(interpretation)],
        chosen=selection_summary.chosen(interpretation),
        at_mu=selection_summary.at_mu(interpretation),
        trust=selection_summary.trust(interpretation),
        last=float(interpretation.path.mus[-1]),
        strokes=[Line(k + 1, ()).stroke for k in range(2)],
        of_the_fit=of_the_fit,
        typical=[_example(interpretation, e, shown) for e in found.typical],
        mistakes=[_example(interpretation, e, shown) for e in found.mistakes],
        largest_gap=float(interpretation.gaps.max()),
        provenance=interpretation.provenance,
        versions=provenance.versions(),
        now=provenance.now(),
    )


def _model(interpretation: Interpretation) -> str:
    """What the model is called, without the folder that its file lies in."""
    spec = interpretation.provenance["settings"]["model"]["spec"]
    return (spec or "the network").rpartition(":")[2]


def _uncovered(found: Survey) -> list[str]:
    """What the explanations passed through that the backward rule does not cover."""
    passed = {f for e in (*found.typical, *found.mistakes) for f in e.explanation.audit if not f.covered}
    return [str(finding) for finding in sorted(passed)]


def _class(interpretation: Interpretation, found: Survey, name: str) -> dict[str, Any]:
    selected = interpretation.selected(name)
    total = sum(abs(weight) for _, weight in selected)
    shown = [(feature, weight) for feature, weight in selected if abs(weight) / total >= LIGHT]
    numbers = selection_charts.numbered(interpretation, name, len(shown))
    return {
        "name": name,
        "anchor": anchor(name, interpretation.classes.index(name)),
        "pictures": interpretation.provenance["images_per_class"][name],
        "right": found.right[name],
        "labelled": found.labelled[name],
        "features": [
            _feature(interpretation, feature, name) | {"weight": weight, "share": abs(weight) / total}
            for feature, weight in shown
        ],
        "explained": selection_summary.explained(interpretation, name),
        "chart": selection_charts.class_chart(interpretation, name, numbers),
        "elsewhere": {feature: number for feature, number in numbers.items() if number > len(shown)},
        "light": [str(feature) for feature, weight in selected if abs(weight) / total < LIGHT],
    }


def anchor(name: str, index: int) -> str:
    """A name for a place on the page, distinct for every class whatever it is called."""
    return f"class-{index}-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _feature(interpretation: Interpretation, feature: Feature, name: str) -> dict[str, Any]:
    exemplar = interpretation.exemplar(feature)
    height, width = exemplar.average.shape[:2]
    side = interpretation.require_classifier().preprocess.size
    names = [layer for layer, _ in interpretation.layers]
    others = [
        (other, w)
        for other in interpretation.classes
        if other != name
        for f, w in interpretation.selected(other)
        if f == feature
    ]
    again = interpretation.repetition(name, feature)
    alike, average = exemplar.consistency, vivid(exemplar)
    return {
        "name": str(feature),
        "depth": names.index(feature.layer) + 1,
        "count": exemplar.count,
        "whole": (height, width) == (side, side),
        "size": f"{width} × {height}",
        "window": (width / side, height / side),
        "alike": alike,
        "loose": alike is not None and alike < LOOSE,
        "strongest_on": list(exemplar.predicted.items())[:3],
        "elsewhere": sum(list(exemplar.predicted.values())[3:]),
        "alike_in_words": None if alike is None else next(word for least, word in WORDS if alike >= least),
        "average": inline(average, MEDIUM),
        "thumb": inline(average, SMALL),
        "crops": [
            inline(crop, SMALL) | {"of": Path(image_id).name}
            for crop, image_id in zip(exemplar.crops[:CROPS], exemplar.image_ids, strict=False)
        ],
        "span": interpretation.path.span(
            interpretation.classes.index(name), interpretation.columns[interpretation.features.index(feature)]
        ),
        "again": again,
        "stable": None if again is None else selection_summary.stable_in_words(again.share),
        "others": sorted(others, key=lambda pair: -pair[1]),
    }


def _example(interpretation: Interpretation, example: Example, shown: list[str]) -> dict[str, Any]:
    explanation = example.explanation
    name = explanation.prediction
    return {
        "id": Path(explanation.image_id).name,
        "prediction": name,
        "anchor": anchor(name, interpretation.classes.index(name)) if name in shown else None,
        "truth": example.truth,
        "probability": explanation.probability,
        "picture": inline(explanation.picture, LARGE),
        "row": _row(interpretation, explanation),
        "for_truth": None if example.for_truth is None else _row(interpretation, example.for_truth),
    }


def _row(interpretation: Interpretation, explanation: Explanation) -> dict[str, Any]:
    """The evidence for one class, with the heatmaps."""
    together = sum(e.contribution for e in explanation.evidence)
    maps = explanation.scaled()
    return {
        "target": explanation.target,
        "together": together,
        "evidence": [
            {
                "name": str(e.feature),
                "share": e.contribution / together,
                "map": _over(explanation, heat),
                "average": inline(vivid(interpretation.exemplar(e.feature)), SMALL),
            }
            for e, heat in zip(explanation.evidence, maps, strict=True)
        ],
        "combined": _over(explanation, np.max(maps, axis=0)) if maps else None,
    }


def _over(explanation: Explanation, heat: np.ndarray) -> dict[str, Any]:
    return inline(overlay(explanation.picture, heat), LARGE)
