"""One HTML file, with every image inlined: classes, their features, explained examples, scores."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vebi import provenance
from vebi.data.collections import ImageCollection
from vebi.data.sources import open_images
from vebi.errors import InputError, UsageError, VebiWarning, as_names, as_path, check_progress
from vebi.explanation.assessment import Assessment, assess
from vebi.explanation.mask_scores import WHOLE
from vebi.files import write_text
from vebi.interpretation.result import Interpretation, check_interpretation
from vebi.outputs import output_file
from vebi.progress import StageProgress
from vebi.reports.html import render_template
from vebi.reports.run_report import selection_charts, selection_summary
from vebi.reports.run_report.class_sections import class_section
from vebi.reports.run_report.example_sections import example_section
from vebi.reports.run_report.feature_cards import FeatureViews
from vebi.reports.run_report.selection_index import SelectionIndex
from vebi.reports.svg_line import Line

#: Scored maps by the method that made them.
SCORED_MAPS = {
    "vebi": "the combined heatmaps of this page",
    "vebi-paper-heatmaps": "the same features, their heatmaps made as in the paper",
    "vebi-paper-heatmaps-without-stride-fix": "made so, without the stride fix",
    WHOLE: "for comparison: the whole image marked",
}


def write_report(
    interpretation: Interpretation,
    out: str | Path,
    *,
    images: Any = None,
    masks: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    title: str | None = None,
    batch_size: int = 32,
    strict: bool = False,
    progress: StageProgress | None = None,
) -> Assessment:
    """Writes a report: one HTML file with the classes, their features, explained examples and scores.

    The same as `vebi report`.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        out: The file.
        images: Where examples come from, see ``open_images``; by default the images of the fit.
        masks: A folder with MASKS/CLASS/NAME.png for IMAGES/CLASS/NAME.jpg, of the same size in pixels, in which any
            pixel that is not black is the object; images that `vebi flowers` rendered have masks of their own.
        class_names: Names of the classes to show, by default up to 24, spread evenly.
        title: Heading of the page.
        batch_size: Images per forward pass, 1 or more.
        strict: Whether an image that cannot be decoded is an error, instead of skipped with a warning.
        progress: Called with (stage, images done, images).

    Returns:
        What the page says of the images.

    Raises:
        UsageError: There is no such class, ``out`` is a folder or does not end in ``.html``, or the interpretation has
            no classifier attached or does not know where its images are.
        InputError: The images of the fit, an image or a mask cannot be used.
        ImageError: None of the images can be decoded; with ``strict``: one of them cannot.
        RunError: Nothing can be written where ``out`` lies.

    Example:
        >>> assessment = vebi.write_report(interpretation, "report.html", images="images", class_names=["red"])
        >>> assessment.looked_at
        72
    """
    check_interpretation(interpretation)
    check_progress(progress)
    class_names = None if class_names is None else as_names("class_names", class_names)
    interpretation.find_class_names(class_names)  # raises for a name that does not exist
    out = as_path("out", out, "the path of an .html file is needed")
    collection = _collection(interpretation, images)
    with output_file(out, ".html"):
        assessment = assess(interpretation, collection, masks, batch_size=batch_size, strict=strict, progress=progress)
        page = render(
            interpretation,
            assessment,
            title=title or f"What {_model_name(interpretation)} has learned",
            class_names=class_names,
            same_images=_are_of_the_fit(interpretation, collection, expected=images is None),
        )
        write_text(out, page)
        return assessment


def _collection(interpretation: Interpretation, images: Any) -> ImageCollection:
    """The images that were given, else those of the fit."""
    folder = interpretation.settings.data.folder
    if images is None and folder is None:
        raise UsageError("the run does not know where its images are: give images to take examples from")
    if images is None and not Path(str(folder)).exists():
        raise InputError(f"the images of the run are not in {folder} any more: give images to take examples from")
    return open_images(
        folder if images is None else images, interpretation.class_names, interpretation.settings.class_ids
    )


def _are_of_the_fit(interpretation: Interpretation, images: ImageCollection, *, expected: bool) -> bool:
    """Whether images are those of the fit, as they were then; warns where they are expected to be and are not."""
    source = interpretation.settings.data
    same = len(images) == source.n_images and images.fingerprint() == source.sha256
    if expected and not same:
        warnings.warn(
            f"the images in {source.folder} are no longer those of the fit: the report shows what lies there now",
            VebiWarning,
            stacklevel=3,
        )
    return same


def render(
    interpretation: Interpretation,
    assessment: Assessment,
    *,
    title: str,
    class_names: Sequence[str] | None = None,
    same_images: bool = False,
) -> str:
    """The page as text.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        assessment: How it does on the images that examples come from.
        title: Heading of the page.
        class_names: Names of the classes to show, by default up to 24, spread evenly.
        same_images: Whether these are the images of the fit, as they were then.
    """
    index = SelectionIndex(interpretation)
    views = FeatureViews(index)
    shown = dict.fromkeys(selection_summary.shown_classes(interpretation, class_names))
    return render_template(
        "run_report.html.j2",
        title=title,
        same_images=same_images,
        assessment=assessment,
        n_mistakes=sum(assessment.labelled.values()) - sum(assessment.correct.values()),
        scored_maps=SCORED_MAPS,
        classes=[class_section(index, views, assessment, name) for name in shown],
        typical=[example_section(index, views, example, shown) for example in assessment.typical],
        mistakes=[example_section(index, views, example, shown) for example in assessment.mistakes],
        uncovered=_uncovered(assessment),
        versions=provenance.versions(),
        now=provenance.now(),
        **_facts(interpretation),
        **_selection(interpretation),
    )


def _facts(interpretation: Interpretation) -> dict[str, object]:
    """What was fitted."""
    return {
        "model": _model_name(interpretation),
        "preprocess": interpretation.require_classifier().preprocess,
        "n_classes": len(interpretation.class_names),
        "n_layers": len(interpretation.layers),
        "n_channels": sum(channels for _, channels in interpretation.layers),
        "settings": interpretation.settings,
        "diagnostics": interpretation.diagnostics,
        "largest_gap": max(interpretation.diagnostics.gaps),
    }


def _selection(interpretation: Interpretation) -> dict[str, object]:
    """What is selected along mu."""
    return {
        "mu": interpretation.mu,
        "bound": selection_summary.bound_name(interpretation),
        "last_mu": float(interpretation.mu_path.mus[-1]),
        "automatic": selection_summary.is_automatic(interpretation),
        "comparison": selection_summary.compare_mu(interpretation),
        "stability": selection_summary.stability_summary(interpretation),
        "fragile": selection_summary.fragile_selections(SelectionIndex(interpretation)),
        "validation_chart": selection_charts.validation_chart(interpretation),
        "count_chart": selection_charts.count_chart(interpretation),
        "strokes": [Line(number, ()).stroke for number in (1, 2)],
    }


def _model_name(interpretation: Interpretation) -> str:
    """What the model is called, without the folder that its file lies in."""
    return (interpretation.settings.model.spec or "the network").rpartition(":")[2]


def _uncovered(assessment: Assessment) -> list[str]:
    """What the explanations passed through that the backprop rule does not cover."""
    examples = (*assessment.typical, *assessment.mistakes)
    findings = {finding for e in examples for finding in e.explanation.audit if not finding.covered}
    return [str(finding) for finding in sorted(findings)]
