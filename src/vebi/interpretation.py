"""What a classifier has learned: for every class the few features that tell it apart, with weights and pictures."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file

from vebi import runs, storage
from vebi.classifier import Classifier
from vebi.descriptors import Descriptor
from vebi.errors import RunError, UsageError
from vebi.exemplars import Exemplar, sheet
from vebi.taps import Feature


@dataclass(frozen=True)
class Interpretation:
    """What a classifier has learned.

    ``weights`` classes x features, float64, of the ``features`` that any class selected; ``columns`` are their places
    in a descriptor of ``layers`` ((name, channels), in order); ``gaps`` one relative duality gap a class;
    ``exemplars`` one a feature. ``provenance`` says how it came about. ``classifier`` is the model it is bound to; it
    is not saved.
    """

    classes: tuple[str, ...]
    features: tuple[Feature, ...]
    columns: tuple[int, ...] = field(repr=False)
    weights: Float[np.ndarray, "classes features"] = field(repr=False)
    mu: float
    gaps: Float[np.ndarray, " classes"]
    layers: tuple[tuple[str, int], ...] = field(repr=False)
    descriptor: Descriptor
    exemplars: tuple[Exemplar, ...] = field(repr=False)
    provenance: dict[str, Any] = field(repr=False)
    classifier: Classifier | None = field(default=None, repr=False)

    def selected(self, name: str) -> list[tuple[Feature, float]]:
        """The features of a class with their weights, largest weight first. Raises UsageError for an unknown class."""
        if name not in self.classes:
            raise UsageError(f"there is no class {name!r}: the model's classes are {', '.join(self.classes[:12])}")
        row = self.weights[self.classes.index(name)]
        return [(self.features[i], float(row[i])) for i in np.argsort(-np.abs(row), kind="stable") if row[i] != 0]

    def exemplar(self, feature: Feature) -> Exemplar:
        """What a selected feature looks like. Raises UsageError for a feature that no class selected."""
        if feature not in self.features:
            raise UsageError(f"no class selected the feature {feature}: see Interpretation.features")
        return self.exemplars[self.features.index(feature)]

    def require_classifier(self) -> Classifier:
        if self.classifier is None:
            raise UsageError("this interpretation is not bound to a model: load it with vebi.load(run, classifier=...)")
        return self.classifier

    def fingerprint(self) -> str:
        """A hash of what explanations depend on, beside the model: features, weights, descriptor."""
        digest = hashlib.sha256(repr((self.classes, self.features, self.layers, self.descriptor)).encode())
        digest.update(np.ascontiguousarray(self.weights).tobytes())
        return digest.hexdigest()

    def save(self, folder: str | os.PathLike) -> None:
        """Writes the run into a folder. Raises RunError where that holds other files or a run with other settings."""
        runs.claim(Path(folder), self.provenance["settings"])
        write(self, Path(folder))


def write(found: Interpretation, folder: Path) -> None:
    """The result into a folder that was claimed; ``interpretation.json`` comes last: where it is, all is."""
    arrays = {"weights": found.weights, "gaps": found.gaps}
    (folder / "features").mkdir(exist_ok=True)
    for k, exemplar in enumerate(found.exemplars):
        arrays[f"average.{k}"] = exemplar.average
        arrays[f"crops.{k}"] = exemplar.crops
        sheet(exemplar).save(folder / "features" / f"{str(exemplar.feature).replace(':', '-').replace('/', '_')}.png")
    storage.write_arrays(folder / "interpretation.safetensors", arrays)
    storage.write_json(
        folder / runs.RESULT,
        {
            "format": runs.FORMAT,
            "classes": found.classes,
            "features": [
                {
                    "layer": f.layer,
                    "channel": f.channel,
                    "column": column,
                    "exemplars": {
                        "count": x.count,
                        "image_ids": x.image_ids,
                        "consistency": x.consistency,
                        "predicted": x.predicted,
                    },
                }
                for f, column, x in zip(found.features, found.columns, found.exemplars, strict=True)
            ],
            "mu": found.mu,
            "layers": found.layers,
            "descriptor": {"energy": found.descriptor.energy, "unit_norm": found.descriptor.unit_norm},
            "provenance": found.provenance,
        },
    )


def load(folder: str | os.PathLike, classifier: Classifier | None = None) -> Interpretation:
    """The interpretation in a run folder, bound to ``classifier`` where one is given.

    Raises RunError where the run is damaged, unfinished, or was made with another model.
    """
    folder = Path(folder)
    runs.require(folder)
    if not (folder / runs.RESULT).exists():
        raise RunError(f"the run in {folder} is not finished: run the same `vebi fit` again, it goes on where it was")
    held = runs.read_json(folder / runs.RESULT)
    try:
        arrays = load_file(folder / "interpretation.safetensors")
        features = tuple(Feature(f["layer"], f["channel"]) for f in held["features"])
        found = Interpretation(
            classes=tuple(held["classes"]),
            features=features,
            columns=tuple(f["column"] for f in held["features"]),
            weights=arrays["weights"],
            mu=held["mu"],
            gaps=arrays["gaps"],
            layers=tuple((name, channels) for name, channels in held["layers"]),
            descriptor=Descriptor(**held["descriptor"]),
            exemplars=tuple(
                Exemplar(
                    features[k],
                    f["exemplars"]["count"],
                    tuple(f["exemplars"]["image_ids"]),
                    f["exemplars"]["consistency"],
                    f["exemplars"]["predicted"],
                    arrays[f"average.{k}"],
                    arrays[f"crops.{k}"],
                )
                for k, f in enumerate(held["features"])
            ),
            provenance=held["provenance"],
            classifier=classifier,
        )
        _check(found)
        if classifier is not None:
            runs.check_model(found.provenance["settings"], classifier)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"the run in {folder} is damaged ({type(error).__name__}: {error}): "
            f"delete {folder / runs.RESULT} and run the same fit again, it keeps its table"
        ) from None
    return found


def _check(found: Interpretation) -> None:
    """Raises ValueError or the like where the parts do not belong together: a file can be intact and yet not be what
    was written, and no wrong number may come out of it."""
    made, classes, features = found.provenance, len(found.classes), len(found.features)
    channels = sum(count for _, count in found.layers)
    sound = {
        "classes": classes == len(set(found.classes)) > 1 and list(found.classes) == made["settings"]["classes"],
        "layers": all(isinstance(name, str) and _is_count(count) for name, count in found.layers),
        "columns": features == len(set(found.columns)) and all(_is_count(k) and k < channels for k in found.columns),
        "features": found.classifier is None or found.features == tuple(_feature(found, k) for k in found.columns),
        "mu": _is_number(found.mu) and found.mu > 0,
        "weights": _is_array(found.weights, np.float64, (classes, features)) and np.isfinite(found.weights).all(),
        "gaps": _is_array(found.gaps, np.float64, (classes,)) and np.isfinite(found.gaps).all(),
        "descriptor": found.descriptor.energy in ("squared", "l2") and isinstance(found.descriptor.unit_norm, bool),
        "exemplars": all(map(_is_sound, found.exemplars)),
        "accuracy": made["accuracy"] is None or _is_number(made["accuracy"]),
        "pictures": list(made["images_per_class"]) == list(found.classes) and isinstance(made["skipped"], dict),
        "notes": all(isinstance(note, str) for note in made["notes"]),
        "data": isinstance(made["settings"]["data"].get("place"), str | None),
    }
    wrong = [name for name, right in sound.items() if not right]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} cannot be")


def _feature(found: Interpretation, column: int) -> Feature | None:
    """The feature in a column of the descriptor."""
    for name, channels in found.layers:
        if column < channels:
            return Feature(name, column)
        column -= channels
    return None


def _is_sound(exemplar: Exemplar) -> bool:
    height, width = exemplar.average.shape[:2]
    return (
        isinstance(exemplar.feature.layer, str)
        and _is_count(exemplar.feature.channel)
        and _is_count(exemplar.count)
        and all(isinstance(name, str) for name in exemplar.image_ids)
        and (exemplar.consistency is None or _is_number(exemplar.consistency))
        and all(map(_is_count, exemplar.predicted.values()))
        and height * width > 0
        and _is_array(exemplar.average, np.uint8, (height, width, 3))
        and _is_array(exemplar.crops, np.uint8, (len(exemplar.crops), height, width, 3))
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_array(array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> bool:
    return array.dtype == dtype and array.shape == shape
