"""Where a network comes from: built in, torchvision, timm, or a file of the user's."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from vebi.errors import MissingExtraError, ModelError, UsageError, VebiError, text_of
from vebi.files import MOST_TEXT_BYTES, check_file
from vebi.models.architectures import ARCHITECTURES
from vebi.models.model_errors import errors_of_attributes
from vebi.models.weights import MODEL_ATTRIBUTES
from vebi.provenance import import_advice, is_of_torchvision


def build_model(spec: str, state: dict[str, Tensor] | None) -> tuple[nn.Module, dict[str, Any]]:
    """The network that a spec names, and what its source says of its preprocessing and classes.

    The part before the first colon decides what is built in, so that no such spec can lead to a file.

    Args:
        spec: As for ``load_classifier``, but no checkpoint.
        state: The weights that will be loaded, or None for the source's own.

    Returns:
        The network, and values by name, some of ``MODEL_ATTRIBUTES``.

    Raises:
        UsageError: The spec names no model.
        ModelError: The model does not exist, cannot be built or has no weights.
        MissingExtraError: torchvision or timm is not installed.
    """
    kind, _, name = spec.partition(":")
    if kind == "vebi" and name in ARCHITECTURES:
        if state is None:
            raise ModelError(f"{spec} has no weights of its own: train it with `vebi train` and give its checkpoint")
        bias = state.get("linear.bias", torch.empty(0))
        architecture = ARCHITECTURES[name]
        return architecture(max(2, bias.numel())), model_attributes(architecture)
    if kind == "torchvision":
        return _torchvision(name, pretrained=state is None)
    if kind == "timm":
        return _timm(name, pretrained=state is None)
    file, _, function = spec.rpartition(":")
    if kind != "vebi" and file.endswith(".py"):
        module = call_function(Path(file), function)
        if not isinstance(module, nn.Module):
            raise ModelError(f"{spec} returned a {type(module).__name__}, but a torch.nn.Module is needed")
        return module, model_attributes(module)
    raise UsageError(
        f"{spec!r} names no model: give FILE.py:FUNCTION, torchvision:NAME, timm:NAME or a checkpoint of `vebi train`"
    )


def model_attributes(source: object) -> dict[str, Any]:
    """What a network says of its preprocessing and classes: ``MODEL_ATTRIBUTES`` by name, None where it has none."""
    with errors_of_attributes():
        return {name: getattr(source, name, None) for name in MODEL_ATTRIBUTES}


def call_function(file: Path, function: str, *arguments: Any) -> Any:
    """What a function of a user's file returns.

    The file is executed, and can import modules beside it meanwhile.

    Args:
        file: A Python file, whose name ends in ``.py``.
        function: The name of a function in it.
        *arguments: What the function is called with.

    Returns:
        What the function returns.

    Raises:
        ModelError: The file or the function does not exist, or stops with an error.
    """
    check_code(file)
    name = f"vebi_model_{file.stem}"
    module_spec = importlib.util.spec_from_file_location(name, file)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    try:
        with _neighbours(file.resolve().parent):
            module_spec.loader.exec_module(module)
            called = getattr(module, function, None)
            if not callable(called):
                raise ModelError(f"{file} has no function {function!r}: give FILE.py:FUNCTION")
            return called(*arguments)
    except (VebiError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a file can raise what is no Exception, as SystemExit
        pair = f": {import_advice(error, 'torchvision')}" if is_of_torchvision(error) else ""
        raise ModelError(f"{file}:{function} stopped with {type(error).__name__}: {text_of(error)}{pair}") from error


def check_code(file: Path) -> None:
    """Checks that a Python file of the user's can be read: a pipe or a device may never end.

    Args:
        file: Its path.

    Raises:
        ModelError: It does not exist, or is no regular file, or larger than a text file is.
    """
    advice = "give the path of a Python file and a function in it"
    try:
        check_file(file, MOST_TEXT_BYTES)
    except (FileNotFoundError, ValueError):  # a path with a null character
        raise ModelError(f"{file} does not exist: {advice}") from None
    except OSError as error:
        raise ModelError(f"{file} cannot be used ({error.strerror}): {advice}") from None


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Modules of a folder can be imported as by a script in it.

    They are forgotten afterwards: the neighbours of another file may have the same names.
    """
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


def _library(module: str, needs: str, spec: str) -> Any:
    """The module with the function that a spec needs; it has no types."""
    package = module.partition(".")[0]
    try:
        import_module(package)
        library = import_module(module)
        getattr(library, needs)  # an empty folder of that name can be imported, too
        return library
    except Exception as error:  # a package built for another torch fails in ways of its own
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            raise MissingExtraError(package, "models", spec) from None
        reason = shorten(text_of(error) or type(error).__name__, 200)
        raise VebiError(f"{package} cannot be imported ({reason}): {import_advice(error, package)}") from None


def _torchvision(name: str, pretrained: bool) -> tuple[nn.Module, dict[str, Any]]:
    models = _library("torchvision.models", "get_model", f"torchvision:{name}")
    if name not in models.list_models(module=models):
        raise ModelError(f"torchvision has no classifier {name!r}: see torchvision.models.list_models()")
    weights = models.get_model_weights(name).DEFAULT
    try:
        module = models.get_model(name, weights=weights if pretrained else None)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"the weights of torchvision:{name} cannot be fetched ({error}): give a weights file"
        ) from None
    transforms = weights.transforms()
    return module, {
        "mean": transforms.mean,
        "std": transforms.std,
        "size": transforms.crop_size[0],
        "resize": transforms.resize_size[0],
        "interpolation": transforms.interpolation.value,
        "class_names": weights.meta["categories"] if pretrained else None,
    }


def _timm(name: str, pretrained: bool) -> tuple[nn.Module, dict[str, Any]]:
    timm = _library("timm", "create_model", f"timm:{name}")
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
