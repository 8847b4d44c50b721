"""A run folder: whose it is, and how small files get into it whole. Data, never code.

``run.json`` the settings, written first; ``table/`` the shards of descriptors; ``interpretation.json`` and
``interpretation.safetensors`` the result; ``features/`` a picture of every feature.
"""

import json
import os
from pathlib import Path
from typing import Any

from vebi.classifier import Classifier, Preprocess
from vebi.errors import RunError
from vebi.loading import load_classifier

FORMAT = "vebi-run-1"
RESULT = "interpretation.json"
#: What does not change a result, and may therefore differ when a run goes on.
_FREE = {("model", "weights"), ("model", "spec")}


def claim(folder: Path, settings: dict[str, Any]) -> bool:
    """Makes the folder this run's own; True where its result is there already.

    Raises RunError where the folder holds a run with other settings, or files that are no run.
    """
    path = folder / "run.json"
    if path.exists():
        differing = _difference(read_json(path).get("settings", {}), settings)
        if differing:
            name, held, given = differing
            raise RunError(
                f"{folder} holds a run with {name} {held}, not {given}: "
                f"choose another folder, or the same settings to go on"
            )
        return (folder / RESULT).exists()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} holds other files and no run: choose an empty or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"format": FORMAT, "settings": settings})
    return False


def find_classifier(
    folder: str | os.PathLike, spec: str | None = None, weights: str | None = None, device: str = "cpu"
) -> Classifier:
    """The model of a run, with the preparation of pictures it was fitted with.

    A model that is built in is found by its name and its weights file; a user's own file only where ``spec`` names it:
    a run never says which code to execute. Raises RunError where ``spec`` is needed or the weights are another's.
    """
    settings = read_json(Path(folder) / "run.json")["settings"]
    model = settings["model"]
    held = model["spec"] or ""
    if spec is None:
        if held.partition(":")[0] not in ("vebi", "torchvision", "timm"):
            raise RunError(
                f"the model of {folder} is {held or 'one made in Python'}, and a run never names code to execute: "
                f"give it with --model FILE.py:FUNCTION"
            )
        spec, weights = held, weights or model["weights"]
    prepare = settings["preprocess"]
    classifier = load_classifier(spec, weights, **prepare, class_names=settings["classes"], device=device)
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
    if settings["preprocess"] != describe_preprocess(classifier.preprocess):
        raise RunError(
            f"the run was made with the preparation {settings['preprocess']}, "
            f"the model given has {describe_preprocess(classifier.preprocess)}: give the same size, mean and std"
        )


def describe_preprocess(preprocess: Preprocess) -> dict[str, Any]:
    return {
        "size": preprocess.size,
        "resize": preprocess.resize,
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


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged or missing ({error}): give an intact run folder") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RunError(f"{path} is not of the format {FORMAT}: fit again with this version of vebi")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)
