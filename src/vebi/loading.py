"""A classifier from a spec: built-in, from torchvision or timm, or from a user's own file."""

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from vebi.classifier import Classifier, Preprocess
from vebi.errors import InputError, MissingExtra, ModelError, UsageError
from vebi.flowernet import FlowerNet

CHECKPOINT = "vebi-checkpoint"


def load_classifier(
    spec: str | Path,
    weights: str | Path | None = None,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int | None = None,
    resize: int | None = None,
    class_names: Sequence[str] | None = None,
    device: str = "cpu",
) -> Classifier:
    """The classifier that ``spec`` names, checked by one forward pass.

    ``spec``: ``FILE.py:FUNCTION`` (the function returns an ``nn.Module``; the file is executed, so it must be yours),
    ``torchvision:NAME``, ``timm:NAME``, ``vebi:flowernet``, or a checkpoint of ``vebi train``.
    ``weights``: a safetensors file, or a file that ``torch.load(weights_only=True)`` reads. Without it torchvision and
    timm fetch their own pretrained weights. ``mean``, ``std``, ``size``, ``resize`` and ``class_names`` come from the
    arguments, else from the checkpoint, else from the network's own attributes or configuration.
    Raises ModelError where anything does not fit.
    """
    spec = str(spec)
    state, own = (None, {}) if weights is None else _read_weights(Path(weights))
    if spec.endswith(".safetensors"):
        if weights is not None:
            raise UsageError(f"{spec} is a checkpoint with weights of its own: leave weights={weights} out")
        weights = spec
        state, own = _read_weights(Path(spec))
        if own.get("format") != CHECKPOINT:
            raise ModelError(f"{spec} holds weights alone: give the network as SPEC and this file as its weights")
        spec = own.get("model", "")
        if not spec.startswith("vebi:"):  # a data file must never choose the code that runs
            raise ModelError(f"{weights} names the network {spec!r}, but a checkpoint may only name one of vebi's own")
    count = len(class_names or own.get("class_names") or ())
    if not count and state is not None and "linear.weight" in state:
        count = len(state["linear.weight"])
    module, defaults = _build(spec, count, pretrained=state is None)
    if state is not None:
        _load_state(module, state, str(weights))
    _check_finite(module)
    known = {**defaults, **{k: v for k, v in own.items() if k in ("mean", "std", "size", "resize", "class_names")}}
    known |= {
        k: v
        for k, v in dict(mean=mean, std=std, size=size, resize=resize, class_names=class_names).items()
        if v is not None
    }
    missing = [k for k in ("mean", "std", "size") if known.get(k) is None]
    if missing:
        raise UsageError(
            f"{spec} does not say its {', '.join(missing)}: give the values it was trained with, "
            f"as arguments or as attributes of the network"
        )
    preprocess = Preprocess(
        int(known["size"]), tuple(map(float, known["mean"])), tuple(map(float, known["std"])), known.get("resize")
    )
    names = known.get("class_names")
    classifier = Classifier(
        module.to(device).eval(),
        preprocess,
        tuple(map(str, names)) if names else None,
        spec,
        str(Path(weights).resolve()) if weights else None,
    )
    _try(classifier)
    return classifier


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
    partial = path.with_name(path.name + ".partial")
    safetensors.torch.save_file(module.state_dict(), partial, metadata)
    partial.replace(path)


def read_note(path: Path) -> dict[str, Any]:
    """What a checkpoint says of its training; raises ModelError where it is none."""
    return _read_weights(path)[1].get("note", {})


def _build(spec: str, classes: int, *, pretrained: bool) -> tuple[nn.Module, dict[str, Any]]:
    """The module that a spec names, and what is known of its preparation and classes."""
    kind, _, name = spec.rpartition(":")
    if kind == "vebi" and name == "flowernet":
        if not classes:
            raise ModelError(
                "vebi:flowernet has no weights of its own: train it with `vebi train` and give its checkpoint"
            )
        return FlowerNet(classes), _attributes(FlowerNet)
    if kind == "torchvision":
        return _torchvision(name, pretrained)
    if kind == "timm":
        return _timm(name, pretrained)
    if kind.endswith(".py"):
        module = _call(Path(kind), name)
        return module, _attributes(module)
    raise UsageError(
        f"{spec!r} names no model: give FILE.py:FUNCTION, torchvision:NAME, timm:NAME or a checkpoint of `vebi train`"
    )


