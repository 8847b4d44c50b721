"""The entry point: which commands there are, and how their lines are parsed."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from vebi.cli import bench, console, flowers, model, study
from vebi.cli.doctor import doctor

app = typer.Typer(
    name="vebi",
    help="Shows what an image classifier has learned and why it decides as it does.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(version("vebi"))
        raise typer.Exit()


@app.callback()
def vebi(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for command in (
    model.layers,
    model.audit,
    study.fit,
    study.path,
    study.explain,
    study.report,
    flowers.flowers,
    flowers.train,
    flowers.demo,
    doctor,
):
    app.command()(command)
app.add_typer(bench.app, name="bench")


def main() -> None:
    with console.guarded():
        code = app(prog_name="vebi", standalone_mode=False)
    sys.exit(code or 0)
