"""Arguments of public functions, checked once where they come in: what was given, and what is needed instead."""

import operator
from typing import Any

from vebi.errors import UsageError


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
        article = "an" if type(value).__name__[0] in "aeiouAEIOU" else "a"
        raise UsageError(f"{name} is {article} {type(value).__name__}, but {needed}")


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