def _attributes(source: Any) -> dict[str, Any]:
    return {k: getattr(source, k, None) for k in ("mean", "std", "size", "resize", "class_names")}


def _call(file: Path, function: str) -> nn.Module:
    if not file.is_file():
        raise ModelError(
            f"{file} does not exist: give the path of a Python file and the function that builds the network"
        )
    name = f"vebi_model_{file.stem}"
    source = importlib.util.spec_from_file_location(name, file)
    namespace = importlib.util.module_from_spec(source)
    sys.modules[name] = namespace
    try:
        source.loader.exec_module(namespace)
        build = getattr(namespace, function, None)
        if not callable(build):
            raise ModelError(f"{file} has no function {function}: give FILE.py:FUNCTION")
        module = build()
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{file}:{function} stopped with {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"{file}:{function} returned a {type(module).__name__}, but a torch.nn.Module is needed")
    return module


def _torchvision(name: str, pretrained: bool) -> tuple[nn.Module, dict[str, Any]]:
    try:
        from torchvision import models
    except ImportError:
        raise MissingExtra("torchvision", "models", f"torchvision:{name}") from None
    try:
        weights = models.get_model_weights(name).DEFAULT
        module = models.get_model(name, weights=weights if pretrained else None)
    except ValueError:
        raise ModelError(f"torchvision has no model {name!r}: see torchvision.models.list_models()") from None
    except OSError as error:
        raise ModelError(
            f"the weights of torchvision:{name} cannot be fetched ({error}): give a weights file"
        ) from None
    prepare = weights.transforms()
    return module, {
        "mean": prepare.mean,
        "std": prepare.std,
        "size": prepare.crop_size[0],
        "resize": prepare.resize_size[0],
        "class_names": weights.meta["categories"] if pretrained else None,
    }


def _timm(name: str, pretrained: bool) -> tuple[nn.Module, dict[str, Any]]:
    try:
        import timm
    except ImportError:
        raise MissingExtra("timm", "models", f"timm:{name}") from None
    try:
        module = timm.create_model(name, pretrained=pretrained)
    except RuntimeError as error:
        raise ModelError(f"timm cannot build {name!r} ({error}): see timm.list_models()") from None
    except OSError as error:
        raise ModelError(f"the weights of timm:{name} cannot be fetched ({error}): give a weights file") from None
    config = module.pretrained_cfg
    size = config["input_size"][-1]
    return module, {
        "mean": config["mean"],
        "std": config["std"],
        "size": size,
        "resize": round(size / config.get("crop_pct", 1)),
    }


def _read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict and metadata of a weights file; nothing in it is ever executed."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist: give the path of a weights file")
    if path.suffix == ".safetensors":
        try:
            with safetensors.safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
            state = safetensors.torch.load_file(path)
            own = {k: v if k in ("format", "model") else json.loads(v) for k, v in metadata.items() if k in _KEYS}
        except (safetensors.SafetensorError, ValueError) as error:
            raise ModelError(f"{path} is no intact safetensors file ({error}): save the weights again") from None
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
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path} holds a {type(state).__name__}, but a state_dict of tensors is needed")
    return state, {}


_KEYS = ("format", "model", "note", "mean", "std", "size", "resize", "class_names")


def _load_state(module: nn.Module, state: dict[str, Tensor], path: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]]
        raise ModelError(f"{path} does not fit the network: {' '.join(reasons)[:300]}") from None


def _check_finite(module: nn.Module) -> None:
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ModelError(
                f"the weights hold NaN or infinity in {name}: the network is broken, train or save it again"
            )


def _try(classifier: Classifier) -> None:
    try:
        with torch.inference_mode():
            classifier.scores(classifier.blank())
    except InputError:
        raise
    except Exception as error:
        raise ModelError(
            f"the model fails on an input of shape {tuple(classifier.blank().shape)}: {error}: check size and mean"
        ) from error
