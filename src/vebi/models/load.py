"""A classifier from a spec: built-in, from torchvision or timm, or from a user's own file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vebi.errors import InputError, ModelError, UsageError
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess
from vebi.models.sources import _build
from vebi.models.weights import CHECKPOINT, _check_finite, _load_state, _read_weights


def load_classifier(
    spec: str | Path,
    weights: str | Path | None = None,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int | None = None,
    resize: int | None = None,
    interpolation: str | None = None,
    class_names: Sequence[str] | None = None,
    device: str = "cpu",
) -> Classifier:
    """The classifier that ``spec`` names, checked by one forward pass.

    ``spec``: ``FILE.py:FUNCTION`` (the function returns an ``nn.Module``; the file is executed, so it must be yours; it
    can import modules beside it while it is loaded), ``torchvision:NAME``, ``timm:NAME``, ``vebi:flowernet``, or a
    checkpoint of ``vebi train``.
    ``weights``: a safetensors file, or a file that ``torch.load(weights_only=True)`` reads. Without it torchvision and
    timm fetch their own pretrained weights. ``mean``, ``std``, ``size`` and ``class_names`` come from the arguments,
    else from the checkpoint, else from the network's own attributes or configuration; ``resize`` and
    ``interpolation`` from the arguments, else from where ``size`` comes from. ``device``: see ``find_device``.
    Raises ModelError where anything does not fit.
    """
    spec, place = str(spec), find_device(device)
    state, own = (None, {}) if weights is None else _read_weights(Path(weights))
    if spec.endswith(".safetensors"):
        if weights is not None:
            raise UsageError(f"{spec} is a checkpoint with weights of its own: leave weights={weights} out")
        weights = spec
        state, own = _read_weights(Path(spec))
        if own.get("format") != CHECKPOINT:
            raise ModelError(f"{spec} holds weights alone: give the network as SPEC and this file as its weights")
        spec = own.get("model", "")
        if spec.partition(":")[0] != "vebi":  # a data file must never choose the code that runs
            raise ModelError(f"{weights} names the network {spec!r}, but a checkpoint may only name one of vebi's own")
    module, defaults = _build(spec, state)
    if state is not None:
        _load_state(module, state, str(weights))
    _check_finite(module)
    given = dict(mean=mean, std=std, size=size, resize=resize, interpolation=interpolation, class_names=class_names)
    preprocess, names = _preparation(spec, [given, own, defaults])
    classifier = Classifier(
        module.to(place).eval(), preprocess, names, spec, str(Path(weights).resolve()) if weights else None
    )
    _try(classifier)
    return classifier


def find_device(name: str) -> torch.device:
    """``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a CUDA (or ROCm) device where there is one, else the processor.

    Others lack float64, in which descriptors are summed. Raises UsageError for a device that is not there.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    there = ["cpu"] + ["cuda"] * bool(count) + [f"cuda:{k}" for k in range(count)]
    if name not in there:
        raise UsageError(f"the device is {name!r}, but here are {', '.join(there)}: choose one of these or auto")
    return torch.device(name)


def _preparation(spec: str, sources: list[dict[str, Any]]) -> tuple[Preprocess, tuple[str, ...] | None]:
    """The preparation of pictures and the class names, each from the first source that knows it."""
    known = {}
    for key in ("mean", "std", "size", "class_names"):
        source = next((s for s in sources if s.get(key) is not None), {})
        known[key] = source.get(key)
        if key == "size":
            known["resize"] = source.get("resize") if sources[0]["resize"] is None else sources[0]["resize"]
            known["interpolation"] = sources[0]["interpolation"] or source.get("interpolation") or "bilinear"
    missing = [key for key in ("mean", "std", "size") if known[key] is None]
    if missing:
        raise UsageError(
            f"{spec} does not say its {', '.join(missing)}: give the values it was trained with, "
            f"as arguments or as attributes of the network"
        )
    try:
        mean, std = (tuple(map(float, np.atleast_1d(known[key]))) for key in ("mean", "std"))
        size, resize = int(known["size"]), None if known["resize"] is None else int(known["resize"])
        names = tuple(map(str, known["class_names"] or ())) or None
    except (TypeError, ValueError):
        held = ", ".join(f"{key}={value!r}" for key, value in known.items() if key != "class_names")
        raise ModelError(
            f"{spec} has {held}, but mean and std must be lists of numbers, size and resize whole numbers and class "
            f"names a list: correct them"
        ) from None
    return Preprocess(size, mean, std, resize, known["interpolation"]), names


def _try(classifier: Classifier) -> None:
    try:
        with torch.no_grad():
            classifier.scores(classifier.blank())
    except InputError:
        raise
    except Exception as error:
        size, colours = classifier.preprocess.size, len(classifier.preprocess.mean)
        raise ModelError(
            f"the model fails on an input of shape {(1, colours, size, size)}: {error}: check size and mean"
        ) from error
