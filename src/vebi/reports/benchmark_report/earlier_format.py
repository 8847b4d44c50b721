"""Values of a benchmark on their way to and from JSON, which has lists for tuples and, in older files, other keys."""

from collections.abc import Mapping
from typing import Any

#: Keys of files of earlier versions -> keys now.
RENAMED = {
    "variant": "dataset",
    "of_the_seed": "in_paper",
    "own": "user_defined",
    "ratio_of_vebi_to_it": "ratio",
    "pictures": "images",
    "predicted_right": "correct",
    "whole_picture": "mask_share",
    "fitted_on_the_same_pictures": "fitted_on_scored_images",
}


def with_new_keys(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same values under the keys of this version."""
    return {RENAMED.get(name, name): value for name, value in content.items()}


def with_lists(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same with a list for every value that is a tuple."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in content.items()}


def with_tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same with a tuple for every value that is a list."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
