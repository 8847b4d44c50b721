"""The benchmark on a user's model and images with masks."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vebi.activations.descriptors import Descriptor
from vebi.benchmark.built_in_methods import all_methods
from vebi.benchmark.examples import find_examples
from vebi.benchmark.ground_truth import find_ground_truth
from vebi.benchmark.methods import Method, with_paper_features
from vebi.benchmark.plan import FULL
from vebi.benchmark.refit import refit_with_descriptor
from vebi.benchmark.runner import FoldScores, score_methods
from vebi.benchmark.without_masks import SCORED, benchmark_images
from vebi.benchmark.write_results import DatasetResult, make_note, make_result, write_result
from vebi.data.collections import ImageCollection
from vebi.data.loader import check_batch_size
from vebi.data.sources import open_images, open_unlabelled
from vebi.datasets.masks import find_masks
from vebi.errors import UsageError, VebiWarning
from vebi.interpretation.fit import interpret
from vebi.interpretation.labelled_images import open_labelled
from vebi.interpretation.result import Interpretation
from vebi.methods.cam import find_layer
from vebi.models.classifier import Classifier
from vebi.outputs import output_folder
from vebi.progress import StageProgress, stage
from vebi.reports.benchmark_report.image_table import ImageTable
from vebi.reports.benchmark_report.result import BenchmarkResult, DatasetNote, NetworkNote

NAME = "table"


def benchmark_model(
    classifier: Classifier,
    images: str | Path,
    out: str | Path,
    *,
    masks: str | Path | None = None,
    fit_images: str | Path | None = None,
    layers: str | Sequence[str] | None = None,
    features_per_class: int | None = None,
    mu: float | None = None,
    descriptor: Descriptor = Descriptor(),
    per_class: int = 50,
    mosaics: int = 50,
    seed: int = 0,
    methods: Sequence[str | Method] = (),
    cam_layer: str | None = None,
    batch_size: int = 32,
    progress: StageProgress | None = None,
) -> BenchmarkResult | ImageTable:
    """Interprets a model and scores the heatmaps of every method against masks: the same as `vebi bench run`.

    Images are explained for their true class where it is known, otherwise for the predicted one. Writes ``table.json``,
    ``table.md`` and ``report.html``, and beside them the run and the scores of each method; what the folder holds
    already is used again.

    Args:
        classifier: The model.
        images: The images to score, a folder with one folder per class.
        out: The output folder.
        masks: A folder with MASKS/CLASS/NAME.png for IMAGES/CLASS/NAME.jpg, of the same size in pixels, in which any
            pixel that is not black is the object. Without them, and unless the images are those of `vebi flowers`, what
            needs no masks is scored as ``benchmark_images`` does.
        fit_images: The images of the fit; by default those that are scored, which is optimistic.
        layers: The layers of the descriptor, see ``vebi.interpret``.
        features_per_class: Features of a class at most, by default 3, see ``vebi.interpret``.
        mu: Instead, the bound on the l1 norm of the weights of each class.
        descriptor: How activations become numbers.
        per_class: Scored images per class, at most; without masks as many times the classes in all, and 200 at most.
        mosaics: Mosaics for grid pointing, 0 for none.
        seed: Seed of the mosaics.
        methods: Methods of yours beside the built-in ones, see ``all_methods``.
        cam_layer: Layer of the class activation maps; by default the last one before spatial pooling.
        batch_size: Images per pass.
        progress: Called with (stage, done, total).

    Returns:
        The tables, as ``table.json`` holds them; without masks as ``images.json`` does.

    Raises:
        InputError: The images or their masks cannot be used.
        UsageError: An option that cannot be.
        ModelError: A method of yours fails.

    Example:
        >>> result = vebi.benchmark.benchmark_model(
        ...     classifier, "images", "bench", masks="masks", per_class=1, mosaics=0
        ... )
        >>> result.rows[0].method, 0 < result.rows[0].metrics["relevance_mass"] <= 100
        ('vebi', True)
    """
    _check_options(per_class, mosaics, batch_size)
    out, participants = Path(out), list(all_methods(methods, cam_layer))
    if cam_layer is not None:
        find_layer(classifier, cam_layer)  # raises before the fit
    fit: dict[str, Any] = {"features_per_class": features_per_class, "mu": mu, "descriptor": descriptor}
    fit |= {"layers": layers, "batch_size": batch_size, "progress": progress}
    options: dict[str, Any] = {"mosaics": mosaics, "seed": seed}
    fit_source = images if fit_images is None else fit_images
    classifier, _ = open_labelled(classifier, fit_source)
    if masks is None and find_masks(open_unlabelled(images)) is None:
        message = f"{images} has no masks beside its images: what needs none is scored, for the predicted classes"
        warnings.warn(message, VebiWarning, stacklevel=2)
        most = min(SCORED, per_class * len(classifier.class_names or ()))
        options |= {"scored": most, "methods": methods, "cam_layer": cam_layer}
        return benchmark_images(classifier, images, out, fit_images=fit_images, **options, **fit)
    scored = open_images(images, classifier.class_names, classifier.class_ids)
    mask_of = find_masks(scored, None if masks is None else Path(masks))
    assert mask_of is not None  # there is a folder, or they are flowers
    with output_folder(out):
        interpretation = interpret(classifier, fit_source, out=out / "run", **fit)
        paper = refit_with_descriptor(interpretation, out / "run", Descriptor.paper(), FULL.mu)
        participants = with_paper_features(participants, paper)
        model, advance = interpretation.require_classifier(), stage(progress, "images")
        truth = find_ground_truth(model, scored, mask_of, per_class, batch_size=batch_size, progress=advance)
        options |= {"batch_size": batch_size, "progress": progress}
        scores = score_methods(interpretation, truth, participants, out / "scores", **options)
        note = replace(_make_note(scores, interpretation, scored), truth_sha256=truth.fingerprint())
        examples = find_examples(interpretation, truth, scores.participants(participants))
        dataset = Path(images).resolve().name
        plan = _make_plan(interpretation, scored=per_class, mosaics=mosaics, seed=seed, cam_layer=cam_layer)
        result = make_result({dataset: DatasetResult(participants, [scores], examples, [], note)}, plan)
        write_result(result, {dataset: examples}, out, NAME)
        return result


def _check_options(per_class: int, mosaics: int, batch_size: int) -> None:
    check_batch_size(batch_size)
    if per_class < 1 or mosaics < 0:
        raise UsageError(
            f"per_class is {per_class} and mosaics {mosaics}: score at least one image per class and 0 or more mosaics"
        )


def _make_plan(interpretation: Interpretation, **options: int | str | None) -> dict[str, int | float | str | None]:
    """Sizes and options, and which features were asked for."""
    settings = interpretation.settings
    fit = {"features_per_class": settings.features_per_class, "mu": settings.mu, "descriptor": str(settings.descriptor)}
    return {**options, **fit, "folds": 1}


def _make_note(scores: FoldScores, interpretation: Interpretation, images: ImageCollection) -> DatasetNote:
    settings, sha256 = interpretation.settings, images.fingerprint()
    return replace(
        make_note([scores], sha256, [NetworkNote(scores.correct, settings.model.sha256)]),
        fitted_on_scored_images=settings.data.sha256 == sha256,
        fit_sha256=settings.data.sha256,
        preprocess=settings.preprocess.to_dict(),
        layers=settings.layers,
    )
