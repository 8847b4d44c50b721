"""The fit: images -> table of descriptors -> interpretation."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vebi import lasso
from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Layer, choose_layers, hash_activations
from vebi.activations.table import SHARD, tabulate
from vebi.data.collections import ImageCollection
from vebi.data.loader import check_batch_size
from vebi.errors import UsageError, VebiWarning, as_bool, as_count, check_progress, require, require_choice
from vebi.interpretation.labelled_images import open_labelled
from vebi.interpretation.result import Interpretation, load
from vebi.interpretation.run_folder import open_run
from vebi.interpretation.settings import AUTO, LABELS, DataSource, FitSettings, ModelSource
from vebi.interpretation.table_fit import fit_table
from vebi.models.classifier import Classifier, check_classifier
from vebi.outputs import output_folder
from vebi.progress import StageProgress, stage

#: Features of a class, unless it is said how many: as many as an explanation shows.
FEATURES_PER_CLASS = 3


def interpret(
    classifier: Classifier,
    images: Any,
    *,
    features_per_class: int | None = None,
    mu: float | str | None = None,
    descriptor: Descriptor = Descriptor(),
    signed: bool = False,
    labels: str = "predicted",
    layers: str | Sequence[str] | None = None,
    stability: bool = True,
    batch_size: int = 32,
    strict: bool = False,
    out: str | Path | None = None,
    progress: StageProgress | None = None,
) -> Interpretation:
    """Finds the few features that tell each class apart: the same as `vebi fit`.

    A feature is a channel of a layer. The descriptor of an image has one number per feature, see ``Descriptor``. For
    each class the targets l, 1 for the images of the class and 0 for the others, are regressed on the descriptors X,
    images x features, by the Lasso in its constrained form, the mu-Lasso: minimise 1/2 ||Xw - l||^2 subject to
    ||w||_1 <= mu, and to w >= 0 unless ``signed``. Columns are standardised and there is a constant term, unless the
    descriptor says otherwise. Few weights are not 0; their features are those that the class selects.

    Args:
        classifier: The model.
        images: The images that trained it: a folder with one folder per class, a list of paths, a data set, see
            ``open_images``. Where predicted classes are fitted they need no labels: a flat folder is enough.
        features_per_class: The number of features that a class selects at most; by default 3. The bound on the l1 norm
            of its weights is the largest at which its regularization path has no more.
        mu: Instead of a number of features the bound on the l1 norm of the weights of each class, above 0: a larger one
            selects more. It belongs to the descriptor: with other layers or another scale the same mu selects other
            numbers of features, see ``mu_path`` (`vebi path`). ``"auto"`` applies the one-standard-error rule: the
            smallest mu of a grid whose mean R² over 5 folds of these images is within one standard error of the best.
        descriptor: How activations become numbers, and on which scale these are fitted; ``Descriptor.paper()`` is that
            of the paper.
        signed: Whether negative weights are allowed.
        labels: The class of an image: ``"predicted"`` by the network, or its ``"true"`` class.
        layers: Names or globs of the layers to use; by default every activation function (ReLU, leaky ReLU, ELU, SiLU,
            GELU, tanh and similar ones, those of fully connected layers included; not sigmoid and softmax), see
            ``list_layers`` or `vebi layers`. ``"spatial"`` stands for those with positions, ``"late"`` for the second
            half of them, ``"all"`` for all.
        stability: Whether to run stability selection, which fits 50 subsamples of half the images.
        batch_size: Images per forward pass.
        strict: Whether an image that cannot be decoded is an error, instead of skipped with a warning.
        out: A run folder, which keeps the descriptors and the result. With the same settings a fit that was stopped
            resumes; other settings are refused.
        progress: Called with (stage, done, total).

    Returns:
        The interpretation, with the classifier attached.

    Raises:
        UsageError: An option has a value that is not allowed.
        InputError: The images or the model cannot be used.
        RunError: ``out`` holds a run with other settings, a damaged one, or files that are no run, or another process
            is writing into it.

    Reference:
        Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.1, equation 1.
        Meinshausen and Buehlmann, "Stability selection", JRSS B 72, 2010.

    Example:
        >>> interpretation = vebi.interpret(classifier, "images")
        >>> interpretation.class_names
        ('blue', 'green', 'red')
        >>> feature, weight = interpretation.select_features("red")[0]
        >>> feature in interpretation.features, weight > 0
        (True, True)
    """
    if mu is None and features_per_class is None:
        features_per_class = FEATURES_PER_CLASS
    check_classifier(classifier)
    features_per_class = None if features_per_class is None else as_count("features_per_class", features_per_class)
    batch_size = check_batch_size(batch_size)
    check_progress(progress)
    _check_options(mu, features_per_class, labels, descriptor, out)
    classifier, collection = open_labelled(classifier, images)
    assert classifier.class_names is not None  # open_labelled names the classes
    recorded_layers = choose_layers(classifier, layers)
    settings = FitSettings(
        model=_source_of(classifier),
        class_names=tuple(classifier.class_names),
        class_ids=classifier.class_ids,
        preprocess=classifier.preprocess,
        data=DataSource(len(collection), collection.fingerprint(), _folder_of(images)),
        layers=tuple((layer.name, layer.channels) for layer in recorded_layers),
        mu=mu if mu is None or isinstance(mu, str) else lasso.check_mu(mu),
        features_per_class=features_per_class,
        signed=as_bool("signed", signed),
        labels=labels,
        descriptor=descriptor,
        stability=as_bool("stability", stability),
        batch_size=batch_size,
        shard_size=SHARD,
        strict=as_bool("strict", strict),
    )
    interpretation = _fit(classifier, collection, recorded_layers, settings, out, progress)
    for note in (*_notes_of_model(classifier), *interpretation.diagnostics.notes):
        warnings.warn(note, VebiWarning, stacklevel=2)
    return interpretation


def _source_of(classifier: Classifier) -> ModelSource:
    scores, activations = classifier.probe().scores, hash_activations(classifier)
    return ModelSource(classifier.spec, classifier.weights, classifier.sha256(), scores, activations)


def _notes_of_model(classifier: Classifier) -> tuple[str, ...]:
    """What was not said when the model was loaded, because it was not."""
    return () if classifier.spec else classifier.probe().notes


def _check_options(
    mu: float | str | None,
    features_per_class: int | None,
    labels: str,
    descriptor: Descriptor,
    out: str | Path | None,
) -> None:
    if mu is not None and features_per_class is not None:
        raise UsageError("mu and features_per_class are both given, and each would set the other: give one of them")
    if isinstance(mu, str):
        if mu != AUTO:
            raise UsageError(f"mu is {mu!r}: give a number above 0, or {AUTO!r}")
    elif mu is not None:
        lasso.check_mu(mu)
    require_choice("labels", labels, LABELS)
    require("descriptor", descriptor, Descriptor, "a vebi.Descriptor is needed: make one, as vebi.Descriptor()")
    require("out", out, (str, os.PathLike, type(None)), "the path of a run folder, or None, is needed")


def _folder_of(images: Any) -> str | None:
    """Where the images are, for a report to take its examples from."""
    return str(Path(images).resolve()) if isinstance(images, str | os.PathLike) else None


def _fit(
    classifier: Classifier,
    images: ImageCollection,
    layers: Sequence[Layer],
    settings: FitSettings,
    out: str | Path | None,
    progress: StageProgress | None,
) -> Interpretation:
    """Runs or resumes the fit in its folder, or in a temporary one."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(out or scratch)
        with output_folder(folder):
            if open_run(folder, settings):
                return load(folder, classifier)
            table = tabulate(
                classifier,
                images,
                layers,
                folder / "table",
                settings.descriptor,
                batch_size=settings.batch_size,
                shard_size=settings.shard_size,
                strict=settings.strict,
                settings_sha256=settings.table_sha256(),
                progress=stage(progress, "descriptors"),
            )
            interpretation = fit_table(classifier, images, table, settings, progress)
            if out is not None:
                interpretation.save(folder)
            return interpretation
