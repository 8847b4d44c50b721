"""Files that are whole or not there."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vebi.errors import RunError, UsageError

PARTIAL = ".partial"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to; the file gets its own name when all of it is written, and never before."""
    partial = path.with_name(path.name + PARTIAL)
    partial.unlink(missing_ok=True)
    partial.touch()
    mode = partial.stat().st_mode
    yield partial
    partial.chmod(mode)  # safetensors makes files that only their owner can read
    partial.replace(path)


def write_json(path: Path, content: Any) -> None:
    with whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")


def write_arrays(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """A safetensors file of arrays in any order of memory: safetensors writes memory as it lies."""
    from safetensors.numpy import save_file

    with whole(path) as partial:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, partial, metadata)


def make_folder(folder: Path) -> None:
    """Raises RunError where there can be no such folder, or nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(folder, os.W_OK | os.X_OK) else "permission denied"
    except FileExistsError:
        reason = "it is a file"
    except OSError as error:
        reason = error.strerror
    if reason:
        raise RunError(f"{folder} cannot be used as a folder to write into ({reason}): choose another")


def make_place(path: Path) -> None:
    """Makes the folder that a file goes into. Raises UsageError where the file itself is a folder."""
    make_folder(path.parent)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file in it")
