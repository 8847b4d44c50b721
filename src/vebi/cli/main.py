"""The entry point: the commands, and how a command line is parsed."""

import io
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from vebi.cli import bench
from vebi.cli.audit import audit
from vebi.cli.demo import demo
from vebi.cli.doctor import doctor
from vebi.cli.errors import report_errors
from vebi.cli.explain import explain
from vebi.cli.fit import fit
from vebi.cli.flowers import flowers
from vebi.cli.layers import layers
from vebi.cli.path import path
from vebi.cli.report import report
from vebi.cli.train import train

app = typer.Typer(
    name="vebi",
    help="Shows what an image classifier has learned and why it decides as it does.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(requested: bool) -> None:
    if requested:
        print(version("vebi"))
        raise typer.Exit()


@app.callback()
def vebi(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The command ``vebi`` itself: its options."""


for function in (layers, audit, fit, path, explain, report, flowers, train, demo, doctor):
    app.command()(function)
app.add_typer(bench.app, name="bench")


def _open_streams() -> None:
    """Sees to it that printing never fails: whatever streams are closed, and whatever characters they know."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # it was closed: the next file that is opened would take its place, and be printed into
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123  # for as long as the process lives
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Runs the command line of this process, and exits."""
    _open_streams()
    with report_errors():
        try:
            code = app(prog_name="vebi", standalone_mode=False)
        except SystemExit as end:
            if isinstance(end.__context__, BrokenPipeError):  # typer makes 1 of it, for us it is no error
                raise end.__context__ from None
            raise
    sys.exit(code or 0)
