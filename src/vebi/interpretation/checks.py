"""Predicates on values that were read from a file."""

from typing import Any

import numpy as np


def is_count(value: Any) -> bool:
    """Whether a value is a whole number that is not negative, and that an array can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def is_share(value: Any) -> bool:
    """Whether a value is a number in [0, 1]."""
    return is_number(value) and 0 <= value <= 1


def are_all(kind: Any, *values: Any) -> bool:
    """Whether all values are of a type, or of one of a union of types."""
    return all(isinstance(value, kind) for value in values)


def as_tuple(values: Any) -> tuple[Any, ...]:
    """A list as a tuple. Raises TypeError for anything else, such as a text in the place of a list of texts."""
    if not isinstance(values, list | tuple):
        raise TypeError(f"a list is needed, not a {type(values).__name__}")
    return tuple(values)


def is_array(array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> bool:
    """Whether an array has just this type and shape."""
    return array.dtype == dtype and array.shape == shape


def are_shares(values: np.ndarray) -> bool:
    """Whether all elements are in [0, 1]."""
    return bool(((values >= 0) & (values <= 1)).all())


def are_indices(values: np.ndarray, count: int) -> bool:
    """Whether all elements are in [0, count - 1]."""
    return int(values.min(initial=0)) >= 0 and int(values.max(initial=-1)) < count
