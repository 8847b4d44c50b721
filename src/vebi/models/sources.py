"""Where a network comes from: built in, torchvision, timm, or a file of the user's."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vebi.errors import MissingExtra, ModelError, UsageError, VebiError
from vebi.models.flowernet import FlowerNet
from vebi.models.weights import _PREPARATION


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
