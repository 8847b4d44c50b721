"""Weights and checkpoints: files of tensors, in which nothing is ever executed."""

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from vebi.errors import ModelError
from vebi.files import whole
from vebi.models.preprocess import Preprocess

CHECKPOINT = "vebi-checkpoint"


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


_PREPARATION = ("mean", "std", "size", "resize", "interpolation", "class_names")


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
