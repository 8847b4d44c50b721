"""How passes over data say how far they are."""

from collections.abc import Callable

Progress = Callable[[int, int], None]


StageProgress = Callable[[str, int, int], None]


def of_stage(progress: StageProgress | None, name: str) -> Progress | None:
    """The progress of one stage."""
    return None if progress is None else lambda done, total: progress(name, done, total)
