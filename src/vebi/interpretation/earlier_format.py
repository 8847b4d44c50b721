"""Runs of the formats vebi-run-3 and vebi-run-4, translated into the names and the layout that are written now.

Every key is renamed by a list: one that is not in it ends in a KeyError, as in a file that is damaged.
"""

from typing import Any

import numpy as np

from vebi.interpretation.encoded_image import EncodedImage, join_images
from vebi.interpretation.exemplars import SHOWN
from vebi.lasso.scaling import PLAIN

_THIRD, _FOURTH = EARLIER_FORMATS = ("vebi-run-3", "vebi-run-4")

#: Keys and arrays of the third format -> their names in the fourth.
_SETTINGS = {"classes": "class_names"} | {
    name: name
    for name in (
        "model",
        "preprocess",
        "data",
        "layers",
        "mu",
        "signed",
        "labels",
        "energy",
        "unit_norm",
        "stability",
        "batch_size",
        "shard_size",
        "strict",
    )
}
_DATA = {"images": "n_images", "sha256": "sha256", "place": "folder"}
_DIAGNOSTICS = {"agreement": "fidelity"} | {
    name: name
    for name in ("accuracy", "violations", "complete", "images_per_class", "skipped", "notes", "created", "versions")
}
_STABILITY = {"halves": "n_subsamples", "stand_ins": "correlated_features"}
_ARRAYS = {
    "path.explained": "path.r2",
    "path.agreement": "path.fidelity",
    "path.owners": "path.class_index",
    "path.enters": "path.entry_mu",
    "path.ends": "path.end_mu",
    "stability.shares": "stability.selection_probability",
    "stability.joint": "stability.group_probability",
}


def upgrade_settings(settings: dict[str, Any], written: str) -> dict[str, Any]:
    """Settings as ``FitSettings.from_dict`` takes them.

    Args:
        settings: As they lie in the file.
        written: Its format.

    Raises:
        KeyError, TypeError, AttributeError: A setting is missing or unknown.
    """
    if written == _THIRD:
        settings = _third_settings(settings)
    if written in EARLIER_FORMATS:
        settings = settings | {
            "features_per_class": None,
            "descriptor": settings["descriptor"] | {"scaling": PLAIN},
        }
    return settings


def upgrade(content: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of ``interpretation.json`` and the arrays beside it, as ``serialization.decode`` takes them.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: A part is missing, unknown or of another kind.
    """
    written = content["format"]
    if written == _THIRD:
        content, arrays = _third(content, arrays)
    if written in EARLIER_FORMATS:
        content, arrays = _fourth(content, arrays)
    return content, arrays


def _fourth(content: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """There was one mu for all classes, there were plain columns alone, and crops lay there as they were cut."""
    classes, features = arrays["weights"].shape
    mu, mus = content["mu"], arrays["path.mus"]
    if isinstance(mu, bool) or not mu > 0 or not (mus > 0).all():
        raise ValueError("mu cannot be")
    k = int(np.abs(np.log(mus / mu)).argmin())
    entries, images = [], []
    for number, entry in enumerate(content["features"]):
        average, crops = arrays[f"average.{number}"], arrays[f"crops.{number}"][:SHOWN]
        entries.append(entry | {"exemplars": _fourth_exemplar(entry["exemplars"], average, crops)})
        images += [EncodedImage.encode(pixels) for pixels in (average, *crops)]
    content = {name: value for name, value in content.items() if name != "mu"} | {
        "mus": [mu] * classes,
        "features": entries,
        "descriptor": content["descriptor"] | {"scaling": PLAIN},
        "settings": upgrade_settings(content["settings"], _FOURTH),
    }
    arrays = {name: array for name, array in arrays.items() if not name.startswith(("average.", "crops."))}
    return content, arrays | join_images(images) | {
        "layer_shares": np.full((classes, len(content["layers"])), np.nan),
        "scaling.center": np.zeros(features),
        "scaling.scale": np.ones(features),
        "scaling.constants": np.zeros(classes),
        "path.fit_r2": arrays["path.r2"][:, k],
        "path.fit_fidelity": arrays["path.fidelity"][:, k],
    }


def _fourth_exemplar(entry: dict[str, Any], average: np.ndarray, crops: np.ndarray) -> dict[str, Any]:
    """Crops were as large as the receptive field; how many positions there are was not recorded."""
    if average.dtype != np.uint8 or average.ndim != 3 or crops.dtype != np.uint8 or crops.shape[1:] != average.shape:
        raise ValueError("exemplars cannot be")
    return {
        "positions": None,
        "receptive_field": list(average.shape[:2]),
        "count": entry["count"],
        "predicted": entry["predicted"],
        "image_ids": list(entry["image_ids"])[: len(crops)],
        "contrast": float(crops.mean(axis=3).std(axis=(1, 2)).mean()) if len(crops) else 0.0,
        "consistency": entry["consistency"],
    }


def _third_settings(earlier: dict[str, Any]) -> dict[str, Any]:
    """The settings with their names in the fourth format."""
    settings = _renamed(earlier, _SETTINGS)
    settings["data"] = {"folder": None} | _renamed(settings["data"], _DATA)
    settings["descriptor"] = {name: settings.pop(name) for name in ("energy", "unit_norm")}
    return settings


def _third(earlier: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Content and arrays with their names in the fourth format."""
    provenance, stability, gaps = earlier["provenance"], earlier["stability"], arrays["gaps"]
    if gaps.dtype != np.float64 or gaps.ndim != 1:
        raise ValueError("gaps cannot be")
    results = {name: value for name, value in provenance.items() if name != "settings"}
    content = {name: earlier[name] for name in ("features", "mu", "layers", "descriptor")} | {
        "class_names": earlier["classes"],
        "stability": None if stability is None else _renamed(stability, _STABILITY),
        "settings": _third_settings(provenance["settings"]),
        "diagnostics": _renamed(results, _DIAGNOSTICS) | {"gaps": gaps.tolist()},
    }
    return content, {_ARRAYS.get(name, name): array for name, array in arrays.items() if name != "gaps"}


def _renamed(earlier: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names[key]: value for key, value in earlier.items()}
