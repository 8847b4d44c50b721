"""Files that are written in full or not at all, and that show it where they were changed afterwards."""

import errno
import hashlib
import json
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from vebi.errors import RunError, UsageError

#: The largest file that is read into memory at once.
MOST_BYTES = 2**31
#: The largest text file, as of code, options or names.
MOST_TEXT_BYTES = 2**26
#: The suffix of a file that is being written.
PARTIAL = ".partial"
#: The name of the checksum of content, in a JSON file and in the metadata of arrays.
CHECKSUM = "sha256"
#: The entry of a safetensors file that holds all metadata, and in it that of the checksums of the arrays.
_METADATA, _ARRAYS = "vebi", "arrays"


def normal(name: str) -> str:
    """A name by which equal ones are found: the same letters can be written composed, or decomposed as by macOS."""
    return unicodedata.normalize("NFC", name)


def find_name(name: str, names: Sequence[str]) -> int | None:
    """The index of a name among others, as it is written or else by its normal form; None where it is not there."""
    if name in names:
        return names.index(name)
    return next((k for k, other in enumerate(names) if normal(other) == normal(name)), None)


def check_names(names: Sequence[str], ids: Sequence[str] | None) -> None:
    """Checks that classes can be told apart by their names and ids, whether composed or decomposed, and go together.

    Args:
        names: One per class.
        ids: What folders of images are called instead, one for each name, or None.

    Raises:
        UsageError: Two classes have one name or id, or there is not one id for each name.
    """
    if ids is not None and len(ids) != len(names):
        raise UsageError(f"there are {len(ids)} class ids and {len(names)} class names: give one id for each name")
    for kind, given in (("called", names), ("known by the id", ids or ())):
        forms = list(map(normal, given))
        twice = next((form for form, count in Counter(forms).items() if count > 1), None)
        if twice is not None:
            places = " and ".join(
                str(k) if ids is None else f"{k} ({ids[k]} {names[k]})" for k, form in enumerate(forms) if form == twice
            )
            raise UsageError(f"two classes are {kind} {twice!r}, {places}: give every class one of its own")
    index = {normal(name): k for k, name in enumerate(names)}
    both = next((i for k, i in enumerate(ids or ()) if index.get(normal(i), k) != k), None)
    if both is not None:
        raise UsageError(f"{both!r} is the id of one class and the name of another one: give ids that are no names")


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file, of no more than so many bytes: reading a pipe or a device may never end.

    Args:
        path: The file.
        most: How many.

    Raises:
        OSError: It does not exist, cannot be read, is no regular file or too large.
    """
    check_file(path, most)
    return path.read_bytes()


def check_file(path: Path, most: int = MOST_BYTES) -> None:
    """Checks that something is a regular file of no more than so many bytes.

    Args:
        path: The file.
        most: How many.

    Raises:
        OSError: It is not, does not exist or cannot be looked at.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe, a device or the like", str(path))
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"it has {status.st_size / 2**20:,.0f} MiB", str(path))


def parse_json(text: str | bytes) -> Any:
    """What a text in JSON holds.

    Args:
        text: The text, or its bytes in UTF-8.

    Raises:
        ValueError: It is no JSON, or lists are nested in it without end.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to, which replaces ``path`` once the block ends without an error.

    Args:
        path: The file to write; its folder exists.

    Yields:
        The temporary path, an empty file.

    Raises:
        RunError: ``path`` is a device, a pipe or the like.
    """
    if path.exists() and not path.is_file():
        raise RunError(f"{path} is no file, and would be replaced by one: choose another name")
    partial = path.with_name(path.name + PARTIAL)
    partial.unlink(missing_ok=True)
    partial.touch()
    try:
        yield partial
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:  # such as a full disk
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a text in UTF-8, atomically.

    Args:
        path: The file to write; its folder exists.
        text: The text; what is no character, as in the name of a file that is not UTF-8, is written as its code.
    """
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Writes ``content`` as JSON, atomically.

    Args:
        path: The file to write; its folder exists.
        content: Anything that JSON takes.
    """
    write_text(path, json.dumps(content, indent=1) + "\n")


def sign(content: dict[str, Any]) -> dict[str, Any]:
    """Content for JSON with its checksum, which ``check_signature`` looks at when it is read.

    Args:
        content: Anything that JSON takes, with texts as keys.
    """
    content = json.loads(json.dumps(content))  # as it will be read: tuples as lists, numbers as keys as texts
    return content | {CHECKSUM: _hash_json(content)}


def check_signature(content: dict[str, Any]) -> None:
    """Checks that content is what ``sign`` signed; content of earlier versions, without a checksum, passes.

    Raises:
        ValueError: It was changed.
    """
    rest = {name: value for name, value in content.items() if name != CHECKSUM}
    if CHECKSUM in content and content[CHECKSUM] != _hash_json(rest):
        raise ValueError("its checksum does not match")


def _hash_json(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_arrays(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Writes arrays as a safetensors file with a checksum of each, atomically.

    Args:
        path: The file to write; its folder exists.
        arrays: Arrays by name, in any memory order: they are made contiguous, as safetensors writes memory as it lies.
        metadata: Texts by name.
    """
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    checksums = {name: _hash_array(array) for name, array in arrays.items()}
    # one entry, for safetensors writes several in a random order, and the same content is to be the same file
    everything = {_METADATA: json.dumps(sign((metadata or {}) | {_ARRAYS: checksums}), sort_keys=True)}
    content = save(arrays, everything)
    with atomic_write(path) as partial:
        partial.write_bytes(content)


@contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """A path to a file that is UTF-8, as safetensors needs it to map the file: the names of files can be any bytes.

    Args:
        path: The file.
    """
    if not any("\ud800" <= letter <= "\udfff" for letter in str(path)):
        yield path
        return
    with TemporaryDirectory() as folder:
        link = Path(folder, "file")
        link.symlink_to(path.absolute())
        yield link


def read_arrays(path: Path, names: Sequence[str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads what ``write_arrays`` wrote.

    Args:
        path: The file.
        names: The arrays to read; None for all of them.

    Returns:
        The arrays by name, and the metadata.

    Raises:
        ValueError: The file is damaged or no safetensors file, lacks an array, or holds another one than was written.
            Files of earlier versions have no checksums.
        OSError: It cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")
    try:
        with utf8_path(path) as readable, safe_open(readable, "np") as file:
            stored: dict[str, str] = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    metadata: dict[str, Any] = parse_json(stored[_METADATA]) if _METADATA in stored else stored
    check_signature(metadata)
    metadata.pop(CHECKSUM, None)
    checksums = metadata.pop(_ARRAYS, None)
    changed = [n for n, array in arrays.items() if checksums is not None and checksums.get(n) != _hash_array(array)]
    if changed:
        raise ValueError(f"the checksum of {', '.join(changed)} does not match")
    return arrays, metadata


def hash_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """A hash of arrays and their names, by which a file that speaks of them knows them.

    Args:
        arrays: Arrays by name, in any order.
    """
    return _hash_json({name: _hash_array(np.ascontiguousarray(array)) for name, array in arrays.items()})


def _hash_array(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(array.data)
    return digest.hexdigest()
