"""How a pass over data reports its progress."""

from collections.abc import Callable

from vebi.errors import require_function

#: Called with how many items are done and how many there are.
Progress = Callable[[int, int], None]

#: Called with the name of a stage, how many of its items are done and how many there are.
StageProgress = Callable[[str, int, int], None]


def check_progress(progress: object) -> None:
    """Refuses a progress that can neither be called nor is None.

    Args:
        progress: What was given.

    Raises:
        UsageError: It is neither.
    """
    require_function("progress", progress, "a function of how many are done and of how many, or None, is needed")


def stage(progress: StageProgress | None, name: str) -> Progress | None:
    """The progress of one stage.

    Args:
        progress: The progress of all stages, or None.
        name: The stage.

    Returns:
        A function of (done, total), or None where ``progress`` is None.
    """
    return None if progress is None else lambda done, total: progress(name, done, total)
