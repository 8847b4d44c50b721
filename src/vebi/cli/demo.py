"""The command that runs all steps on flowers."""

from pathlib import Path
from typing import Annotated

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import Json, Seed


@command(resumable=True)
def demo(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("demo"), seed: Seed = 0, as_json: Json = False
) -> None:
    """Run all steps on rendered flowers, in minutes.

    Renders the images, trains a network, fits, explains, scores against the masks and writes a report.
    """
    from vebi.demo import RANGES, run

    with console.progress() as progress:
        summary = run(out, seed=seed, progress=progress)
    if as_json:
        console.print_json(summary)
        return
    scores = ", ".join(
        f"{name} {value:.1f} ({RANGES[name][0]} to {RANGES[name][1]})" for name, value in summary["auc_iou"].items()
    )
    console.note(
        f"accuracy {summary['accuracy']:.1%}, area under the IoU curve in percent (and with other seeds): {scores}"
    )
    console.note(f"report: {out / 'report.html'}; summary: {out / 'summary.json'}")
