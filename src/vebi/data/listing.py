"""Which files below a folder are images, and what else lies there."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vebi.data.decode import SUFFIXES
from vebi.errors import VebiWarning, join_names

#: How many things that are left out a note names at most.
MOST_NAMES = 12


@dataclass(frozen=True)
class Listing:
    """The images below a folder.

    Attributes:
        names: Their paths below the folder, in the order of the parts of these.
        left_out: Everything else below the folder that is not hidden, with the reason where that is no suffix.
    """

    names: list[str]
    left_out: list[str]

    def report(self, folder: Path) -> None:
        """Warns of what is left out, once for all of it."""
        if self.left_out:
            count = len(self.left_out)
            warnings.warn(
                f"{count} {'file or folder' if count == 1 else 'files or folders'} in {folder} "
                f"{'is' if count == 1 else 'are'} left out, because no images of a kind that can be read: "
                f"{join_names(self.left_out, MOST_NAMES)}",
                VebiWarning,
                stacklevel=2,
            )


def list_images(folder: Path) -> Listing:
    """Lists the images below a folder, those in folders that links lead to included, but nothing that is hidden.

    An image is a regular file with a suffix in ``SUFFIXES``; whether it can be decoded is not known yet.

    Args:
        folder: The folder.
    """
    names, left_out = [], []
    visited, links = set[str](), [folder]
    while links:  # those found on the way wait: a folder itself comes before links to it
        for path, reason in _walk(links.pop(0), visited, links):
            name = path.relative_to(folder).as_posix()
            if reason is None and path.suffix.lower() in SUFFIXES:
                names.append(name)
            else:
                left_out.append(name + (f" ({reason})" if reason else ""))
    for paths in (names, left_out):
        paths.sort(key=lambda path: path.split("/"))
    return Listing(names, left_out)


def _walk(folder: Path, visited: set[str], links: list[Path]) -> Iterator[tuple[Path, str | None]]:
    """Every file below a folder, with the reason why it is not read, or None.

    Links to folders are not followed: they are added to ``links``, and folders that are walked to ``visited``.
    """
    target = os.path.realpath(folder)
    if target in visited:
        yield folder, "a link to a folder that is read already" if folder.is_symlink() else "it is read already"
        return
    visited.add(target)
    try:
        with os.scandir(folder) as entries:
            shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        yield folder, error.strerror or "cannot be read"
        return
    for entry in shown:
        path = Path(entry.path)
        try:
            if not entry.is_dir():
                yield path, None if entry.is_file() else _kind_of(path)
            elif entry.is_symlink():
                links.append(path)
            else:
                yield from _walk(path, visited, links)
        except OSError as error:  # such as a link to itself
            yield path, error.strerror or "cannot be read"


def _kind_of(path: Path) -> str:
    if not path.exists():
        return "a link that leads nowhere" if path.is_symlink() else "it is gone"
    return "a pipe, a device or the like"
