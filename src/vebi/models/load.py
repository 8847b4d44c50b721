"""A classifier from a spec: built-in, from torchvision or timm, or from a user's own file."""

import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from vebi.errors import InputError, MissingExtra, ModelError, UsageError, VebiError
from vebi.files import whole
from vebi.models.classifier import Classifier, Preprocess
from vebi.models.flowernet import FlowerNet

CHECKPOINT = "vebi-checkpoint"


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


def save_checkpoint(
    path: Path, module: nn.Module, model: str, preprocess: Preprocess, class_names: Sequence[str], note: dict[str, Any]
) -> None:
    """A safetensors file that ``load_classifier`` takes as a whole; ``model`` is a built-in spec, ``note`` says how the
    network was trained."""
    metadata = {
        "format": CHECKPOINT,
        "model": model,
        "mean": json.dumps(preprocess.mean),
        "std": json.dumps(preprocess.std),
        "size": json.dumps(preprocess.size),
        "class_names": json.dumps(list(class_names)),
        "note": json.dumps(note),
    }
    with whole(path) as partial:
        safetensors.torch.save_file(module.state_dict(), partial, metadata)


def read_note(path: Path) -> dict[str, Any]:
    """What a checkpoint says of its training; raises ModelError where it is none."""
    return _read_weights(path)[1].get("note", {})


def _build(spec: str, state: dict[str, Tensor] | None) -> tuple[nn.Module, dict[str, Any]]:
    """The module that a spec names, and what is known of its preparation and classes.

    The part before the first colon decides what is built in, so that no such spec can lead to a file.
    """
    kind, _, name = spec.partition(":")
    if kind == "vebi" and name == "flowernet":
        if state is None:
            raise ModelError(
                "vebi:flowernet has no weights of its own: train it with `vebi train` and give its checkpoint"
            )
        scores = state.get("linear.bias", torch.empty(0))
        return FlowerNet(max(2, scores.numel())), _attributes(FlowerNet)
    if kind == "torchvision":
        return _torchvision(name, pretrained=state is None)
    if kind == "timm":
        return _timm(name, pretrained=state is None)
    file, _, function = spec.rpartition(":")
    if kind != "vebi" and file.endswith(".py"):
        module = call_function(Path(file), function)
        if not isinstance(module, nn.Module):
            raise ModelError(f"{spec} returned a {type(module).__name__}, but a torch.nn.Module is needed")
        return module, _attributes(module)
    raise UsageError(
        f"{spec!r} names no model: give FILE.py:FUNCTION, torchvision:NAME, timm:NAME or a checkpoint of `vebi train`"
    )


_PREPARATION = ("mean", "std", "size", "resize", "interpolation", "class_names")


def _attributes(source: Any) -> dict[str, Any]:
    return {k: getattr(source, k, None) for k in _PREPARATION}


def call_function(file: Path, function: str, *arguments: Any) -> Any:
    """What a function of a user's file returns; the file is executed, and can import modules beside it meanwhile.

    Raises ModelError where file or function do not exist, or stop with an error.
    """
    if not file.is_file():
        raise ModelError(f"{file} does not exist: give the path of a Python file and a function in it")
    name = f"vebi_model_{file.stem}"
    source = importlib.util.spec_from_file_location(name, file)
    namespace = importlib.util.module_from_spec(source)
    sys.modules[name] = namespace
    try:
        with _neighbours(file.resolve().parent):
            source.loader.exec_module(namespace)
            found = getattr(namespace, function, None)
            if not callable(found):
                raise ModelError(f"{file} has no function {function!r}: give FILE.py:FUNCTION")
            return found(*arguments)
    except VebiError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{file}:{function} stopped with {type(error).__name__}: {error}") from error


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Modules of a folder can be imported as by a script in it. They are forgotten afterwards: the neighbours of
    another file may have the same names."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = Path(getattr(sys.modules[name], "__file__", None) or "/")
            top = name.partition(".")[0]
            if file == folder / f"{top}.py" or file.is_relative_to(folder / top):
                del sys.modules[name]


def _library(package: str, spec: str) -> Any:
    try:
        return import_module(package)
    except Exception as error:  # a package built for another torch fails in ways of its own
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            raise MissingExtra(package, "models", spec) from None
        raise VebiError(
            f"{package} cannot be imported ({error}): install versions of {package} and torch that belong together"
        ) from None


def _torchvision(name: str, pretrained: bool) -> tuple[nn.Module, dict[str, Any]]:
    models = _library("torchvision", f"torchvision:{name}").models
    if name not in models.list_models(module=models):
        raise ModelError(f"torchvision has no classifier {name!r}: see torchvision.models.list_models()")
    weights = models.get_model_weights(name).DEFAULT
    try:
        module = models.get_model(name, weights=weights if pretrained else None)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"the weights of torchvision:{name} cannot be fetched ({error}): give a weights file"
        ) from None
    prepare = weights.transforms()
    return module, {
        "mean": prepare.mean,
        "std": prepare.std,
        "size": prepare.crop_size[0],
        "resize": prepare.resize_size[0],
        "interpolation": prepare.interpolation.value,
        "class_names": weights.meta["categories"] if pretrained else None,
    }


def _timm(name: str, pretrained: bool) -> tuple[nn.Module, dict[str, Any]]:
    timm = _library("timm", f"timm:{name}")
    if not timm.is_model(name):  # names of hubs and folders among them: a run must not lead anywhere else
        raise ModelError(f"timm has no model {name!r}: see timm.list_models()")
    try:
        module = timm.create_model(name, pretrained=pretrained)
    except Exception as error:  # of timm, of its hub or of the network under it
        raise ModelError(f"timm:{name} or its weights cannot be had ({error}): give a weights file") from None
    config = module.pretrained_cfg
    size = config["input_size"][-1]
    return module, {
        "mean": config["mean"],
        "std": config["std"],
        "size": size,
        "resize": round(size / (config.get("crop_pct") or 1)),
        "interpolation": config.get("interpolation"),
    }


def _read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict and metadata of a weights file; nothing in it is ever executed."""
    if not path.is_file():
        raise ModelError(f"{path} is no file: give the path of a weights file")
    if path.suffix == ".safetensors":
        try:
            with safetensors.safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
            state = safetensors.torch.load_file(path)
            own = {k: v if k in ("format", "model") else json.loads(v) for k, v in metadata.items() if k in _KEYS}
        except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{path} is no intact safetensors file ({error}): save the weights again") from None
        if not isinstance(own.get("note", {}), dict):
            raise ModelError(f"{path} holds a note that vebi did not write: train the network again")
        return state, own
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch raise their own kinds
        raise ModelError(
            f"{path} cannot be read without unpickling code or is damaged ({type(error).__name__}): "
            f"save a state_dict, best as safetensors"
        ) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise ModelError(f"{path} holds no state_dict, but names with a tensor each are needed: save the state_dict")
    return state, {}


_KEYS = ("format", "model", "note", *_PREPARATION)


def _load_state(module: nn.Module, state: dict[str, Tensor], path: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]]
        raise ModelError(
            f"{path} does not fit the network: {shorten(' '.join(reasons), 300)}; give the weights of this network"
        ) from None


def _check_finite(module: nn.Module) -> None:
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ModelError(
                f"the weights hold NaN or infinity in {name}: the network is broken, train or save it again"
            )


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
