"""An interpretation as content for JSON and arrays, and back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Float

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature
from vebi.files import hash_arrays
from vebi.interpretation.checks import as_tuple
from vebi.interpretation.diagnostics import Diagnostics
from vebi.interpretation.encoded_image import EncodedImage, join_images, split_images
from vebi.interpretation.exemplars import Exemplar
from vebi.interpretation.mu_path import MuPath
from vebi.interpretation.settings import FitSettings
from vebi.interpretation.stability import Stability
from vebi.lasso.scaling import Scaling

Content = dict[str, Any]
Arrays = dict[str, np.ndarray]

_EXEMPLAR = ("positions", "receptive_field", "count", "predicted", "image_ids", "contrast", "consistency")
_PROBABILITIES = ("selection_probability", "group_probability")


class SavedFields(TypedDict):
    """The fields of an ``Interpretation`` that are saved: all but its classifier."""

    class_names: tuple[str, ...]
    features: tuple[Feature, ...]
    columns: tuple[int, ...]
    weights: Float[np.ndarray, "classes features"]
    scaling: Scaling
    mus: tuple[float, ...]
    layer_shares: Float[np.ndarray, "classes layers"]
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
    arrays = {"weights": saved["weights"], "layer_shares": saved["layer_shares"]}
    arrays |= {f"scaling.{part.name}": getattr(saved["scaling"], part.name) for part in fields(Scaling)}
    arrays |= {f"path.{part.name}": getattr(path, part.name) for part in fields(MuPath)}
    if stability is not None:
        arrays |= {f"stability.{name}": getattr(stability, name) for name in _PROBABILITIES}
    arrays |= join_images([p for e in saved["exemplars"] for p in (e.average, *e.spotlights)])
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
        "mus": saved["mus"],
        "layers": settings.layers,
        "descriptor": vars(settings.descriptor),
        "stability": None
        if stability is None
        else {"n_subsamples": stability.n_subsamples, "correlated_features": stability.correlated_features},
        "settings": settings.to_dict(),
        "diagnostics": saved["diagnostics"].to_dict(),
        "arrays": hash_arrays(arrays),
    }
    return content, arrays


def decode(content: Content, arrays: Arrays) -> SavedFields:
    """The fields that ``encode`` wrote; ``validation.validate`` says whether they can be an interpretation.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: Something is missing or not of its type, or parts that are
            recorded twice do not agree, or the arrays are of another fit. Earlier versions did not record which.
    """
    if "arrays" in content and content["arrays"] != hash_arrays(arrays):
        raise ValueError("the arrays are those of another fit")
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
        scaling=Scaling(**{part.name: arrays[f"scaling.{part.name}"] for part in fields(Scaling)}),
        mus=as_tuple(content["mus"]),
        layer_shares=arrays["layer_shares"],
        settings=settings,
        diagnostics=Diagnostics.from_dict(content["diagnostics"]),
        exemplars=_exemplars(features, [entry["exemplars"] for entry in entries], split_images(arrays)),
        mu_path=MuPath(**{part.name: arrays[f"path.{part.name}"] for part in fields(MuPath)}),
        stability=_stability(content["stability"], arrays),
    )


def _exemplars(
    features: Sequence[Feature], entries: Sequence[Mapping[str, Any]], images: Iterator[EncodedImage]
) -> tuple[Exemplar, ...]:
    """The exemplars, whose images follow each other: of each the average and then the spotlights."""
    exemplars = []
    for feature, entry in zip(features, entries, strict=True):
        values = dict(entry) | {name: as_tuple(entry[name]) for name in ("receptive_field", "image_ids")}
        values["positions"] = None if entry["positions"] is None else as_tuple(entry["positions"])
        average, *spotlights = islice(images, 1 + len(values["image_ids"]))
        exemplars.append(Exemplar(feature=feature, average=average, spotlights=tuple(spotlights), **values))
    if next(images, None) is not None:
        raise ValueError("there is an image too many")
    return tuple(exemplars)


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
