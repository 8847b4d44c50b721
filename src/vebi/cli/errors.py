"""How commands end: what goes wrong is one sentence on stderr and an exit code, never a traceback."""

import ctypes
import errno
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import typer

from vebi.cli.console import discard, note, tell
from vebi.errors import VebiError, VebiWarning, is_out_of_memory, text_of
from vebi.provenance import import_advice, unimported

INTERRUPTED = 130
_M_ARENA_MAX = -8  # of malloc.h


@contextmanager
def report_errors(resumable: bool = False) -> Iterator[None]:
    """Turns an error of a command into one sentence on stderr and an exit code, never a traceback.

    Args:
        resumable: Whether the same command resumes after an interruption; then the sentence says so.
    """
    _share_heap()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = _show_warning
            yield
        sys.stdout.flush()  # inside this block, where a closed pipe is no error
    except VebiError as error:
        if os.environ.get("VEBI_DEBUG"):  # what a model raised, say, and where
            traceback.print_exception(error)
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted" + ("; the same command resumes it" if resumable else ""), INTERRUPTED)
    except typer.TyperException as error:
        _fail_usage(error)
    except BrokenPipeError:  # nobody reads the output any more, as in `vebi layers ... | head`
        discard(sys.stdout)
        sys.exit(0)
    except (FileExistsError, NotADirectoryError) as error:
        _fail(f"{error.filename} cannot be used as a folder, a file is in its way: choose another path", 3)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "; the same command resumes it" if resumable else ", and give the command again"
            _fail(f"no space is left on the disk for {error.filename or 'the output'}: free some{advice}", 1)
        _fail_import(error)  # a library that a package needs, say
        _fail(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}", 1)
    except Exception as error:
        if is_out_of_memory(error):
            _fail("out of memory: try a smaller batch size or fewer layers", 1)
        if os.environ.get("VEBI_DEBUG"):
            raise
        _fail_import(error)
        what = f"{type(error).__name__}: {text_of(error)}"
        _fail(f"stopped by a defect ({what}); VEBI_DEBUG=1 shows where, please report it", 1)


@contextmanager
def exits_as_errors() -> Iterator[None]:
    """Turns what would end the process in silence into an error: inside of a command only somebody else's code does so.

    Raises:
        VebiError: Something was raised that is no ordinary error, as SystemExit or typer.Exit.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, typer.Exit | typer.Abort):
            raise
        raise VebiError(
            f"the code of the model or of a method ends the program ({type(error).__name__}: {text_of(error)}): let it "
            f"raise an error instead; VEBI_DEBUG=1 shows where"
        ) from error


def _share_heap() -> None:
    """Makes glibc use one heap for all threads.

    It would otherwise give every decoding thread its own, and these grow with the length of a pass instead of staying
    as large as a batch.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    if issubclass(category, VebiWarning):  # those of other libraries are for their developers, not for our users
        note(f"note: {message}")


def _fail_import(error: Exception) -> None:
    """Ends where an error stopped the import of a package, and returns where it stopped something else."""
    for package in unimported(error)[-1:]:  # the others need it
        reason = text_of(error) or type(error).__name__
        _fail(f"{package} cannot be imported ({reason}): {import_advice(error, package)}", 1)


def _fail_usage(error: Any) -> None:
    """Ends with the parser's own sentence, to which it adds the value that the parser refused."""
    text, context = error.format_message().partition(", unable to parse")[0].rstrip(".?"), error.ctx
    if text.startswith(("Usage:", "usage:")):  # no command: the help itself is the answer
        tell(text)
        sys.exit(error.exit_code)
    value = _refused_value(error)
    text = text.replace(". Did you", ", did you").replace(": Input should", ": it should")
    text = f"{text[:1].lower()}{text[1:]}" + (f", given: {value}" if value is not None else "")
    command = context.command_path if context else " ".join(["vebi", *(w for w in sys.argv[1:2] if w[:1] != "-")])
    _fail(f"{text}; see `{command} --help`", error.exit_code)


def _refused_value(error: Any) -> str | None:
    """The value of the option that the parser refused, from the command line or from the file of ``--config``."""
    parameter = getattr(error, "param", None)
    if parameter is None:
        return None
    for k, word in enumerate(sys.argv):
        name, equals, value = word.partition("=")
        if name in parameter.opts:
            return value if equals else next(iter(sys.argv[k + 1 :]), None)
    default = (error.ctx.default_map or {}).get(parameter.name) if error.ctx else None
    return None if default is None else f"{default} (in the file of --config)"


def _fail(text: str, code: int) -> NoReturn:
    note(f"vebi: {text}")
    sys.exit(code)
