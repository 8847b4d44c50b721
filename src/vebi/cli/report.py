"""The command that writes a report."""

from pathlib import Path
from typing import Annotated

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import MASKS, BatchSize, Device, Json, Run, RunModel, RunWeights, Strict


@command()
def report(
    run: Run,
    out: Annotated[Path, typer.Option(help="Report to write, a .html file.")] = Path("report.html"),
    images: Annotated[
        Path | None,
        typer.Option(
            help="Images to predict and explain: a folder with one folder per class, or a flat folder; by default "
            "those of the fit."
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help=f"{MASKS}. By default those of `vebi flowers`, none for other images.")
    ] = None,
    model: RunModel = None,
    weights: RunWeights = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="NAME", help="Show only this class; may be repeated.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the report.")] = None,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Write a report: one self-contained HTML file.

    Classes, their features, explanations of correct and wrong predictions; where there are masks, scores of the
    combined maps of the predicted classes.
    """
    from vebi.interpretation.result import load
    from vebi.interpretation.run_folder import find_classifier
    from vebi.reports.run_report.page import write_report

    interpretation = load(run, find_classifier(run, model, weights, device))
    with console.progress() as progress:
        assessment = write_report(
            interpretation,
            out,
            images=images,
            masks=masks,
            class_names=classes,
            title=title,
            batch_size=batch_size,
            strict=strict,
            progress=progress,
        )
    if as_json:
        console.print_json({"report": str(out), **assessment.to_dict()})
    else:
        console.note(f"report: {out}")
