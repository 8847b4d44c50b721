"""The errors of vebi, one small hierarchy, and the checks of arguments that raise them.

Every message says what was given, what is needed and what to do, in one sentence. The class decides the exit
code of the command line: 1 the run failed, 2 usage, 3 bad input.
"""

import operator
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from pathlib import Path
from typing import Any


class VebiWarning(UserWarning):
    """Something that a user should know and that stops nothing."""


class VebiError(Exception):
    """The run failed; the base of every error that vebi raises on purpose.

    Attributes:
        exit_code: The exit code of the command line.
    """

    exit_code = 1


class UsageError(VebiError, ValueError):
    """An option or argument whose value is not allowed, such as ``mu <= 0``."""

    exit_code = 2


class InputError(VebiError):
    """A file, folder, model or run that cannot be used."""

    exit_code = 3


class ImageError(InputError):
    """One image that cannot be decoded; passes over a data set skip and count it unless they are strict."""


class ModelError(InputError):
    """A model or a weights file that cannot be used."""


class RunError(InputError):
    """A run folder that cannot be used: damaged, of other settings, or of another model."""


class MissingExtraError(VebiError):
    """An optional dependency of vebi that is not installed.

    Args:
        package: The package that is missing.
        extra: The extra of vebi that installs it.
        purpose: What needs the package.
    """

    def __init__(self, package: str, extra: str, purpose: str):
        self._given = package, extra, purpose
        super().__init__(f"{purpose} needs the package {package}, which is not installed: pip install 'vebi[{extra}]'")

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str, str]]:
        return type(self), self._given  # by its message alone it could not be made again, as in another process


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: torch has a type of its own for GPUs only, and texts for the CPU."""
    if isinstance(error, RuntimeError):
        return re.search("out of memory|not enough memory|allocate memory", text_of(error)) is not None
    return isinstance(error, MemoryError)


def join_names(names: Sequence[str], most: int = 12) -> str:
    """Names for a message.

    Args:
        names: The names.
        most: How many are written out.

    Returns:
        The first ``most`` names with commas, and how many more there are.
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def text_of(value: object, form: Callable[[object], str] = str) -> str:
    """The text of an error or a value for a message, its type where that raises: it is somebody else's code.

    Args:
        value: Anything.
        form: ``str`` or ``repr``.
    """
    try:
        return form(value)
    except Exception:
        return f"a {type(value).__name__} without a text"


def require(name: str, value: Any, kind: type | tuple[type, ...], needed: str) -> None:
    """Refuses an argument of another type.

    Args:
        name: Of the argument.
        value: What was given.
        kind: The type that it has to have, or one of several.
        needed: What is needed, and how to get it.

    Raises:
        UsageError: It has another type.
    """
    if not isinstance(value, kind):
        raise _of_another_type(name, value, needed)


def _of_another_type(name: str, value: Any, needed: str) -> UsageError:
    article = "an" if type(value).__name__[0] in "aeiouAEIOU" else "a"
    return UsageError(f"{name} is {article} {type(value).__name__}, but {needed}")


def require_function(name: str, value: Any, needed: str) -> None:
    """Refuses an argument that can neither be called nor is None.

    Args:
        name: Of the argument.
        value: What was given.
        needed: What is needed, and how to get it.

    Raises:
        UsageError: It is neither.
    """
    if not callable(value):
        require(name, value, type(None), needed)


def check_progress(progress: object) -> None:
    """Refuses a progress that can neither be called nor is None.

    Args:
        progress: What was given.

    Raises:
        UsageError: It is neither.
    """
    require_function("progress", progress, "a function of how many are done and of how many, or None, is needed")


def require_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Refuses what is none of some texts.

    Args:
        name: Of the argument.
        value: What was given.
        choices: The texts.

    Raises:
        UsageError: It is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise UsageError(f"{name} is {value!r}: choose one of {', '.join(choices)}")


def as_path(name: str, value: Any, needed: str = "the path of one is needed") -> Path:
    """A path.

    Args:
        name: Of the argument.
        value: What was given.
        needed: What is needed, and how to get it.

    Returns:
        The same as a Path.

    Raises:
        UsageError: It is neither a text nor a path.
    """
    require(name, value, (str, os.PathLike), needed)
    return Path(value)


def as_names(name: str, value: Any) -> tuple[str, ...]:
    """Names in their order, as of a list or of an array.

    Args:
        name: Of the argument.
        value: What was given.

    Returns:
        The same as a tuple of texts.

    Raises:
        UsageError: It is one text, has no order of its own, as a set or a dictionary, or holds what is no text.
    """
    try:  # the letters of a text and the keys of a dictionary come one by one, too, but are not what is meant
        names = None if isinstance(value, str | bytes | Mapping | Set) else tuple(value)
    except TypeError:
        names = None
    if names is None:
        raise _of_another_type(name, value, "a list of texts is needed, one for each class")
    for k, one in enumerate(names):
        require(f"{name}[{k}]", one, str, "a text is needed: give a list of texts, one for each class")
    return tuple(map(str, names))


def as_bool(name: str, value: Any) -> bool:
    """True or False, of NumPy as well.

    Args:
        name: Of the argument.
        value: What was given.

    Returns:
        The same as a bool.

    Raises:
        UsageError: It is anything else, such as a text or a number.
    """
    is_of_numpy = str(getattr(value, "dtype", None)) == "bool" and getattr(value, "shape", None) == ()
    if not isinstance(value, bool) and not is_of_numpy:
        raise UsageError(f"{name} is {value!r}, but True or False is needed")
    return bool(value)


def as_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number, of NumPy or torch as well.

    Args:
        name: Of the argument.
        value: What was given.
        least: The smallest number that is allowed.

    Returns:
        The same number as an int.

    Raises:
        UsageError: It is no whole number, or below ``least``.
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise UsageError(f"{name} is {value!r}, but a whole number of {least} or more is needed")
    return number


def as_number(name: str, value: Any) -> float:
    """A finite number, of NumPy or torch as well.

    Args:
        name: Of the argument.
        value: What was given.

    Returns:
        The same number as a float.

    Raises:
        UsageError: It is no finite number.
    """
    try:
        number = float("nan") if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        number = float("nan")
    if not abs(number) < float("inf"):
        raise UsageError(f"{name} is {value!r}, but a finite number is needed")
    return number
