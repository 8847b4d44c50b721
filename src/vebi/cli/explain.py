"""The command that explains predictions."""

from pathlib import Path
from typing import Annotated

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import BatchSize, Device, Json, Rule, Run, RunModel, RunWeights, Strict
from vebi.errors import UsageError

STRIDE_FIXES = {"centred": "centred", "nearest": "nearest", "none": None}


@command()
def explain(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    model: RunModel = None,
    weights: RunWeights = None,
    max_features: Annotated[
        int, typer.Option("--max-features", "--features", help="Features per image, at most; one heatmap each.")
    ] = 3,
    target: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Explain this class instead of the predicted one.")
    ] = None,
    rule: Rule = "guided",
    stride_fix: Annotated[
        str,
        typer.Option(
            metavar="centred|nearest|none",
            help="Backward pass of strided operations. centred: each gradient is repeated over its stride, nothing is "
            "shifted; nearest: it is enlarged by nearest neighbour, as in the authors' code; none: the ordinary pass, "
            "with checkerboard artefacts.",
        ),
    ] = "centred",
    batch_size: BatchSize = 32,
    device: Device = "auto",
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Explain predictions: one heatmap per contributing feature.

    A feature contributes its number in the descriptor times its weight for the class, divided by the l1 norm of the
    weights of the class. Writes a figure and the raw arrays (.npz) of each image, and explanations.json.
    """
    from vebi.interpretation.result import load
    from vebi.interpretation.run_folder import find_classifier
    from vebi.reports.gallery import write_gallery

    if stride_fix not in STRIDE_FIXES:
        raise UsageError(f"--stride-fix is {stride_fix!r}: choose one of {', '.join(STRIDE_FIXES)}")
    interpretation = load(run, find_classifier(run, model, weights, device))
    with console.progress() as progress:
        rows = write_gallery(
            interpretation,
            images,
            out,
            target=target,
            max_features=max_features,
            rule=rule,
            stride_fix=STRIDE_FIXES[stride_fix],
            batch_size=batch_size,
            strict=strict,
            progress=lambda done, total: progress("explanations", done, total),
        )
    if as_json:
        console.print_json(rows)
        return
    table = [
        [
            row["image"],
            f"{row['prediction']} {row['probability']:.0%}",
            "  ".join(f"{e['feature']} {e['contribution']:.3f}" for e in row["evidence"]),
        ]
        for row in rows
    ]
    console.table(["image", "prediction", "features and contributions"], table)
    console.note(f"figures and arrays: {out}")
