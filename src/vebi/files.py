"""Files that are written in full or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vebi.errors import RunError, UsageError

#: The suffix of a file that is being written.
PARTIAL = ".partial"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to, which replaces ``path`` once the block ends without an error.

    Args:
        path: The file to write; its folder exists.

    Yields:
        The temporary path, an empty file.
    """
    partial = path.with_name(path.name + PARTIAL)
    partial.unlink(missing_ok=True)
    partial.touch()
    mode = partial.stat().st_mode
    yield partial
    partial.chmod(mode)  # safetensors creates files that only their owner can read
    partial.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Writes ``content`` as JSON, atomically.

    Args:
        path: The file to write; its folder exists.
        content: Anything that JSON takes.
    """
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")


def write_arrays(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Writes arrays as a safetensors file, atomically.

    Args:
        path: The file to write; its folder exists.
        arrays: Arrays by name, in any memory order: they are made contiguous, as safetensors writes memory as it lies.
        metadata: Texts by name.
    """
    from safetensors.numpy import save_file

    with atomic_write(path) as partial:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, partial, metadata)


def prepare_output_folder(folder: Path) -> None:
    """Makes a folder to write into.

    Args:
        folder: The folder, which may exist.

    Raises:
        RunError: There can be no such folder, or nothing can be written into it.
    """
    reason: str | None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(folder, os.W_OK | os.X_OK) else "permission denied"
    except FileExistsError:
        reason = "it is a file"
    except OSError as error:
        reason = error.strerror
    if reason:
        raise RunError(f"{folder} cannot be used as a folder to write into ({reason}): choose another")


def prepare_output_file(path: Path) -> None:
    """Makes the folder that a file is written into.

    Args:
        path: The file, which may exist.

    Raises:
        RunError: Nothing can be written into its folder.
        UsageError: ``path`` is a folder.
    """
    prepare_output_folder(path.parent)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file in it")
