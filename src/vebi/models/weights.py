"""Weights and checkpoints: files of tensors, in which nothing is ever executed."""

import json
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from vebi.errors import ModelError, VebiWarning, join_names
from vebi.files import atomic_write
from vebi.models.preprocess import Preprocess

#: The format that the metadata of a checkpoint name.
CHECKPOINT = "vebi-checkpoint"
#: Where training code keeps the weights in its checkpoints; what follows the training smoothly comes first.
STATES = (
    "checkpoint",
    "model_ema",
    "ema",
    "state_dict_ema",
    "ema_state_dict",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
)
#: What it puts before their names: DataParallel, torch.compile, Lightning and the like.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
#: What a network, its configuration or its checkpoint may say of its preprocessing and its classes.
MODEL_ATTRIBUTES = ("mean", "std", "size", "resize", "interpolation", "class_names")
METADATA_KEYS = ("format", "model", "note", *MODEL_ATTRIBUTES)


def save_checkpoint(
    path: Path, module: nn.Module, model: str, preprocess: Preprocess, class_names: Sequence[str], note: dict[str, Any]
) -> None:
    """Writes a safetensors file from which ``load_classifier`` makes the classifier.

    Args:
        path: The file to write.
        module: The network.
        model: The spec of the network, one of vebi's own.
        preprocess: Its preprocessing.
        class_names: One name per class.
        note: How the network was trained, as JSON takes it.
    """
    metadata = {
        "format": CHECKPOINT,
        "model": model,
        "mean": json.dumps(preprocess.mean),
        "std": json.dumps(preprocess.std),
        "size": json.dumps(preprocess.size),
        "class_names": json.dumps(list(class_names)),
        "note": json.dumps(note),
    }
    content = safetensors.torch.save(module.state_dict(), metadata)
    with atomic_write(path) as partial:
        partial.write_bytes(content)


def read_note(path: Path) -> dict[str, Any]:
    """The note of a checkpoint, which says how its network was trained.

    Args:
        path: The checkpoint.

    Returns:
        The note, empty where there is none.

    Raises:
        ModelError: The file cannot be read.
    """
    note: dict[str, Any] = read_weights(path)[1].get("note", {})
    return note


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict and the metadata of a weights file; nothing in it is ever executed.

    Args:
        path: A safetensors file, or one that ``torch.load(weights_only=True)`` reads.

    Returns:
        The tensors by name, and what the metadata hold under ``METADATA_KEYS``.

    Raises:
        ModelError: The file cannot be read, or holds something else.
    """
    if not path.is_file():
        raise ModelError(f"{path} is no file: give the path of a weights file")
    return _read_safetensors(path) if path.suffix == ".safetensors" else (_read_torch(path), {})


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            texts = file.metadata() or {}
        state = safetensors.torch.load_file(path)
        metadata = {
            key: text if key in ("format", "model") else json.loads(text)
            for key, text in texts.items()
            if key in METADATA_KEYS
        }
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no intact safetensors file ({error}): save the weights again") from None
    if not isinstance(metadata.get("note", {}), dict):
        raise ModelError(f"{path} holds a note that vebi did not write: train the network again")
    return state, metadata


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch raise their own kinds
        raise ModelError(
            f"{path} cannot be read without unpickling code or is damaged ({type(error).__name__}): "
            f"save a state_dict, best as safetensors"
        ) from None
    inside = list[str]()
    while isinstance(state, dict) and (key := next((k for k in STATES if isinstance(state.get(k), dict)), None)):
        inside.append(key)
        state = state[key]
    if inside:
        _note(f"the weights of {path} are those under {' and '.join(map(repr, inside))}")
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise ModelError(f"{path} holds no state_dict, but names with a tensor each are needed: save the state_dict")
    return state


def load_state(module: nn.Module, state: dict[str, Tensor], path: str) -> None:
    """Loads a state dict into a module; prefixes that training code puts before its names are taken off, and said.

    Args:
        module: The network.
        state: The tensors by name.
        path: What messages call the state dict.

    Raises:
        ModelError: The names or shapes do not fit.
    """
    needed = module.state_dict().keys()
    state, prefix = _without_prefix(state, needed)
    if prefix:
        _note(f"{prefix!r} is taken off the names of the weights in {path}")
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]]
        raise ModelError(
            f"{path} does not fit the network: {shorten(' '.join(reasons), 300)}; the file has {_first(state)}, the "
            f"network {_first(needed)}: give the weights of this network"
        ) from None


def _without_prefix(state: dict[str, Tensor], needed: Collection[str]) -> tuple[dict[str, Tensor], str]:
    """The state dict without prefixes of all of its names, as far as more of these are then needed; and the prefix."""
    best, taken, prefix = state, "", ""
    while state:
        first = next((p for p in PREFIXES if all(name.startswith(p) for name in state)), None)
        if first is None:
            break
        state, prefix = {name.removeprefix(first): value for name, value in state.items()}, prefix + first
        if len(state.keys() & set(needed)) > len(best.keys() & set(needed)):
            best, taken = state, prefix
    return best, taken


def _first(names: Collection[str]) -> str:
    return join_names(list(names), 3) or "nothing"


def _note(text: str) -> None:
    warnings.warn(text, VebiWarning, stacklevel=3)
