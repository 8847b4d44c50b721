"""What commands print: data on stdout, notes and progress on stderr."""

import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from vebi.progress import StageProgress


def note(text: str) -> None:
    """Prints a line for a person, on stderr."""
    print(" ".join(text.split()), file=sys.stderr, flush=True)


def print_json(content: Any) -> None:
    """Prints data as JSON, on stdout."""
    print(json.dumps(content, indent=1))


@contextmanager
def progress() -> Iterator[StageProgress]:
    """Yields a function (stage, done, total) that draws progress bars on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # steps can take minutes, so the remaining time is estimated from the speed over a long period
    bars = Progress(*columns, console=console, disable=not console.is_terminal, speed_estimate_period=1800)
    with bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            elif done < bars.tasks[tasks[stage]].completed:  # the stage has begun anew
                bars.reset(tasks[stage])
            bars.update(tasks[stage], completed=done, total=total)

        yield update


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints rows for a person, on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    content = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        content.add_column(heading, overflow="fold")
    for row in rows:
        content.add_row(*(Text(str(cell)) for cell in row))  # names may hold brackets, which rich reads as markup
    # if rich itself wrote to a closed pipe, it would exit with code 1
    buffer = io.StringIO()
    Console(file=buffer, force_terminal=sys.stdout.isatty()).print(content)
    print(buffer.getvalue(), end="")
