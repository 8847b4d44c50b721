"""How a pass over data reports its progress."""

from collections.abc import Callable

#: Called with how many items are done and how many there are.
Progress = Callable[[int, int], None]

#: Called with the name of a stage, how many of its items are done and how many there are.
StageProgress = Callable[[str, int, int], None]


def stage(progress: StageProgress | None, name: str) -> Progress | None:
    """The progress of one stage.

    Args:
        progress: The progress of all stages, or None.
        name: The stage.

    Returns:
        A function of (done, total), or None where ``progress`` is None.
    """
    return None if progress is None else lambda done, total: progress(name, done, total)
