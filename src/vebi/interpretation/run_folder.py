"""A run folder: which fit it belongs to, and the model of that fit. Data, never code.

``run.json`` holds the settings and is written first; ``table/`` the shards of descriptors; ``interpretation.json`` and
``interpretation.safetensors`` the result; ``features/`` a contact sheet of each feature.
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature, hash_activations
from vebi.activations.shards import shard_name, upgrade_shard
from vebi.activations.table import DescriptorTable
from vebi.errors import RunError
from vebi.files import check_signature, parse_json, read_file, sign, write_json
from vebi.interpretation.earlier_format import EARLIER_FORMATS, upgrade_settings
from vebi.interpretation.settings import FitSettings
from vebi.models.classifier import Classifier
from vebi.models.load import load_classifier
from vebi.models.probe import are_same
from vebi.outputs import other_files, output_folder

FORMAT = "vebi-run-5"
#: The formats that are read.
FORMATS = (FORMAT, *EARLIER_FORMATS)
SETTINGS = "run.json"
RESULT = "interpretation.json"
#: What does not change a result, and may therefore differ when a run is resumed.
_FREE = {("model", "weights"), ("model", "spec"), ("data", "folder")}
#: What may differ by rounding.
_SCORES = ("model", "scores")
_ACTIVATIONS = ("model", "activations")


def open_run(folder: Path, settings: FitSettings) -> bool:
    """Begins a run in a folder, or resumes it.

    Args:
        folder: A new or an empty folder, or one with a run of the same settings.
        settings: The settings of the fit.

    Returns:
        Whether the result is there already.

    Raises:
        RunError: The folder holds a run with other settings, a damaged one, or files that are no run, or another
            process is writing into it.
    """
    path = folder / SETTINGS
    with output_folder(folder):
        if path.exists():
            difference = _first_difference(read_settings(folder).to_dict(), settings.to_dict())
            computed = (folder / RESULT).exists() or any(folder.glob("table/shard-*"))
            if difference and not computed:  # a run that failed before it began, as on images that could not be read
                _write_settings(path, settings)
            elif difference:
                name, recorded, requested = difference
                raise RunError(
                    f"{folder} holds a run with {name} {recorded}, not {requested}: "
                    f"choose another folder, or the same settings to resume it"
                )
            return (folder / RESULT).exists()
        if other_files(folder):
            raise RunError(f"{folder} holds other files and no run: choose an empty or a new folder")
        _write_settings(path, settings)
        return False


def _write_settings(path: Path, settings: FitSettings) -> None:
    write_json(path, sign({"format": FORMAT, "settings": settings.to_dict()}))


def find_classifier(
    folder: str | os.PathLike[str], spec: str | None = None, weights: str | Path | None = None, device: str = "cpu"
) -> Classifier:
    """The model of a run, with the preprocessing it was fitted with.

    A model that is built in is loaded by its name, weights by the path they had; a Python file of the user's only where
    ``spec`` names it: a run never says which code to execute.

    Args:
        folder: The run folder.
        spec: The model, as for ``load_classifier``; needed where the run's is a Python file.
        weights: Its weights, where they are not where they were.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.

    Returns:
        The classifier, whose weights have the hash that the run recorded.

    Raises:
        RunError: ``spec`` is needed, the run is damaged, or the weights are not those of the run.
        ModelError: The model cannot be loaded.
    """
    settings = read_settings(Path(folder))
    if spec is None:
        spec = settings.model.spec or ""
        if spec.partition(":")[0] not in ("vebi", "torchvision", "timm"):
            raise RunError(
                f"the model of {folder} is {spec or 'one made in Python'}, and a run never names code to execute: "
                f"give it with --model FILE.py:FUNCTION"
            )
    if weights is None and not spec.endswith(".safetensors"):
        weights = settings.model.weights
    preprocess = settings.preprocess.to_dict()
    names, ids = settings.class_names, settings.class_ids
    classifier = load_classifier(spec, weights, **preprocess, class_names=names, class_ids=ids, device=device)
    check_model(settings, classifier)
    return classifier


def check_model(settings: FitSettings, classifier: Classifier) -> None:
    """Checks that a classifier is the model of a run.

    Args:
        settings: The settings of the run.
        classifier: The model to compare with them.

    Raises:
        RunError: Its weights, its class scores, its class names or its preprocessing are not those of the run.
        ModelError: It cannot be used.
    """
    recorded, actual = settings.model.sha256, classifier.sha256()
    if recorded != actual:
        raise RunError(
            f"the run was made with other weights ({recorded[:12]}) than those of the model given ({actual[:12]}): "
            f"give the model of the run"
        )
    if classifier.class_names is not None and tuple(classifier.class_names) != settings.class_names:
        raise RunError(
            f"the run was made with the classes {_shortened(settings.class_names)}, the model given names them "
            f"{_shortened(classifier.class_names)}: give the class names of the run in its order"
        )
    if settings.preprocess.to_dict() != classifier.preprocess.to_dict():
        raise RunError(
            f"the run was made with the preprocessing {settings.preprocess}, the model given has "
            f"{classifier.preprocess}: give the same size, mean and std"
        )
    changed = None
    if not _are_same_scores(settings.model.scores, classifier.probe().scores):
        changed = "gives other class scores"
    elif settings.model.activations not in (None, hash_activations(classifier)):
        changed = "has other activation functions"
    if changed:
        raise RunError(
            f"the model given has the weights of the run, but {changed}: its code has changed; give the code of the "
            f"run, or fit again"
        )


def open_table(run: Path, settings: FitSettings, descriptor: Descriptor) -> DescriptorTable:
    """The table of a finished run; one of an earlier version is taken over.

    Args:
        run: The run folder.
        settings: Its settings.
        descriptor: What is made of the shares of energy that the table holds.

    Returns:
        The table.

    Raises:
        RunError: A shard is damaged or missing.
    """
    folder, shards = run / "table", math.ceil(settings.data.n_images / settings.shard_size)
    sizes = [channels for _, channels in settings.layers]
    for k in range(shards):
        upgrade_shard(folder / shard_name(k), sizes, settings.descriptor.energy)
    features = tuple(Feature(layer, c) for layer, channels in settings.layers for c in range(channels))
    return DescriptorTable(folder, features, shards, descriptor, settings.table_sha256())


def check_settings(folder: Path, settings: FitSettings) -> None:
    """Checks that a result is of the run that its folder began.

    Args:
        folder: The run folder.
        settings: Those of the result.

    Raises:
        RunError: They are not those of the run, or these are damaged.
    """
    difference = _first_difference(read_settings(folder).to_dict(), settings.to_dict())
    if difference:
        name, recorded, other = difference
        raise RunError(
            f"{folder / RESULT} is of another fit than {SETTINGS}, its {name} is {other} and not {recorded}: "
            f"delete {folder / RESULT} and run the same `vebi fit` again"
        )


def _first_difference(recorded: Any, requested: Any, path: tuple[str, ...] = ()) -> tuple[str, str, str] | None:
    """The first setting in which two dictionaries differ: its name and both values."""
    if path in _FREE or (path == _SCORES and _are_same_scores(recorded, requested)):
        return None
    if path == _ACTIVATIONS and recorded is None:  # of an earlier version
        return None
    if isinstance(recorded, dict) and isinstance(requested, dict):
        for key in {**recorded, **requested}:
            difference = _first_difference(recorded.get(key), requested.get(key), (*path, key))
            if difference:
                return difference
        return None
    return None if recorded == requested else ("-".join(path), _shortened(recorded), _shortened(requested))


def _are_same_scores(recorded: Sequence[float] | None, actual: Sequence[float] | None) -> bool:
    """Whether scores are the same but for rounding; those of earlier versions are not known."""
    return recorded is None or actual is None or are_same(tuple(recorded), tuple(actual))


def _shortened(value: Any) -> str:
    text = "none" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def check_is_run(folder: Path) -> None:
    """Raises RunError where a folder is no run."""
    if not (folder / SETTINGS).exists():
        raise RunError(f"{folder} is no run folder: give the folder that `vebi fit` wrote")


def read_settings(folder: Path) -> FitSettings:
    """The settings of a run.

    Args:
        folder: The run folder.

    Returns:
        The settings, also of a run that an earlier version wrote.

    Raises:
        RunError: The folder holds none, or damaged ones.
    """
    check_is_run(folder)
    content = read_json(folder / SETTINGS)
    try:
        return FitSettings.from_dict(upgrade_settings(content["settings"], content["format"]))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise RunError(
            f"{folder / SETTINGS} is damaged ({type(error).__name__}: {error}): delete {folder} and fit again"
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file of a run. Raises RunError where it is damaged, missing or of another format."""
    try:
        content = parse_json(read_file(path))
        if isinstance(content, dict):
            check_signature(content)
    except (OSError, ValueError) as error:
        useless = path.parent if path.name == SETTINGS else path
        raise RunError(
            f"{path} is damaged or missing ({error}): delete {useless} and run the same `vebi fit` again"
        ) from None
    if not isinstance(content, dict) or content.get("format") not in FORMATS:
        raise RunError(f"{path} is not of the format {FORMAT}: fit again with this version of vebi")
    return content
