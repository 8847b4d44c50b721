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
from vebi.files import atomic_write, parse_json, utf8_path
from vebi.models.model_errors import errors_of_parts
from vebi.models.preprocess import Preprocess
from vebi.models.state_dict import COMPILED, find_state, fit_names

#: The format that the metadata of a checkpoint name.
CHECKPOINT = "vebi-checkpoint"
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
        with utf8_path(path) as readable:
            with safetensors.safe_open(readable, "pt") as file:
                texts = file.metadata() or {}
            state = safetensors.torch.load_file(readable)
        metadata = {
            key: text if key in ("format", "model") else parse_json(text)
            for key, text in texts.items()
            if key in METADATA_KEYS
        }
    except (safetensors.SafetensorError, OSError, ValueError) as error:
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
    stored = find_state(state)
    if stored is None:
        keys = _first(list(map(str, state)), 12) if isinstance(state, dict) else f"a {type(state).__name__}"
        raise ModelError(
            f"{path} holds no state_dict: the file has {keys}, but names with a tensor each are needed, as they are or "
            f"under a usual name: save the state_dict"
        )
    tensors, inside = stored
    if inside:
        _note(f"the weights of {path} are those under {' and '.join(map(repr, inside))}")
    return tensors


@errors_of_parts()
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
    fitted = fit_names(state, needed)
    if fitted.prefix:
        beside = f", and left out is what does not have it: {_first(fitted.left_out)}" if fitted.left_out else ""
        _note(f"{fitted.prefix!r} is taken off the names of the weights in {path}{beside}")
    if fitted.compiled:
        _note(f"{COMPILED!r}, which torch.compile writes, is ignored in the names of the weights in {path}")
    try:
        module.load_state_dict(fitted.tensors)
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]]
        raise ModelError(
            f"{path} does not fit the network: {shorten(' '.join(reasons), 300)}; the file has "
            f"{_first(fitted.tensors)}, the network {_first(needed)}: give the weights of this network"
        ) from None


def _first(names: Collection[str], most: int = 3) -> str:
    return join_names(list(names), most) or "nothing"


def _note(text: str) -> None:
    warnings.warn(text, VebiWarning, stacklevel=3)
