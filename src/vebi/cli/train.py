"""The command that trains the reference network."""

from pathlib import Path
from typing import Annotated

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import Json, Seed


@command(resumable=True)
def train(
    data: Annotated[
        Path,
        typer.Argument(help="A data set of `vebi flowers`, or a folder with one folder per class."),
    ],
    out: Annotated[Path, typer.Option(help="Checkpoint to write, a .safetensors file.")],
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 5,
    fold: Annotated[int, typer.Option(help="Fold that is held out, 0 to 4.")] = 0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train the reference network on flowers.

    A small network of four convolutions. Prints its accuracy on the held-out fold, a fifth of the images.
    """
    from dataclasses import asdict

    from vebi.datasets.flowers.training import train as run

    with console.progress() as progress:
        result = run(
            data,
            out,
            epochs=epochs,
            fold=fold,
            seed=seed,
            progress=lambda done, total: progress("epochs", done, total),
        )
    if as_json:
        console.print_json(asdict(result))
    else:
        console.note(f"{out}: accuracy {result.accuracy:.2%} on {result.held_out} held-out images")
