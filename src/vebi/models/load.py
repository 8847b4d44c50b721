"""A classifier from a spec: built-in, from torchvision or timm, or from a user's own file."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vebi.errors import ModelError, UsageError, VebiWarning, as_count, as_names, as_path
from vebi.models.classifier import Classifier
from vebi.models.evaluation import to_eval
from vebi.models.model_errors import errors_of_mode
from vebi.models.network_kind import check_finite, unwrap
from vebi.models.preprocess import Preprocess
from vebi.models.sources import build_model
from vebi.models.weights import CHECKPOINT, load_state, read_weights


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
    class_ids: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
) -> Classifier:
    """The classifier that a spec names, checked by one forward pass.

    For a network that exists in Python: ``vebi.Classifier(network, vebi.Preprocess(...), class_names)``.

    ``mean``, ``std``, ``size`` and ``class_names`` come from the arguments, else from the checkpoint, else from the
    network's own attributes or configuration; ``resize`` and ``interpolation`` from the arguments, else from where
    ``size`` comes from: if ``size`` is given, the model's own resize and interpolation are not used.

    Args:
        spec: ``FILE.py:FUNCTION``, ``torchvision:NAME``, ``timm:NAME``, a checkpoint of `vebi train`, or one of its
            reference networks, ``vebi:flowernet``, ``vebi:flower-resnet`` or ``vebi:flower-vgg``, with its ``weights``.
            The function returns an ``nn.Module``, of which the attributes ``mean``, ``std``, ``size``, ``resize``,
            ``interpolation`` and ``class_names`` are read where it has them. The file is executed, so it must be
            yours, and can import modules beside it while it is loaded.
        weights: A safetensors file, or a file that ``torch.load(weights_only=True)`` reads: a state dict, or a dict
            with one under ``state_dict``, ``model``, ``ema`` or another usual name; prefixes of all names, such as
            ``module.``, are taken off. Without it torchvision and timm fetch their own pretrained weights.
        mean: The mean of each channel on the scale from 0 to 1: three numbers for RGB, one for grey.
        std: The standard deviation of each channel on the same scale, above 0: three numbers or one, as ``mean``.
        size: Height and width of the network's input in pixels.
        resize: The length in pixels that the shorter side of an image is scaled to before the center crop, at least
            ``size``; by default that of the source of ``size``, else ``size``.
        interpolation: ``bilinear``, ``bicubic``, ``lanczos`` or ``nearest``; by default that of the source of ``size``,
            else ``bilinear``.
        class_names: One name per output, in the order of the outputs. Where neither the arguments nor the model name
            them they are None, and ``interpret`` takes them from the class folders, sorted, with a warning.
        class_ids: What the folders of images are called instead of these names, as by WordNet ids, in the same order.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a GPU where there is one. The default is ``cpu`` here and
            ``auto`` on the command line.

    Returns:
        The classifier, in evaluation mode, on ``device``.

    Raises:
        ModelError: The network or its weights cannot be used, or do not fit.
        UsageError: The spec names no model or is a network, a value is not allowed, or one is needed that nothing says.
        MissingExtraError: torchvision or timm is not installed.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("network.py").write_text('''
        ... from torch import nn
        ...
        ... def build():
        ...     return nn.Sequential(nn.Conv2d(3, 2, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        ... ''')
        >>> network = vebi.load_classifier(
        ...     "network.py:build", mean=[0.5] * 3, std=[0.25] * 3, size=32, class_names=["cat", "dog"]
        ... )
        >>> network.class_names
        ('cat', 'dog')
    """
    if isinstance(spec, nn.Module):
        raise UsageError(
            f"the spec is a {type(spec).__name__}, a network that exists already: use "
            f"vebi.Classifier(network, vebi.Preprocess(...), class_names)"
        )
    arguments = {
        "mean": mean,
        "std": std,
        "size": None if size is None else as_count("size", size, least=0),
        "resize": None if resize is None else as_count("resize", resize, least=0),
        "interpolation": interpolation,
        "class_names": None if class_names is None else as_names("class_names", class_names),
    }
    ids = None if class_ids is None else as_names("class_ids", class_ids)
    torch_device = find_device(device)
    with torch.inference_mode(False):  # no gradient ever leads to weights that are made in it
        name, weights, state, metadata = _resolve_weights(str(spec), weights)
        module, defaults = build_model(name, state)
        module = unwrap(module)
        if state is not None:
            load_state(module, state, str(weights))
        check_finite(module)
        with errors_of_mode(f"moved to {torch_device}"):
            module.to(torch_device)
        to_eval(module)
    preprocess, names = _preprocess_and_names(name, _first_values([arguments, metadata, defaults]))
    path = str(Path(weights).resolve()) if weights else None
    classifier = Classifier(module, preprocess, names, name, path, ids)
    for note in classifier.probe().notes:
        warnings.warn(note, VebiWarning, stacklevel=2)
    return classifier


def find_device(name: str | torch.device) -> torch.device:
    """The device of a name.

    Others than these lack float64, in which descriptors are summed.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a CUDA (or ROCm) device where there is one, else the CPU; or
            the device itself.

    Returns:
        The device.

    Raises:
        UsageError: This machine has no such device.
    """
    count = torch.cuda.device_count()
    name = str(name) if isinstance(name, torch.device) else name
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    available = ["cpu"] + ["cuda"] * bool(count) + [f"cuda:{k}" for k in range(count)]
    if name not in available:
        raise UsageError(
            f"the device is {name!r}, but this machine has {', '.join(available)}: choose one of these or auto"
        )
    return torch.device(name)


def _resolve_weights(
    spec: str, weights: str | Path | None
) -> tuple[str, str | Path | None, dict[str, Tensor] | None, dict[str, Any]]:
    """The spec of the network, the path of its weights, its state dict, and the metadata of its checkpoint."""
    if not spec.endswith(".safetensors"):
        hint = "the path of a file is needed: load a state dict into the network, and use vebi.Classifier"
        state, metadata = (None, {}) if weights is None else read_weights(as_path("weights", weights, hint))
        return spec, weights, state, metadata
    if weights is not None:
        raise UsageError(f"{spec} is a checkpoint with weights of its own: leave weights={weights} out")
    state, metadata = read_weights(Path(spec))
    if metadata.get("format") != CHECKPOINT:
        raise ModelError(f"{spec} holds weights alone: give the network as SPEC and this file as its weights")
    model = metadata.get("model", "")
    if model.partition(":")[0] != "vebi":  # a data file must never choose the code that runs
        raise ModelError(f"{spec} names the network {model!r}, but a checkpoint may only name one of vebi's own")
    return model, spec, state, metadata


def _first_values(sources: list[dict[str, Any]]) -> dict[str, Any]:
    """Each value from the first source that has it; ``resize`` and ``interpolation`` belong to a source's ``size``."""
    arguments = sources[0]
    values: dict[str, Any] = {}
    for key in ("mean", "std", "size", "class_names"):
        source = next((source for source in sources if source.get(key) is not None), {})
        values[key] = source.get(key)
        if key == "size":
            values["resize"] = source.get("resize") if arguments["resize"] is None else arguments["resize"]
            values["interpolation"] = arguments["interpolation"] or source.get("interpolation") or "bilinear"
    return values


def _preprocess_and_names(spec: str, values: dict[str, Any]) -> tuple[Preprocess, tuple[str, ...] | None]:
    missing = [key for key in ("mean", "std", "size") if values[key] is None]
    if missing:
        raise UsageError(
            f"{spec} does not say its {', '.join(missing)}: give the values it was trained with, "
            f"as arguments or as attributes of the network"
        )
    try:
        mean, std = (tuple(map(float, np.atleast_1d(values[key]))) for key in ("mean", "std"))
        size = as_count("size", values["size"], least=0)
        resize = None if values["resize"] is None else as_count("resize", values["resize"], least=0)
        names = None if values["class_names"] is None else as_names("class_names", values["class_names"])
    except (TypeError, ValueError, OverflowError):
        given = ", ".join(f"{key}={shorten(repr(value), 60)}" for key, value in values.items() if key != "class_names")
        raise ModelError(
            f"{spec} has {given}, but mean and std must be lists of numbers, size and resize integers and class "
            f"names a list: correct them"
        ) from None
    return Preprocess(size, mean, std, resize, values["interpolation"]), names
