"""A run folder: whose it is, and how small files get into it whole. Data, never code.

``run.json`` the settings, written first; ``table/`` the shards of descriptors; ``interpretation.json`` and
``interpretation.safetensors`` the result; ``features/`` a picture of every feature.
"""

import json
import os
from pathlib import Path
from typing import Any

from vebi.errors import RunError, UsageError
from vebi.files import PARTIAL, make_folder, write_json
from vebi.models.classifier import Classifier
from vebi.models.load import load_classifier
from vebi.models.preprocess import Preprocess

FORMAT = "vebi-run-3"
SETTINGS = "run.json"
RESULT = "interpretation.json"
#: What does not change a result, and may therefore differ when a run goes on.
_FREE = {("model", "weights"), ("model", "spec"), ("data", "place")}


def claim(folder: Path, settings: dict[str, Any]) -> bool:
    """Makes the folder this run's own; True where its result is there already.

    Raises RunError where the folder holds a run with other settings, or files that are no run.
    """
    path = folder / SETTINGS
    if path.exists():
        differing = _difference(read_settings(folder), settings)
        computed = (folder / RESULT).exists() or any(folder.glob("table/shard-*"))
        if differing and not computed:  # a run that failed before it began, as on pictures that could not be read
            write_json(path, {"format": FORMAT, "settings": settings})
        elif differing:
            name, held, given = differing
            raise RunError(
                f"{folder} holds a run with {name} {held}, not {given}: "
                f"choose another folder, or the same settings to go on"
            )
        return (folder / RESULT).exists()
    make_folder(folder)
    if any(file.name != path.name + PARTIAL for file in folder.iterdir()):
        raise RunError(f"{folder} holds other files and no run: choose an empty or a new folder")
    write_json(path, {"format": FORMAT, "settings": settings})
    return False


def find_classifier(
    folder: str | os.PathLike, spec: str | None = None, weights: str | Path | None = None, device: str = "cpu"
) -> Classifier:
    """The model of a run, with the preparation of pictures it was fitted with.

    A model that is built in is found by its name, weights by the path they had; a user's own file only where ``spec``
    names it: a run never says which code to execute. Raises RunError where ``spec`` is needed or the weights are
    another's.
    """
    settings = read_settings(Path(folder))
    try:
        held, held_weights, sha256 = (settings["model"][key] for key in ("spec", "weights", "sha256"))
        prepare = settings["preprocess"]
        prepare = Preprocess(**{**prepare, "mean": tuple(prepare["mean"]), "std": tuple(prepare["std"])})
        classes = [str(name) for name in settings["classes"]]
        if not (isinstance(held, str | None) and isinstance(held_weights, str | None) and isinstance(sha256, str)):
            raise TypeError("the model is described by other things than text")
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise RunError(f"the run in {folder} is damaged ({type(error).__name__}: {error}): fit it again") from None
    if spec is None:
        if (held or "").partition(":")[0] not in ("vebi", "torchvision", "timm"):
            raise RunError(
                f"the model of {folder} is {held or 'one made in Python'}, and a run never names code to execute: "
                f"give it with --model FILE.py:FUNCTION"
            )
        spec = held
    if weights is None and not spec.endswith(".safetensors"):
        weights = held_weights
    classifier = load_classifier(spec, weights, **describe_preprocess(prepare), class_names=classes, device=device)
    check_model(settings, classifier)
    return classifier


def check_model(settings: dict[str, Any], classifier: Classifier) -> None:
    """Raises RunError where a run was made with another model or another preparation of pictures."""
    held, given = settings["model"]["sha256"], classifier.hash()
    if held != given:
        raise RunError(
            f"the run was made with other weights ({held[:12]}) than those of the model given ({given[:12]}): "
            f"give the model of the run"
        )
    if classifier.class_names is not None and list(classifier.class_names) != settings["classes"]:
        raise RunError(
            f"the run was made with the classes {_short(settings['classes'])}, the model given names them "
            f"{_short(classifier.class_names)}: give the run's names in its order"
        )
    if settings["preprocess"] != describe_preprocess(classifier.preprocess):
        raise RunError(
            f"the run was made with the preparation {settings['preprocess']}, "
            f"the model given has {describe_preprocess(classifier.preprocess)}: give the same size, mean and std"
        )


def describe_preprocess(preprocess: Preprocess) -> dict[str, Any]:
    return {
        "size": preprocess.size,
        "resize": preprocess.resize,
        "interpolation": preprocess.interpolation,
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
    }


def _difference(held: Any, given: Any, path: tuple[str, ...] = ()) -> tuple[str, Any, Any] | None:
    """The first setting in which two differ: its name and both values."""
    if path in _FREE:
        return None
    if isinstance(held, dict) and isinstance(given, dict):
        for key in {**held, **given}:
            found = _difference(held.get(key), given.get(key), (*path, key))
            if found:
                return found
        return None
    return None if held == given else ("-".join(path), _short(held), _short(given))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def require(folder: Path) -> None:
    """Raises RunError where a folder is no run."""
    if not (folder / SETTINGS).exists():
        raise RunError(f"{folder} is no run folder: give the folder that `vebi fit` wrote")


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of a run. Raises RunError where the folder holds none, or a damaged one."""
    require(folder)
    path = folder / SETTINGS
    settings = read_json(path).get("settings")
    if not isinstance(settings, dict):
        raise RunError(f"{path} is damaged, it holds no settings: delete {folder} and fit again")
    return settings


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        useless = path.parent if path.name == SETTINGS else path
        raise RunError(
            f"{path} is damaged or missing ({error}): delete {useless} and run the same `vebi fit` again"
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RunError(f"{path} is not of the format {FORMAT}: fit again with this version of vebi")
    return content
