"""Images -> table -> interpretation: the fit."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vebi import lasso, provenance
from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import choose_layers
from vebi.activations.table import SHARD, DescriptorTable, tabulate
from vebi.data.collections import Images
from vebi.data.loader import check_batch_size, skipped_note
from vebi.data.sources import open_images
from vebi.errors import InputError, ModelError, UsageError, VebiWarning, listed
from vebi.interpretation.diagnostics import _agreement, _certify, _doubt, _notes
from vebi.interpretation.exemplars import find_exemplars
from vebi.interpretation.mu_path import mu_path
from vebi.interpretation.partition import FOLDS, Split
from vebi.interpretation.result import Interpretation, load, run_folder, write
from vebi.interpretation.stability import stability
from vebi.models.classifier import Classifier, evaluating
from vebi.progress import StageProgress, of_stage

AUTO = "auto"
LABELS = {"predicted": "predictions", "true": "labels"}


def interpret(
    classifier: Classifier,
    data: Any,
    *,
    mu: float | str = 10.0,
    signed: bool = False,
    labels: str = "predicted",
    layers: str | Sequence[str] | None = None,
    energy: str = "squared",
    unit_norm: bool = True,
    stability: bool = True,
    batch_size: int = 32,
    strict: bool = False,
    out: str | Path | None = None,
    progress: StageProgress | None = None,
) -> Interpretation:
    """Finds the features that matter for every class (Oramas, Wang and Tuytelaars, ICLR 2019, section 3.1).

    ``data``: the pictures that trained the model, as a class-per-folder tree, a list of paths or a sized, indexable
    data set of (image, label). ``mu`` bounds the l1 norm of a class's weights: a larger one selects more features;
    ``auto`` is the smallest within one standard error of the best explained variance on held-out fifths of the data.
    ``signed`` allows negative weights. ``labels``: ``predicted`` or ``true`` classes. ``layers``: names or globs of the
    layers to tap, by default every activation function. ``energy`` and ``unit_norm``: see ``Descriptor``.
    ``stability``: also select again on 50 half samples (Meinshausen and Buehlmann 2010).
    ``out``: a run folder that keeps the table and resumes a pass that was stopped. ``progress`` is called with
    (stage, done, all). Raises UsageError for impossible options, InputError for data or models that cannot be used.
    """
    if isinstance(mu, str) and mu != AUTO:
        raise UsageError(f"mu is {mu!r}: give a number above 0, or {AUTO!r}")
    if mu != AUTO:
        mu = lasso.check_mu(mu)
    if labels not in LABELS:
        raise UsageError(f"labels is {labels!r}: choose predicted or true")
    if energy not in ("squared", "l2"):
        raise UsageError(f"energy is {energy!r}: choose squared or l2")
    check_batch_size(batch_size)
    images = open_images(data, classifier.class_names)
    if classifier.class_names is None:
        classifier = named(classifier, images)
        images = open_images(data, classifier.class_names)
    chosen = choose_layers(classifier, layers)
    settings = {
        "model": {"spec": classifier.spec, "weights": classifier.weights, "sha256": classifier.hash()},
        "classes": list(classifier.class_names),
        "preprocess": run_folder.describe_preprocess(classifier.preprocess),
        "data": {"images": len(images), "sha256": images.fingerprint(), "place": _place(data)},
        "layers": [[layer.name, layer.channels] for layer in chosen],
        "mu": mu,
        "signed": signed,
        "labels": labels,
        "energy": energy,
        "unit_norm": unit_norm,
        "stability": stability,
        "batch_size": batch_size,
        "shard_size": SHARD,
        "strict": strict,
    }

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(out or scratch)
        if run_folder.claim(folder, settings):
            found = load(folder, classifier)
            _warn(found.provenance["notes"])
            return found
        table = tabulate(
            classifier,
            images,
            chosen,
            folder / "table",
            Descriptor(energy, unit_norm),
            batch_size=batch_size,
            shard_size=SHARD,
            strict=strict,
            progress=of_stage(progress, "descriptors"),
        )
        found = _from_table(classifier, images, table, settings, progress)
        if out is not None:
            write(found, folder)
        _warn(found.provenance["notes"])
        return found


def _place(data: Any) -> str | None:
    """Where the pictures are, for a report to take its examples from."""
    return str(Path(data).resolve()) if isinstance(data, str | os.PathLike) else None


def named(classifier: Classifier, images: Images) -> Classifier:
    """A classifier without class names with those of the data's folders, else numbers."""
    with evaluating(classifier.module), torch.no_grad():
        count = classifier.scores(classifier.blank()).shape[1]
    if not images.class_names:
        return replace(classifier, class_names=tuple(str(i) for i in range(count)))
    if len(images.class_names) != count:
        raise ModelError(
            f"the model has {count} unnamed classes, the data {len(images.class_names)} folders: "
            f"give the class names in the model's order"
        )
    if all(map(str.isdecimal, images.class_names)) and list(images.class_names) != sorted(images.class_names, key=int):
        raise InputError(
            f"the model does not name its classes, and the folders {listed(images.class_names)} can be sorted as "
            f"numbers or as text: give the class names in the model's order"
        )
    warnings.warn(
        f"the model does not name its classes; they are taken from the folders in sorted order: "
        f"{listed(images.class_names)}",
        VebiWarning,
        stacklevel=3,
    )
    return replace(classifier, class_names=images.class_names)


