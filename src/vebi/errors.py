"""What can go wrong, as one small hierarchy.

Every message says what was given, what is needed and what to do, in one sentence. The class decides the exit
code of the command line: 1 the run failed, 2 usage, 3 bad input.
"""

from collections.abc import Sequence


class VebiWarning(UserWarning):
    """Something that a user should know and that stops nothing."""


class VebiError(Exception):
    """The run failed. Base of every error that vebi raises on purpose."""

    exit_code = 1


class UsageError(VebiError, ValueError):
    """An option or argument that cannot be, such as ``mu <= 0``."""

    exit_code = 2


class InputError(VebiError):
    """A file, folder, model or run that cannot be used."""

    exit_code = 3


class ImageError(InputError):
    """One file that cannot be decoded; passes over a data set skip and count it unless they are strict."""


class ModelError(InputError):
    """A model or a weights file that cannot be used."""


class RunError(InputError):
    """A run folder that cannot be used: damaged, of other settings, or made with another model."""


class MissingExtra(VebiError):
    """An optional part of vebi that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs the package {package}, which is not installed: pip install 'vebi[{extra}]'")


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, the first few of many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
