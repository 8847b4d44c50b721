"""What the commands share: data on stdout; progress, warnings and errors on stderr; exit codes."""

import ctypes
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer

from vebi.errors import VebiError, VebiWarning

INTERRUPTED = 130
_M_ARENA_MAX = -8  # of malloc.h


@contextmanager
def guarded(resumable: bool = False) -> Iterator[None]:
    """Turns what goes wrong in a command into one sentence on stderr and the right exit code, never a traceback.

    ``resumable`` says that the command, given again, goes on where it was interrupted.
    """
    _share_heap()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = _show_warning
            yield
        sys.stdout.flush()  # here, where a reader that has gone is no error
    except VebiError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted" + ("; the same command goes on where it was" if resumable else ""), INTERRUPTED)
    except typer.TyperException as error:
        _fail_usage(error)
    except BrokenPipeError:  # the reader of our output has gone, as in `vebi layers ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (FileExistsError, NotADirectoryError) as error:
        _fail(f"{error.filename} cannot be used as a folder, a file is in its way: choose another place", 3)
    except OSError as error:
        _fail(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}", 1)
    except MemoryError:
        _fail("memory ran out: try smaller batches, fewer layers or less at a time", 1)
    except Exception as error:
        if os.environ.get("VEBI_DEBUG"):
            raise
        _fail(f"stopped by a defect ({type(error).__name__}: {error}); VEBI_DEBUG=1 shows where, please report it", 1)


def _share_heap() -> None:
    """One heap for all threads, where the C library is glibc: it would else give every decoding thread its own, and
    these grow with the length of a pass instead of staying as large as a batch."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def say(text: str) -> None:
    """A line for a person, on stderr."""
    print(" ".join(text.split()), file=sys.stderr, flush=True)


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=1))


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function (stage, done, all) that draws progress bars on stderr; nothing off a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # steps can take minutes: what is left is estimated from a long time back
    bars = Progress(*columns, console=console, disable=not console.is_terminal, speed_estimate_period=1800)
    with bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            elif done < bars.tasks[tasks[stage]].completed:  # the same stage once more
                bars.reset(tasks[stage])
            bars.update(tasks[stage], completed=done, total=total)

        yield update


def table(headings: list[str], rows: list[list[Any]]) -> None:
    """Rows for a person, on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))  # names may hold brackets, which rich reads as markup
    # written by rich itself, a reader that has gone would end us with exit code 1
    console = Console(file=io.StringIO(), force_terminal=sys.stdout.isatty())
    console.print(drawn)
    print(console.file.getvalue(), end="")


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    if issubclass(category, VebiWarning):  # what other libraries warn their developers of is not for our users
        say(f"note: {message}")


def _fail_usage(error: Any) -> None:
    """A line that the parser did not understand. What it says is a sentence, but often without what was given."""
    text, context = error.format_message().partition(", unable to parse")[0].rstrip(".?"), error.ctx
    if text.startswith(("Usage:", "usage:")):  # no command: the help itself is the answer
        print(text, file=sys.stderr)
        sys.exit(error.exit_code)
    given = _given(error)
    text = text.replace(". Did you", ", did you").replace(": Input should", ": it should")
    text = f"{text[:1].lower()}{text[1:]}" + (f", given: {given}" if given is not None else "")
    command = context.command_path if context else " ".join(["vebi", *(w for w in sys.argv[1:2] if w[:1] != "-")])
    _fail(f"{text}; see `{command} --help`", error.exit_code)


def _given(error: Any) -> str | None:
    """The value of the option that the parser did not like, from the line or from a file of options."""
    parameter = getattr(error, "param", None)
    if parameter is None:
        return None
    for k, word in enumerate(sys.argv):
        name, equals, value = word.partition("=")
        if name in parameter.opts:
            return value if equals else next(iter(sys.argv[k + 1 :]), None)
    held = (error.ctx.default_map or {}).get(parameter.name) if error.ctx else None
    return None if held is None else f"{held} (in the file of --config)"


def _fail(text: str, code: int) -> None:
    say(f"vebi: {text}")
    sys.exit(code)
