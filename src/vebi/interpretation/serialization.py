"""An interpretation as content for JSON and arrays, and back."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Float

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature
from vebi.interpretation.checks import as_tuple
from vebi.interpretation.diagnostics import Diagnostics
from vebi.interpretation.exemplars import Exemplar
from vebi.interpretation.mu_path import MuPath
from vebi.interpretation.settings import FitSettings
from vebi.interpretation.stability import Stability

Content = dict[str, Any]
Arrays = dict[str, np.ndarray]

_EXEMPLAR = ("count", "image_ids", "consistency", "predicted")
_PROBABILITIES = ("selection_probability", "group_probability")


class SavedFields(TypedDict):
    """The fields of an ``Interpretation`` that are saved: all but its classifier."""

    class_names: tuple[str, ...]
    features: tuple[Feature, ...]
    columns: tuple[int, ...]
    weights: Float[np.ndarray, "classes features"]
    mu: float
    settings: FitSettings
    diagnostics: Diagnostics
    exemplars: tuple[Exemplar, ...]
    mu_path: MuPath
    stability: Stability | None


def encode(saved: SavedFields) -> tuple[Content, Arrays]:
    """The fields as content for JSON, and the arrays that go into a file of their own.

    Layers and descriptor are recorded twice, among the settings and beside them: a damaged number of channels must not
    pass.
    """
    path, stability, settings = saved["mu_path"], saved["stability"], saved["settings"]
    arrays = {"weights": saved["weights"]} | {f"path.{part.name}": getattr(path, part.name) for part in fields(MuPath)}
    if stability is not None:
        arrays |= {f"stability.{name}": getattr(stability, name) for name in _PROBABILITIES}
    for k, exemplar in enumerate(saved["exemplars"]):
        arrays |= {f"average.{k}": exemplar.average, f"crops.{k}": exemplar.crops}
    content = {
        "class_names": saved["class_names"],
        "features": [
            {
                "layer": feature.layer,
                "channel": feature.channel,
                "column": column,
                "exemplars": {name: getattr(exemplar, name) for name in _EXEMPLAR},
            }
            for feature, column, exemplar in zip(saved["features"], saved["columns"], saved["exemplars"], strict=True)
        ],
        "mu": saved["mu"],
        "layers": settings.layers,
        "descriptor": vars(settings.descriptor),
        "stability": None
        if stability is None
        else {"n_subsamples": stability.n_subsamples, "correlated_features": stability.correlated_features},
        "settings": settings.to_dict(),
        "diagnostics": saved["diagnostics"].to_dict(),
    }
    return content, arrays


def decode(content: Content, arrays: Arrays) -> SavedFields:
    """The fields that ``encode`` wrote; ``validation.validate`` says whether they can be an interpretation.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: Something is missing or not of its type, or parts that are
            recorded twice do not agree.
    """
    entries = as_tuple(content["features"])
    features = tuple(Feature(entry["layer"], entry["channel"]) for entry in entries)
    settings = FitSettings.from_dict(content["settings"])
    if settings.layers != tuple((name, channels) for name, channels in as_tuple(content["layers"])):
        raise ValueError("the layers are recorded twice and do not agree")
    if settings.descriptor != Descriptor(**content["descriptor"]):
        raise ValueError("the descriptor is recorded twice and does not agree")
    return SavedFields(
        class_names=as_tuple(content["class_names"]),
        features=features,
        columns=tuple(entry["column"] for entry in entries),
        weights=arrays["weights"],
        mu=content["mu"],
        settings=settings,
        diagnostics=Diagnostics.from_dict(content["diagnostics"]),
        exemplars=tuple(
            _exemplar(feature, entry["exemplars"], arrays[f"average.{k}"], arrays[f"crops.{k}"])
            for k, (feature, entry) in enumerate(zip(features, entries, strict=True))
        ),
        mu_path=MuPath(**{part.name: arrays[f"path.{part.name}"] for part in fields(MuPath)}),
        stability=_stability(content["stability"], arrays),
    )


def _exemplar(feature: Feature, entry: Mapping[str, Any], average: np.ndarray, crops: np.ndarray) -> Exemplar:
    return Exemplar(
        feature=feature,
        count=entry["count"],
        image_ids=as_tuple(entry["image_ids"]),
        consistency=entry["consistency"],
        predicted=entry["predicted"],
        average=average,
        crops=crops,
    )


def _stability(entry: Mapping[str, Any] | None, arrays: Arrays) -> Stability | None:
    if entry is None:
        return None
    return Stability(
        n_subsamples=entry["n_subsamples"],
        selection_probability=arrays["stability.selection_probability"],
        group_probability=arrays["stability.group_probability"],
        correlated_features=tuple(
            tuple((column, correlation) for column, correlation in as_tuple(group))
            for group in as_tuple(entry["correlated_features"])
        ),
    )
