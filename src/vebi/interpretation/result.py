"""What a classifier has learned: for every class the few features that tell it apart, with weights and pictures."""

import hashlib
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file

from vebi import files
from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature
from vebi.errors import RunError, UsageError
from vebi.interpretation import run_folder
from vebi.interpretation.contact_sheet import sheet
from vebi.interpretation.exemplars import Exemplar
from vebi.interpretation.mu_path import MuPath
from vebi.interpretation.stability import Stability
from vebi.models.classifier import Classifier


@dataclass(frozen=True)
class Repetition:
    """How often a class selects a feature again: the share of half samples in which it does (``share``), or selects
    one of its ``stand_ins`` instead (``joint``): the features correlated with it above 0.95, the closest first."""

    share: float
    joint: float
    stand_ins: tuple[tuple[Feature, float], ...]


@dataclass(frozen=True)
class Interpretation:
    """What a classifier has learned.

    ``weights`` classes x features, float64, of the ``features`` that any class selected; ``columns`` are their places
    in a descriptor of ``layers`` ((name, channels), in order); ``gaps`` one relative duality gap a class;
    ``exemplars`` one a feature. ``path`` says what any other ``mu`` would have selected, ``stability`` how often the
    same features are selected again; it is None where nobody asked. ``provenance`` says how it came about.
    ``classifier`` is the model it is bound to; it is not saved.
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
    path: MuPath = field(repr=False)
    stability: Stability | None = field(repr=False)
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

    def repetition(self, name: str, feature: Feature) -> Repetition | None:
        """How often a class selects a feature again; None where nobody looked. Raises UsageError for a feature that no
        class selected."""
        self.exemplar(feature)
        if self.stability is None:
            return None
        place = self.classes.index(name), self.features.index(feature)
        stand_ins = tuple((self.feature(column), share) for column, share in self.stability.stand_ins[place[1]])
        return Repetition(float(self.stability.shares[place]), float(self.stability.joint[place]), stand_ins)

    def feature(self, column: int) -> Feature:
        """The feature in a column of the descriptor."""
        for name, channels in self.layers:
            if column < channels:
                return Feature(name, column)
            column -= channels
        raise UsageError(f"the descriptor has no such column: there are {sum(n for _, n in self.layers)}")

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
        run_folder.claim(Path(folder), self.provenance["settings"])
        write(self, Path(folder))


def write(found: Interpretation, folder: Path) -> None:
    """The result into a folder that was claimed; ``interpretation.json`` comes last: where it is, all is."""
    arrays = {"weights": found.weights, "gaps": found.gaps}
    arrays |= {f"path.{part.name}": getattr(found.path, part.name) for part in fields(MuPath)}
    stability = None
    if found.stability is not None:
        arrays |= {"stability.shares": found.stability.shares, "stability.joint": found.stability.joint}
        stability = {"halves": found.stability.halves, "stand_ins": found.stability.stand_ins}
    (folder / "features").mkdir(exist_ok=True)
    for k, exemplar in enumerate(found.exemplars):
        arrays[f"average.{k}"] = exemplar.average
        arrays[f"crops.{k}"] = exemplar.crops
        sheet(exemplar).save(folder / "features" / f"{str(exemplar.feature).replace(':', '-').replace('/', '_')}.png")
    files.write_arrays(folder / "interpretation.safetensors", arrays)
    files.write_json(
        folder / run_folder.RESULT,
        {
            "format": run_folder.FORMAT,
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
            "stability": stability,
            "provenance": found.provenance,
        },
    )


def load(folder: str | os.PathLike, classifier: Classifier | None = None) -> Interpretation:
    """The interpretation in a run folder, bound to ``classifier`` where one is given.

    Raises RunError where the run is damaged, unfinished, or was made with another model.
    """
    folder = Path(folder)
    run_folder.require(folder)
    if not (folder / run_folder.RESULT).exists():
        raise RunError(f"the run in {folder} is not finished: run the same `vebi fit` again, it goes on where it was")
    held = run_folder.read_json(folder / run_folder.RESULT)
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
            path=MuPath(**{part.name: arrays[f"path.{part.name}"] for part in fields(MuPath)}),
            stability=_stability(held["stability"], arrays),
            provenance=held["provenance"],
            classifier=classifier,
        )
        _check(found)
        if classifier is not None:
            run_folder.check_model(found.provenance["settings"], classifier)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"the run in {folder} is damaged ({type(error).__name__}: {error}): "
            f"delete {folder / run_folder.RESULT} and run the same fit again, it keeps its table"
        ) from None
    return found


def _stability(held: dict[str, Any] | None, arrays: dict[str, np.ndarray]) -> Stability | None:
    if held is None:
        return None
    stand_ins = tuple(tuple((column, share) for column, share in some) for some in held["stand_ins"])
    return Stability(held["halves"], arrays["stability.shares"], arrays["stability.joint"], stand_ins)


def _check(found: Interpretation) -> None:
    """Raises ValueError or the like where the parts do not belong together: a file can be intact and yet not be what
    was written, and no wrong number may come out of it."""
    made, classes, features = found.provenance, len(found.classes), len(found.features)
    channels = sum(count for _, count in found.layers)
    sound = {
        "classes": classes == len(set(found.classes)) > 1 and list(found.classes) == made["settings"]["classes"],
        "layers": all(isinstance(name, str) and _is_count(count) for name, count in found.layers)
        and list(map(list, found.layers)) == made["settings"]["layers"],
        "columns": features == len(set(found.columns)) and all(_is_count(k) and k < channels for k in found.columns),
        "features": found.classifier is None or found.features == tuple(map(found.feature, found.columns)),
        "mu": _is_number(found.mu) and found.mu > 0 and made["settings"]["mu"] in ("auto", found.mu),
        "weights": _is_array(found.weights, np.float64, (classes, features)) and np.isfinite(found.weights).all(),
        "gaps": _is_array(found.gaps, np.float64, (classes,))
        and (np.isfinite(found.gaps) & (found.gaps > -1e-9)).all(),
        "descriptor": found.descriptor.energy in ("squared", "l2") and isinstance(found.descriptor.unit_norm, bool),
        "exemplars": all(map(_is_sound, found.exemplars)),
        "path": _is_sound_path(found, classes, channels),
        "stability": found.stability is None or _is_sound_stability(found, channels),
        "violations": len(made["violations"]) == classes and all(map(_is_number, made["violations"])),
        "accuracy": made["accuracy"] is None or _is_number(made["accuracy"]),
        "pictures": list(made["images_per_class"]) == list(found.classes) and isinstance(made["skipped"], dict),
        "notes": all(isinstance(note, str) for note in made["notes"]),
        "data": isinstance(made["settings"]["data"].get("place"), str | None),
    }
    wrong = [name for name, right in sound.items() if not right]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} cannot be")


def _is_sound_path(found: Interpretation, classes: int, channels: int) -> bool:
    path = found.path
    bounds, rows, folds = len(path.mus), len(path.owners), len(path.agreement)
    arrays = (
        (path.mus, np.float64, (bounds,)),
        (path.candidates, np.bool_, (bounds,)),
        (path.explained, np.float64, (folds, bounds, classes)),
        (path.agreement, np.float64, (folds, bounds)),
        (path.owners, np.int64, (rows,)),
        (path.columns, np.int64, (rows,)),
        (path.enters, np.float64, (rows,)),
        (path.weights, np.float64, (rows, bounds)),
        (path.ends, np.float64, (classes,)),
    )
    return (
        all(_is_array(*array) for array in arrays)
        and bounds > 0
        and folds > 0
        and bool((path.mus > 0).all() and (np.diff(path.mus) > 0).all() and path.candidates.any())
        and not (path.explained > 1).any()
        and not np.isinf(path.explained).any()
        and _are_shares(path.agreement[np.isfinite(path.agreement)])
        and not np.isinf(path.agreement).any()
        and len(set(zip(path.owners.tolist(), path.columns.tolist(), strict=True))) == rows
        and _are_places(path.owners, classes)
        and _are_places(path.columns, channels)
        and bool((path.enters >= 0).all() and np.isfinite(path.enters).all() and np.isfinite(path.weights).all())
        and (found.provenance["settings"]["signed"] or not (path.weights < 0).any())
        and bool((path.ends >= 0).all())
    )


def _is_sound_stability(found: Interpretation, channels: int) -> bool:
    stability, shape = found.stability, found.weights.shape
    shares = (stability.shares, stability.joint)
    return (
        _is_count(stability.halves)
        and stability.halves > 0
        and all(_is_array(some, np.float64, shape) and _are_shares(some) for some in shares)
        and bool((stability.joint >= stability.shares).all() and not stability.joint[found.weights == 0].any())
        and len(stability.stand_ins) == shape[1]
        and all(
            _is_count(c) and c < channels and _is_number(r) and 0 < r <= 1
            for some in stability.stand_ins
            for c, r in some
        )
    )


def _are_places(values: np.ndarray, count: int) -> bool:
    return 0 <= int(values.min(initial=0)) and int(values.max(initial=-1)) < count


def _are_shares(values: np.ndarray) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


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
