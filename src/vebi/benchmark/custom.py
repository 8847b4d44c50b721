"""The same contest on a user's model and pictures with masks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vebi.benchmark.examples import find_examples
from vebi.benchmark.ground_truth import find_truth
from vebi.benchmark.methods import Method, all_methods
from vebi.benchmark.results import Part, write_result
from vebi.benchmark.runner import hold
from vebi.data.loader import check_batch_size
from vebi.data.sources import open_images
from vebi.datasets.masks import find_masks
from vebi.errors import InputError, UsageError
from vebi.interpretation.fit import interpret, named
from vebi.methods.cam import find_layer
from vebi.models.classifier import Classifier
from vebi.progress import StageProgress, of_stage

NAME = "table"


def contest(
    classifier: Classifier,
    data: str | Path,
    out: Path,
    *,
    masks: str | Path | None = None,
    learnt: str | Path | None = None,
    layers: Sequence[str] | None = None,
    mu: float = 10.0,
    per_class: int = 50,
    mosaics: int = 50,
    seed: int = 0,
    own: Sequence[str | Method] = (),
    cam_layer: str | None = None,
    batch_size: int = 32,
    progress: StageProgress | None = None,
) -> dict[str, Any]:
    """Fits the model on ``learnt`` (by default ``data``) and holds every method's maps of ``data`` against the masks.

    ``masks``: a folder of masks with the names of the pictures; flowers of `vebi flowers` have their own. ``layers``
    and ``mu``: those of ``interpret``. Up to ``per_class`` pictures of each class are scored. ``own``: methods of the
    user's, see ``all_methods``. ``cam_layer``: see ``find_layer``. What is in ``out`` already is used again. Returns
    the contents of its ``table.json``. Raises InputError for pictures without masks, UsageError for options that cannot
    be.
    """
    check_batch_size(batch_size)
    if per_class < 1 or mosaics < 0:
        raise UsageError(
            f"per_class is {per_class} and mosaics {mosaics}: score at least one picture of a class and 0 or more "
            f"mosaics"
        )
    methods = all_methods(own, cam_layer)
    if cam_layer is not None:
        find_layer(classifier, cam_layer)  # what cannot be is told before the fit
    source = data if learnt is None else learnt
    if classifier.class_names is None:
        classifier = named(classifier, open_images(source))
    images, fitted = open_images(data, classifier.class_names), open_images(source, classifier.class_names)
    truth_of = find_masks(images, None if masks is None else Path(masks))
    if truth_of is None:
        raise InputError(f"{data} has no masks beside its pictures: give a folder of masks with the same names")
    found = interpret(
        classifier, source, layers=layers, mu=mu, out=out / "run", batch_size=batch_size, progress=progress
    )
    truth = find_truth(
        found.require_classifier(),
        images,
        truth_of,
        per_class,
        batch_size=batch_size,
        progress=of_stage(progress, "pictures"),
    )
    held = hold(
        found, truth, methods, out / "scores", mosaics=mosaics, seed=seed, batch_size=batch_size, progress=progress
    )
    settings = found.provenance["settings"]
    note = {
        "data_sha256": images.fingerprint(),
        "fit_sha256": settings["data"]["sha256"],
        "truth_sha256": truth.fingerprint(),
        "networks": [{"accuracy": held.right, "model": settings["model"]["sha256"]}],
        "fitted_on_the_same_pictures": fitted.fingerprint() == images.fingerprint(),
        "preprocess": settings["preprocess"],
        "layers": settings["layers"],
    }
    part = Part([held], find_examples(found, truth, held.of(methods)), [], note)
    plan = {"scored": per_class, "mosaics": mosaics, "mu": mu, "seed": seed, "cam_layer": cam_layer, "folds": 1}
    return write_result(out, NAME, {Path(data).resolve().name: part}, methods, {"plan": plan})