def _from_table(
    classifier: Classifier, images: Images, table: DescriptorTable, settings: dict, progress: StageProgress | None
) -> Interpretation:
    classes, signed, label = classifier.class_names, settings["signed"], LABELS[settings["labels"]]
    skipped = table.skipped()
    sums = table.sums(len(classes), label)
    if not sums.e.any():
        lost = len(skipped) == len(images)
        reason = f"no picture could be decoded, first: {skipped[0][1]}" if lost else "no picture has a true class"
        raise InputError(f"there is nothing to fit: {reason}; check the data")
    split = Split(table, sums, label, signed=signed)
    given = None if settings["mu"] == AUTO else settings["mu"]
    path = mu_path(split, given, of_stage(progress, "path"))
    if given is None and not path.validated:
        reason = "five pictures" if sums.rows < FOLDS else "pictures of two classes"
        raise InputError(f"mu cannot be chosen from these {sums.rows} pictures, {reason} are needed: give a number")
    mu = given or path.recommended
    solutions = lasso.solve_all(sums.gram, sums.b, sums.e, mu, signed=signed, progress=of_stage(progress, "solutions"))
    chosen = selected(table, solutions)
    columns, weights = chosen["columns"], chosen["weights"]
    certificates = _certify(table, sums, solutions, mu, label, signed)
    chosen["gaps"] = np.array([certificate.gap for certificate in certificates])
    truth, predictions = table.column("labels"), table.column("predictions")
    truth, predictions = truth[truth >= 0], predictions[truth >= 0]
    notes = (
        skipped_note(skipped, len(images))
        + _doubt(truth, predictions)
        + _notes(classes, sums.e, solutions, chosen["gaps"], settings["labels"], mu)
        + ([] if given or not path.open else [f"mu = {path.best:g} is the largest that was tried, and the best"])
    )
    again = of_stage(progress, "stability")
    return Interpretation(
        classes=classes,
        **chosen,
        mu=mu,
        layers=tuple((name, channels) for name, channels in settings["layers"]),
        descriptor=Descriptor(settings["energy"], settings["unit_norm"]),
        path=path,
        stability=stability(split, mu, columns, weights, again) if settings["stability"] else None,
        exemplars=tuple(
            find_exemplars(
                classifier,
                images,
                table,
                columns,
                batch_size=settings["batch_size"],
                progress=of_stage(progress, "exemplars"),
            )
        ),
        provenance={
            "settings": settings,
            "created": provenance.now(),
            "versions": provenance.versions(),
            "images_per_class": {name: int(n) for name, n in zip(classes, sums.e, strict=True)},
            "complete": [solution.complete for solution in solutions],
            "violations": [certificate.violation for certificate in certificates],
            "skipped": dict(skipped),
            "notes": notes,
            "agreement": _agreement(table, columns, weights),
            "accuracy": float((truth == predictions).mean()) if len(truth) else None,
        },
        classifier=classifier,
    )


def selected(table: DescriptorTable, solutions: Sequence[lasso.Solution]) -> dict[str, Any]:
    """What solutions, one a class, make of an interpretation: ``features`` and ``columns`` that any class selects, with
    ``weights`` (classes x features) and ``gaps``."""
    weights = np.stack([solution.weights for solution in solutions])
    columns = np.flatnonzero(np.abs(weights).sum(axis=0) > 0)
    return {
        "features": tuple(table.features[c] for c in columns),
        "columns": tuple(int(c) for c in columns),
        "weights": weights[:, columns],
        "gaps": np.array([solution.gap for solution in solutions]),
    }


def _warn(notes: list[str]) -> None:
    for note in notes:
        warnings.warn(note, VebiWarning, stacklevel=3)
