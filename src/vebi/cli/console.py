"""What commands print: data on stdout, notes and progress on stderr."""

import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import Any, TextIO

from vebi.progress import StageProgress

#: Between two lines of progress, where no terminal draws bars.
SECONDS = 10.0
#: Columns of a table that no terminal shows.
WIDE = 100_000


def note(text: str) -> None:
    """Prints a line for a person, on stderr."""
    tell(" ".join(text.split()))


def tell(text: str) -> None:
    """Prints a text on stderr, where it can be: a full disk or a closed pipe behind it changes no exit code."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Lets a stream lead nowhere from now on, so that what it holds back does not fail again when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


#: Where results go, while standard output is kept for them.
_results: TextIO | None = None


@contextmanager
def keep_stdout() -> Iterator[None]:
    """While the block runs, only results go to stdout; what else is printed, as by a model, goes to stderr."""
    global _results
    with ExitStack() as stack:
        before, results = _results, sys.stdout
        sys.stdout.flush()
        with suppress(OSError, ValueError, AttributeError):  # where it is no file, as in a notebook
            if sys.stdout.fileno() == 1:  # what other languages and processes print goes by the number
                saved = os.dup(1)
                stack.callback(os.close, saved)
                os.dup2(2, 1)
                stack.callback(os.dup2, saved, 1)
                encoding = sys.stdout.encoding
                results = stack.enter_context(
                    os.fdopen(os.dup(saved), "w", encoding=encoding, errors="backslashreplace")
                )
        _results = results
        try:
            with redirect_stdout(sys.stderr):
                yield
            results.flush()
        finally:
            _results = before


def _print_result(text: str) -> None:
    print(text, file=_results or sys.stdout)


def print_json(content: Any) -> None:
    """Prints data as JSON, on stdout."""
    _print_result(json.dumps(content, indent=1))


@contextmanager
def progress() -> Iterator[StageProgress]:
    """Yields a function (stage, done, total) that draws bars on stderr, or off a terminal a line every few seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # steps can take minutes, so the remaining time is estimated from the speed over a long period
    bars = Progress(*columns, console=console, disable=not console.is_terminal, speed_estimate_period=1800)
    with bars:
        tasks: dict[str, Any] = {}
        said = time.monotonic()

        def update(stage: str, done: int, total: int) -> None:
            nonlocal said
            if not console.is_terminal and time.monotonic() - said > SECONDS:
                note(f"{stage}: {done} of {total}")
                said = time.monotonic()
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            elif done < bars.tasks[tasks[stage]].completed:  # the stage has begun anew
                bars.reset(tasks[stage])
            bars.update(tasks[stage], completed=done, total=total)

        yield update


def _on_one_line(text: str) -> str:
    """A text with tabs, line breaks and the like as their codes: a row is a line, and names may hold anything."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: repr(match.group())[1:-1], text)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints rows for a person, on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    content = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        content.add_column(heading, overflow="fold")
    for row in rows:
        content.add_row(*(Text(_on_one_line(str(cell))) for cell in row))  # rich reads brackets in names as markup
    # if rich itself wrote to a closed pipe, it would exit with code 1
    buffer = io.StringIO()
    terminal = (_results or sys.stdout).isatty()
    # off a terminal nothing is wrapped: lines are for other programs, and names must not be broken
    Console(file=buffer, force_terminal=terminal, width=None if terminal else WIDE).print(content)
    _print_result("\n".join(line.rstrip() for line in buffer.getvalue().splitlines()))
