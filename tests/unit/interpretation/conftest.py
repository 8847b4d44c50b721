"""Shared by the tests of interpretations."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest


@pytest.fixture(scope="session")
def assert_equal():
    """Compares two interpretations, or parts of them."""
    return _assert_equal


def _assert_equal(one, other, name="interpretation"):
    """Field by field; arrays to the bit."""
    assert type(one) is type(other), name
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, name)
    elif isinstance(one, tuple):
        assert len(one) == len(other), name
        for k, (a, b) in enumerate(zip(one, other, strict=True)):
            _assert_equal(a, b, f"{name}[{k}]")
    elif is_dataclass(one):
        for part in fields(one):
            if part.name != "classifier":
                _assert_equal(getattr(one, part.name), getattr(other, part.name), f"{name}.{part.name}")
    else:
        assert one == other, name
