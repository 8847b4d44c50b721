"""What a classifier has learned: for each class the few features that tell it apart, their weights and exemplars."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from jaxtyping import Float

from vebi import files
from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature
from vebi.errors import RunError, UsageError, as_count, as_names, as_path, join_names, require
from vebi.interpretation import run_folder
from vebi.interpretation.contact_sheet import contact_sheet
from vebi.interpretation.diagnostics import Diagnostics
from vebi.interpretation.earlier_format import upgrade
from vebi.interpretation.encoded_image import EncodedImage
from vebi.interpretation.exemplars import Exemplar
from vebi.interpretation.mu_path import MuPath
from vebi.interpretation.serialization import Arrays, Content, SavedFields, decode, encode
from vebi.interpretation.settings import FitSettings
from vebi.interpretation.stability import FeatureStability, Stability
from vebi.interpretation.validation import validate
from vebi.lasso.scaling import Scaling
from vebi.models.classifier import Classifier, check_classifier
from vebi.outputs import file_stems, output_folder

ARRAYS = "interpretation.safetensors"


@dataclass(frozen=True, eq=False)
class Interpretation:
    """What a classifier has learned: the few features that tell each class apart.

    A feature is a channel of a layer. The descriptor of an image has one number for each feature of the recorded
    layers; the weights of a class are those of a regression of its targets (1 for the images of the class, 0 for the
    others) on the descriptors under a bound on their l1 norm, so that few are not 0, see ``interpret``. A feature is
    selected by the classes that have a weight for it.

    Attributes:
        class_names: Names of the classes, in the order of the model's class scores.
        features: The features that at least one class selected, in the order of their columns.
        columns: The column of each feature in the descriptor.
        weights: Weight of each feature for each class, classes x features, float64; 0 where the class did not select
            the feature.
        scaling: How the descriptor becomes what was fitted, and the constant of each class: the score of a class is its
            constant and the sum of its weights times (x - center) / scale, with x the descriptor of the image.
        mus: Bound on the l1 norm of the weights of each class.
        layer_shares: Classes x layers: the share of each layer in what contributes to a class in the images of the
            class; NaN in runs of earlier versions, which did not record it.
        settings: What was asked for: all that the result depends on.
        diagnostics: How far the fit can be trusted: accuracy, fidelity, optimality, notes.
        exemplars: What each feature looks like: the images in whose descriptor it is strongest, lit where it fired, and
            the average of its crops.
        mu_path: What other values of mu would have selected, with scores on held-out images.
        stability: How often the same features are selected from subsamples of the images; None where stability
            selection was not asked for.
        classifier: The model that was interpreted, which ``explain`` needs; None where the interpretation was loaded
            without one. It is not saved.

    Example:
        >>> interpretation = vebi.interpret(classifier, "images", mu=1.5)
        >>> feature, weight = interpretation.select_features("red")[0]
        >>> interpretation.exemplar(feature).average.pixels.shape[2]
        3
    """

    class_names: tuple[str, ...]
    features: tuple[Feature, ...]
    columns: tuple[int, ...] = field(repr=False)
    weights: Float[np.ndarray, "classes features"] = field(repr=False)
    scaling: Scaling = field(repr=False)
    mus: tuple[float, ...] = field(repr=False)
    layer_shares: Float[np.ndarray, "classes layers"] = field(repr=False)
    settings: FitSettings = field(repr=False)
    diagnostics: Diagnostics = field(repr=False)
    exemplars: tuple[Exemplar, ...] = field(repr=False)
    mu_path: MuPath = field(repr=False)
    stability: Stability | None = field(repr=False)
    classifier: Classifier | None = field(default=None, repr=False)

    @property
    def mu(self) -> float | None:
        """The bound of all classes; None where each has its own, for a number of features."""
        return self.mus[0] if self.settings.features_per_class is None else None

    @property
    def layers(self) -> tuple[tuple[str, int], ...]:
        """(name, number of channels) of each layer of the descriptor, in order."""
        return self.settings.layers

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor settings: ``energy``, ``unit_norm`` and ``scaling``."""
        return self.settings.descriptor

    def class_index(self, class_name: str) -> int:
        """The index of a class: its row of ``weights``, its place among the model's class scores.

        Args:
            class_name: One of ``class_names``, or of the ids that its folders have, ``settings.class_ids``.

        Returns:
            From 0 to the number of classes, less one.

        Raises:
            UsageError: There is no such class.
        """
        for names in (self.class_names, self.settings.class_ids or ()):
            index = files.find_name(class_name, names)
            if index is not None:
                return index
        raise UsageError(f"there is no class {class_name!r}: the model's classes are {join_names(self.class_names)}")

    def find_class_names(self, class_names: Sequence[str] | None) -> list[str]:
        """The names of classes that are given by their names or ids; of all, in their order, where none are given."""
        names = self.class_names if class_names is None else as_names("class_names", class_names) or self.class_names
        return [self.class_names[self.class_index(name)] for name in names]

    def select_features(self, class_name: str) -> list[tuple[Feature, float]]:
        """The features of a class with their weights, the largest absolute weight first.

        Args:
            class_name: One of ``class_names``.

        Returns:
            (feature, weight) of each feature that the class selected.

        Raises:
            UsageError: There is no such class.
        """
        row = self.weights[self.class_index(class_name)]
        return [(self.features[i], float(row[i])) for i in np.argsort(-np.abs(row), kind="stable") if row[i] != 0]

    def exemplar(self, feature: Feature) -> Exemplar:
        """What a selected feature looks like.

        Args:
            feature: One of ``features``.

        Returns:
            Its images and the average of its crops.

        Raises:
            UsageError: No class selected the feature.
        """
        if feature not in self.features:
            raise UsageError(f"no class selected the feature {feature}: see Interpretation.features")
        return self.exemplars[self.features.index(feature)]

    def feature_stability(self, class_name: str, feature: Feature) -> FeatureStability | None:
        """How often a class selects a feature from subsamples of the images.

        Args:
            class_name: One of ``class_names``.
            feature: One of ``features``.

        Returns:
            Its selection probability and the features correlated with it; None where stability selection was not asked
            for.

        Raises:
            UsageError: There is no such class, or no class selected the feature.
        """
        self.exemplar(feature)
        if self.stability is None:
            return None
        i = self.features.index(feature)
        correlated = tuple((self.feature(column), r) for column, r in self.stability.correlated_features[i])
        return FeatureStability(*self.stability.probabilities(self.class_index(class_name), i), correlated)

    def feature(self, column: int) -> Feature:
        """The feature in a column of the descriptor.

        Args:
            column: From 0 to the number of features of all recorded layers, less one.

        Returns:
            The channel of a layer.

        Raises:
            UsageError: The descriptor has no such column.
        """
        channel = as_count("column", column, least=0)
        for name, channels in self.layers:
            if channel < channels:
                return Feature(name, channel)
            channel -= channels
        raise UsageError(f"the descriptor has no column {column}: there are {sum(n for _, n in self.layers)}")

    def require_classifier(self) -> Classifier:
        """The classifier of the interpretation.

        Returns:
            The classifier, never None.

        Raises:
            UsageError: The interpretation has no classifier attached.
        """
        if self.classifier is None:
            raise UsageError(
                "this interpretation has no classifier attached: load it with vebi.load(run, classifier=...)"
            )
        return self.classifier

    def fingerprint(self) -> str:
        """A hash of what explanations depend on besides (not including) the model: features, weights, descriptor."""
        digest = hashlib.sha256(repr((self.class_names, self.features, self.layers, self.descriptor)).encode())
        for array in (self.weights, self.scaling.center, self.scaling.scale):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the run into a folder, from which ``vebi.load`` reads it.

        Args:
            folder: A new or an empty folder, or one with a run of the same settings.

        Raises:
            RunError: The folder holds other files, or a run with other settings, or another process writes into it.
        """
        folder = as_path("folder", folder)
        content, arrays = encode(self._saved_fields())
        with output_folder(folder):
            run_folder.open_run(folder, self.settings)
            (folder / "features").mkdir(exist_ok=True)
            stems = file_stems([str(exemplar.feature) for exemplar in self.exemplars])
            for name, exemplar in zip(stems, self.exemplars, strict=True):
                sheet = EncodedImage.encode(np.asarray(contact_sheet(exemplar)))
                (folder / "features" / f"{name}.webp").write_bytes(sheet.data)
            files.write_arrays(folder / ARRAYS, arrays)
            # last of all: where this file is, all of the run is
            files.write_json(folder / run_folder.RESULT, files.sign({"format": run_folder.FORMAT} | content))

    def _saved_fields(self) -> SavedFields:
        return cast(SavedFields, {name: getattr(self, name) for name in SavedFields.__annotations__})


def load(folder: str | os.PathLike[str], classifier: Classifier | None = None) -> Interpretation:
    """Loads an interpretation from its run folder.

    Args:
        folder: A folder that ``vebi.interpret(..., out=folder)``, ``vebi fit`` or ``Interpretation.save`` wrote.
        classifier: The model that was interpreted, checked by the hash of its weights. Without it the interpretation
            can be read, but no image can be explained.

    Returns:
        The interpretation, with the classifier attached where one is given.

    Raises:
        RunError: The run is damaged or unfinished, or was made with another model.

    Example:
        >>> vebi.interpret(classifier, "images", mu=1.5, out="run").mus
        (1.5, 1.5, 1.5)
        >>> vebi.load("run", classifier).class_names
        ('blue', 'green', 'red')
    """
    folder = as_path("folder", folder)
    if classifier is not None:
        check_classifier(classifier)
    run_folder.check_is_run(folder)
    if not (folder / run_folder.RESULT).exists():
        raise RunError(f"the run in {folder} is not finished: run the same `vebi fit` again, it resumes")
    content = run_folder.read_json(folder / run_folder.RESULT)
    try:
        interpretation = _restore(content, files.read_arrays(folder / ARRAYS)[0], classifier)
    except (OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise RunError(
            f"the run in {folder} is damaged ({type(error).__name__}: {error}): "
            f"delete {folder / run_folder.RESULT} and run the same fit again, it keeps its table"
        ) from None
    run_folder.check_settings(folder, interpretation.settings)
    return interpretation


def check_interpretation(given: object) -> None:
    """Refuses what is no interpretation, such as a classifier or the path of a run.

    Raises:
        UsageError: It is none.
    """
    require("the interpretation", given, Interpretation, "what vebi.interpret or vebi.load gives is needed")


def _restore(content: Content, arrays: Arrays, classifier: Classifier | None) -> Interpretation:
    """The interpretation in two files; raises RunError for another model, and other errors for damaged parts."""
    content, arrays = upgrade(content, arrays)
    saved = decode(content, arrays)
    validate(saved)
    interpretation = Interpretation(**saved, classifier=classifier)
    if classifier is not None:
        if interpretation.features != tuple(map(interpretation.feature, interpretation.columns)):
            raise ValueError("features and columns do not agree")
        run_folder.check_model(interpretation.settings, classifier)
    return interpretation
