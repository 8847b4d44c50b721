"""Where results are written: files and folders that can be written to, each by one process at a time."""

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vebi.errors import RunError, UsageError
from vebi.files import PARTIAL, normal

#: The name of the lock of a folder, and what the name of the lock of a file ends in.
LOCK = ".lock"
#: Bytes in the name of a file without its suffix, at most: systems allow 255 for all of it.
LONGEST = 200


@contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Makes a folder to write into, and keeps other processes and threads out of it while the block runs.

    Blocks of one thread can be nested. A lock ends with its process, however that ends.

    Args:
        folder: The folder, which may exist.

    Raises:
        RunError: There can be no such folder, nothing can be written into it, or someone else is writing into it.
    """
    prepare_output_folder(folder)
    with _locked(folder / LOCK, folder):
        yield


@contextmanager
def output_file(path: Path, suffix: str) -> Iterator[None]:
    """Makes the folder that a file is written into, and keeps others from writing the file while the block runs.

    Args:
        path: The file, which may exist.
        suffix: What its name has to end in, see ``check_suffix``.

    Raises:
        RunError: Nothing can be written into its folder, or someone else is writing the file.
        UsageError: ``path`` is a folder, a device or another thing that is no file, or its name ends in something else.
    """
    prepare_output_file(path, suffix)
    with _locked(path.with_name(f".{path.name}{LOCK}"), path):
        yield


@contextmanager
def _locked(path: Path, target: Path) -> Iterator[None]:
    """Holds a lock file, which is gone afterwards; ``target`` is what messages call it."""
    lock = FileLock(path, timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{target} is being written by another process: wait until that has ended, or choose another"
        ) from None
    try:
        yield
    finally:
        if lock.lock_counter == 1:  # the outermost block of this thread
            with suppress(OSError):
                path.unlink()  # before it is released: afterwards it would be that of someone else
        lock.release()


def file_stem(name: str, taken: Collection[str] = ()) -> str:
    """A name for a file, without its suffix: for any name, and another one than those that are taken.

    Args:
        name: Any text that is not empty.
        taken: Names that are in use, as ``same_name`` gives them.

    Returns:
        The name where that will do. Longer ones are shortened, and end in their hash; ``/`` and ``:`` are replaced;
        what is taken gets a number.
    """
    stem = name.replace(":", "-").replace("/", "_").replace("\0", "_")
    if len(os.fsencode(stem)) > LONGEST:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
        stem = f"{os.fsencode(stem)[: LONGEST - 9].decode('utf-8', 'ignore')}-{digest}"
    k, free = 1, stem
    while same_name(free) in taken:
        k += 1
        free = f"{stem}-{k}"
    return free


def file_stems(names: Sequence[str]) -> list[str]:
    """A name for a file, without its suffix, for each of the names, no two of which are one file on some system."""
    taken = set[str]()
    stems = []
    for name in names:
        stems.append(file_stem(name, taken))
        taken.add(same_name(stems[-1]))
    return stems


def same_name(name: str) -> str:
    """What is equal for names that are one file on some system: upper and lower case, composed and decomposed."""
    return normal(name).casefold()


def other_files(folder: Path) -> list[Path]:
    """What is in a folder besides its lock and files that a process left unfinished.

    Args:
        folder: A folder that exists.
    """
    return sorted(path for path in folder.iterdir() if path.name != LOCK and path.suffix != PARTIAL)


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
    except (FileExistsError, NotADirectoryError):
        reason = "a file is in its way"
    except OSError as error:
        reason = error.strerror
    if reason:
        raise RunError(f"{folder} cannot be used as a folder to write into ({reason}): choose another")


def check_suffix(path: Path, suffix: str) -> None:
    """Checks that the name of a file says of what kind it is.

    Nothing of another kind can then be replaced, such as a file of the run that is read.

    Args:
        path: The file, which may exist.
        suffix: What its name has to end in, as ``.html``.

    Raises:
        UsageError: It ends in something else.
    """
    if path.suffix.lower() != suffix:
        raise UsageError(f"the output is to be written to {path}: give a file name that ends in {suffix}")


def prepare_output_file(path: Path, suffix: str) -> None:
    """Makes the folder that a file is written into.

    Args:
        path: The file, which may exist.
        suffix: What its name has to end in, see ``check_suffix``.

    Raises:
        RunError: Nothing can be written into its folder.
        UsageError: ``path`` is a folder, a device or another thing that is no file, or its name ends in something else.
    """
    prepare_output_folder(path.parent)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file in it")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is a device, a pipe or the like, which a file would replace: give the name of a file")
    check_suffix(path, suffix)
