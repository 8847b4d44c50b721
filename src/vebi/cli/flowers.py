"""Commands on ground truth: render it, train on it, and the whole story on it."""

from pathlib import Path
from typing import Annotated

import typer

from vebi.cli import console
from vebi.cli.options import Config, Json, Seed


def flowers(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the data set goes.")],
    variant: Annotated[str, typer.Option(help="single-6c or double-12c.")] = "single-6c",
    images_per_class: Annotated[int, typer.Option(help="1 to 1000; 1000 is the whole protocol.")] = 1000,
    size: Annotated[int, typer.Option(help="Side of a picture in pixels.")] = 112,
    seed: Seed = 0,
    background: Annotated[str, typer.Option(help="plain, noise or gradient.")] = "plain",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Render flowers with known ground truth.

    Pictures, part masks and a data card, by the an8Flower protocol.
    """
    with console.guarded(resumable=True):
        from vebi.datasets.flowers import generate

        with console.progress() as progress:
            record = generate(
                folder,
                variant=variant,
                images_per_class=images_per_class,
                size=size,
                seed=seed,
                background=background,
                progress=lambda done, total: progress("flowers", done, total),
            )
        if as_json:
            console.print_json(record)
        else:
            console.say(f"{len(record['classes'])} classes of {images_per_class} pictures with masks are in {folder}")


def train(
    data: Annotated[
        Path, typer.Argument(metavar="DIR", help="A data set of `vebi flowers`, or a class-per-folder tree.")
    ],
    out: Annotated[Path, typer.Option(help="The checkpoint to write, a .safetensors file.")],
    epochs: Annotated[int, typer.Option(help="Passes over the data.")] = 5,
    fold: Annotated[int, typer.Option(help="The fold (0 to 4) that is held out.")] = 0,
    seed: Seed = 0,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Train the reference network on flowers.

    Tells its accuracy on the pictures held out.
    """
    with console.guarded(resumable=True):
        from dataclasses import asdict

        from vebi.datasets.flowers.training import train as run

        with console.progress() as progress:
            result = run(data, out, epochs=epochs, fold=fold, seed=seed, progress=lambda a, b: progress("epochs", a, b))
        if as_json:
            console.print_json(asdict(result))
        else:
            console.say(f"{out}: {result.accuracy:.2%} of {result.held_out} held-out pictures are right")


def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
    as_json: Json = False,
    config: Config = None,
) -> None:
    """See the whole story on flowers, in minutes.

    Renders, trains, fits, explains, scores and reports.
    """
    with console.guarded(resumable=True):
        from vebi.demo import run

        with console.progress() as progress:
            summary = run(out, progress=progress)
        if as_json:
            console.print_json(summary)
        else:
            scores = ", ".join(f"{name} {value:.1f}" for name, value in summary["auc_iou"].items())
            console.say(f"accuracy {summary['accuracy']:.1%}, area under the IoU curve: {scores}")
            console.say(f"look at {out / 'report.html'}; the figures are in {out / 'summary.json'}")
