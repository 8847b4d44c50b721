"""What a fit was asked for, with all that its result depends on."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from vebi.activations.descriptors import Descriptor
from vebi.interpretation.checks import are_all, as_tuple, is_count, is_number
from vebi.models.preprocess import Preprocess

#: The mu that stands for: choose it by cross-validation.
AUTO = "auto"
#: The number of features that no network has: a row of so many would not fit into memory.
MOST_FEATURES = 2**31
#: The labels that can be fitted -> the column of the table that holds them.
LABELS = {"predicted": "predictions", "true": "labels"}


@dataclass(frozen=True)
class ModelSource:
    """Which network was fitted.

    Attributes:
        spec: The network, as for ``load_classifier``; None for one made in Python.
        weights: Path of its weights, None where there is no such file.
        sha256: Hash of its weights.
        scores: Its class scores for two fixed images of noise, of up to 16 classes each, by which other code with the
            same weights is noticed; None in runs of earlier versions.
        activations: Hash of its activation functions, see ``hash_activations``, by which small changes of the code are
            noticed; None in runs of earlier versions.

    Example:
        >>> interpretation.settings.model.sha256 == classifier.sha256()
        True
    """

    spec: str | None
    weights: str | None
    sha256: str
    scores: tuple[float, ...] | None = None
    activations: str | None = None


@dataclass(frozen=True)
class DataSource:
    """Which images were fitted.

    Attributes:
        n_images: How many, with those that could not be decoded.
        sha256: Hash of their names and samples of their bytes.
        folder: The folder that was given, None where the images were given otherwise.

    Example:
        >>> interpretation.settings.data.n_images
        72
    """

    n_images: int
    sha256: str
    folder: str | None


@dataclass(frozen=True)
class FitSettings:
    """What a fit was asked for, and all that its result depends on.

    Two fits with equal settings have equal results. A run folder is resumed with the settings that it was begun with
    and no others; only the paths of the network, its weights and the images may have changed.

    Attributes:
        model: The network: where it came from, and the hash of its weights.
        class_names: Names of its classes, in the order of its class scores.
        preprocess: How an image becomes the input of the network.
        data: The images: how many, their hash, and the folder they were in.
        layers: (name, number of channels) of each layer of the descriptor, in order.
        mu: Bound on the l1 norm of the weights of each class; ``"auto"`` where the one-standard-error rule chose it,
            None where ``features_per_class`` is given.
        features_per_class: Number of features of a class at most; None where mu is given.
        signed: Whether negative weights are allowed.
        labels: Which classes were fitted: ``"predicted"`` by the network, or the ``"true"`` ones.
        descriptor: How the activations of an image become its descriptor.
        stability: Whether stability selection was asked for.
        batch_size: Images per forward pass.
        shard_size: Rows per file of the table of descriptors.
        strict: Whether an image that cannot be decoded was an error.
        class_ids: What the folders of images were called instead of the names of the classes, or None.

    Example:
        >>> interpretation.settings.features_per_class, interpretation.settings.signed
        (None, False)
        >>> interpretation.settings.layers
        (('relu1', 8), ('relu', 12))
    """

    model: ModelSource
    class_names: tuple[str, ...]
    preprocess: Preprocess
    data: DataSource
    layers: tuple[tuple[str, int], ...]
    mu: float | str | None
    features_per_class: int | None
    signed: bool
    labels: str
    descriptor: Descriptor
    stability: bool
    batch_size: int
    shard_size: int
    strict: bool
    class_ids: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON takes them."""
        plain = asdict(self) | {
            "class_names": list(self.class_names),
            "preprocess": self.preprocess.to_dict(),
            "layers": [list(layer) for layer in self.layers],
        }
        class_ids = plain.pop("class_ids")  # written only where there are some: runs from before have none
        return plain if class_ids is None else plain | {"class_ids": list(class_ids)}

    def table_sha256(self) -> str:
        """The hash of all that the rows of the table depend on, by which a fit knows its own shards."""
        rows_of = (
            self.model.sha256,
            self.preprocess.to_dict(),
            (self.data.n_images, self.data.sha256),
            self.class_names,
            self.layers,
            (self.batch_size, self.shard_size, self.strict),
        )
        return hashlib.sha256(json.dumps(rows_of, sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "FitSettings":
        """The settings that ``to_dict`` wrote.

        Args:
            plain: Content of a JSON file.

        Returns:
            The settings, each of its type.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: A setting is missing, unknown, or not of its type.
        """
        settings = cls(
            **plain
            | {
                "model": _model_source(plain["model"]),
                "class_names": as_tuple(plain["class_names"]),
                "class_ids": as_tuple(plain["class_ids"]) if "class_ids" in plain else None,
                "preprocess": Preprocess.from_dict(plain["preprocess"]),
                "data": DataSource(**plain["data"]),
                "layers": tuple((name, channels) for name, channels in as_tuple(plain["layers"])),
                "descriptor": Descriptor(**plain["descriptor"]),
            }
        )
        wrong = [name for name, right in _typed(settings).items() if not right]
        if wrong:
            raise TypeError(f"not of its type: {', '.join(wrong)}")
        return settings


def _model_source(plain: dict[str, Any]) -> ModelSource:
    scores = plain.get("scores")
    return ModelSource(**plain | {"scores": None if scores is None else as_tuple(scores)})


def _typed(settings: FitSettings) -> dict[str, bool]:
    """Setting -> whether its value is of its type, and one of those that it can have."""
    model, data, preprocess = settings.model, settings.data, settings.preprocess
    names, channels = zip(*settings.layers, strict=True) if settings.layers else ((), ())
    return {
        "model": are_all(str, model.sha256)
        and are_all(str | None, model.spec, model.weights, model.activations)
        and all(map(is_number, model.scores or ())),
        "class_names": are_all(str, *settings.class_names),
        "class_ids": settings.class_ids is None
        or (are_all(str, *settings.class_ids) and len(settings.class_ids) == len(settings.class_names)),
        "preprocess": are_all(str, preprocess.interpolation)
        and is_count(preprocess.size)
        and (preprocess.resize is None or is_count(preprocess.resize))
        and all(map(is_number, (*preprocess.mean, *preprocess.std))),
        "data": are_all(str, data.sha256) and are_all(str | None, data.folder) and is_count(data.n_images),
        "layers": are_all(str, *names) and all(map(is_count, channels)) and sum(channels) < MOST_FEATURES,
        "mu": settings.mu in (AUTO, None) or is_number(settings.mu),
        "features_per_class": settings.features_per_class is None or is_count(settings.features_per_class),
        "one of mu and features_per_class": (settings.mu is None) != (settings.features_per_class is None),
        "labels": settings.labels in LABELS,
        "descriptor": are_all(bool, settings.descriptor.unit_norm),
        "signed, stability and strict": are_all(bool, settings.signed, settings.stability, settings.strict),
        "batch_size and shard_size": is_count(settings.batch_size) and is_count(settings.shard_size),
    }
