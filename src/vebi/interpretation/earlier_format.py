"""Runs of the format vebi-run-3, translated into the names and the layout of the format that is written now.

Every key is renamed by a list: one that is not in it ends in a KeyError, as in a file that is damaged.
"""

from typing import Any

import numpy as np

EARLIER_FORMAT = "vebi-run-3"

#: Keys and arrays of that format -> their names now.
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


def upgrade_settings(earlier: dict[str, Any]) -> dict[str, Any]:
    """Settings as ``FitSettings.from_dict`` takes them.

    Raises:
        KeyError, TypeError, AttributeError: A setting is missing or unknown.
    """
    settings = _renamed(earlier, _SETTINGS)
    settings["data"] = {"folder": None} | _renamed(settings["data"], _DATA)
    settings["descriptor"] = {name: settings.pop(name) for name in ("energy", "unit_norm")}
    return settings


def upgrade(earlier: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of ``interpretation.json`` and the arrays beside it, as ``serialization.decode`` takes them.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: A part is missing, unknown or of another kind.
    """
    provenance, stability, gaps = earlier["provenance"], earlier["stability"], arrays["gaps"]
    if gaps.dtype != np.float64 or gaps.ndim != 1:
        raise ValueError("gaps cannot be")
    results = {name: value for name, value in provenance.items() if name != "settings"}
    content = {name: earlier[name] for name in ("features", "mu", "layers", "descriptor")} | {
        "class_names": earlier["classes"],
        "stability": None if stability is None else _renamed(stability, _STABILITY),
        "settings": upgrade_settings(provenance["settings"]),
        "diagnostics": _renamed(results, _DIAGNOSTICS) | {"gaps": gaps.tolist()},
    }
    return content, {_ARRAYS.get(name, name): array for name, array in arrays.items() if name != "gaps"}


def _renamed(earlier: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names[key]: value for key, value in earlier.items()}
