"""Commands that hold methods against ground truth."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vebi.cli import console
from vebi.cli.options import (
    BatchSize,
    Classes,
    Config,
    Device,
    Interpolation,
    Json,
    Layers,
    Mean,
    Resize,
    Seed,
    Size,
    Std,
    Weights,
    load_model,
)

app = typer.Typer(
    help="Hold heatmaps of many methods against masks.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="FILE.py:FUNCTION",
        help="A method of yours: a function that takes the classifier and returns (images, targets) -> maps; "
        "may be repeated.",
    ),
]


@app.command()
def table1(
    out: Annotated[Path, typer.Option(help="Where everything goes; what is there already is used again.")] = Path(
        "table1"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="A small one, in minutes, to see that all of it works.")
    ] = False,
    method: Methods = None,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Make the table of the paper again: all methods, two data sets of flowers, five folds.

    Renders, trains, fits, explains and scores. Writes table1.json, table1.md and report.html.
    """
    with console.guarded(resumable=True):
        from vebi.benchmark.table1 import FULL, QUICK
        from vebi.benchmark.table1 import table1 as run

        with console.progress() as progress:
            found = run(
                out,
                QUICK if quick else FULL,
                own=tuple(method or ()),
                batch_size=batch_size,
                device=device,
                progress=progress,
            )
        _tell(found, out, as_json)


@app.command("run")
def run_own(
    data: Annotated[Path, typer.Option(help="Your pictures, one folder a class.")],
    model: Annotated[
        str, typer.Option(metavar="SPEC", help="FILE.py:FUNCTION, torchvision:NAME, timm:NAME or a checkpoint.")
    ],
    masks: Annotated[
        Path | None,
        typer.Option(help="Masks by the names of the pictures: what is not black is the object. Flowers have theirs."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where everything goes; what is there already is used again.")] = Path(
        "bench"
    ),
    fit_on: Annotated[
        Path | None, typer.Option(help="The pictures that trained the model; by default those that are scored.")
    ] = None,
    mu: Annotated[float, typer.Option(help="Bound on the l1 norm of a class's weights, see `vebi fit`.")] = 10.0,
    per_class: Annotated[int, typer.Option(help="Pictures of each class that are scored, at most.")] = 50,
    mosaics: Annotated[int, typer.Option(help="Mosaics of four classes; 0 for none.")] = 50,
    seed: Seed = 0,
    method: Methods = None,
    layer: Layers = None,
    cam_layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="The layer of Grad-CAM and its kin; by default it is found.")
    ] = None,
    weights: Weights = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    classes: Classes = None,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Hold all methods against masks of your own, on your own model.

    Fits, explains and scores. Writes table.json, table.md and report.html.
    """
    with console.guarded(resumable=True):
        from vebi.benchmark.custom import contest

        classifier = load_model(
            model,
            weights,
            mean=mean,
            std=std,
            size=size,
            resize=resize,
            interpolation=interpolation,
            classes=classes,
            device=device,
        )
        with console.progress() as progress:
            found = contest(
                classifier,
                data,
                out,
                masks=masks,
                learnt=fit_on,
                layers=layer,
                mu=mu,
                per_class=per_class,
                mosaics=mosaics,
                seed=seed,
                own=tuple(method or ()),
                cam_layer=cam_layer,
                batch_size=batch_size,
                progress=progress,
            )
        _tell(found, out, as_json)


def _tell(found: dict[str, Any], out: Path, as_json: bool) -> None:
    if as_json:
        console.print_json(found)
        return
    headings = ["data", "method", "AUC-IoU", "vebi / it", "95 % interval", "grid pointing"]
    rows = [
        [
            row["variant"],
            row["title"],
            f"{row['mean']:.1f}" + (f" ± {row['std']:.1f}" if row["std"] is not None else ""),
            f"{row['ratio_of_vebi_to_it']:.2f}",
            "" if row["p"] is None else "{:.2f} to {:.2f}".format(*row["ratio_interval"]),
            "" if row["grid_pointing"] is None else f"{row['grid_pointing']:.1f}",
        ]
        for row in found["rows"]
    ]
    console.table(headings, rows)
    console.say(f"look at {out / 'report.html'}")
