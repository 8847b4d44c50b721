"""The classes of a model as a text file lists them: names, or ids and names."""

import re
import warnings
from collections import Counter
from pathlib import Path

from vebi.errors import InputError, VebiWarning
from vebi.files import MOST_TEXT_BYTES, normal, read_file

#: How a line begins in the lists of ImageNet that have no tab.
_WORDNET_ID = re.compile(r"n\d{8}\s+\S")


def read_class_list(path: Path) -> tuple[list[str], list[str] | None]:
    """The names of classes, and the ids by which folders of images know them.

    Args:
        path: A text file with a name per line, in the order of the model's outputs; or with an id, a tab and a name.
            A WordNet id, as ``n01440764``, may have a space behind it.

    Returns:
        The names, and the ids or None. Where classes of different ids have one name, the id is put behind it.

    Raises:
        InputError: The file cannot be read, is empty, or some of its lines have an id and others none.
    """
    try:
        lines = read_file(path, MOST_TEXT_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no text file that can be read ({error}): give one name per line") from None
    lines = [line.strip() for line in lines if line.strip()]
    if not lines:
        raise InputError(f"{path} has no names: give them in the order of the model's outputs")
    columns = None if any("\t" in line for line in lines) or not all(map(_WORDNET_ID.match, lines)) else 1
    rows = [line.split(None, columns) if columns else line.split("\t") for line in lines]
    rows = [[cell.strip() for cell in row] for row in rows]
    if all(len(row) == 1 for row in rows):
        return lines, None
    other = next((k for k, row in enumerate(rows) if len(row) != 2 or not all(row)), None)
    if other is not None:
        raise InputError(
            f"{path} has lines with an id, a tab and a name, but not {lines[other]!r}: give every class an id and a "
            f"name, or none of them an id"
        )
    ids, names = ([row[k] for row in rows] for k in (0, 1))
    return _told_apart(names, ids), ids


def _told_apart(names: list[str], ids: list[str]) -> list[str]:
    """The names, with the id behind those that several classes have."""
    counts = Counter(map(normal, names))
    shared = [name for name, count in counts.items() if count > 1]
    for name in shared:
        places = " and ".join(number for number, other in zip(ids, names, strict=True) if normal(other) == name)
        warnings.warn(f"{places} are all called {name!r}: their ids are put behind it", VebiWarning, stacklevel=4)
    return [f"{name} ({i})" if counts[normal(name)] > 1 else name for name, i in zip(names, ids, strict=True)]
