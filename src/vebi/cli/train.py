"""The command that trains a reference network."""

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
    architecture: Annotated[
        str,
        typer.Option(
            metavar="flowernet|flower-resnet|flower-vgg",
            help="The network. flowernet: four convolutions and a global mean; flower-resnet: residual blocks with "
            "strides and batch normalisation; flower-vgg: batch normalisation, max pooling and "
            "two fully connected layers.",
        ),
    ] = "flowernet",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 5,
    fold: Annotated[int, typer.Option(help="Fold that is held out, 0 to 4.")] = 0,
    folds_by: Annotated[
        str,
        typer.Option(
            metavar="rotation|frame",
            help="What makes the folds of the images class{c}_img{n}_p{p}_r{r}.png: r, or n modulo 5, so that no "
            "held-out frame is seen in training under another rotation; of other images it is their index modulo 5.",
        ),
    ] = "rotation",
    seed: Seed = 0,
    augment: Annotated[
        bool,
        typer.Option(
            "--augment", help="Mirror every image in half of the passes, and shift it by up to 1/14 of its sides."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a reference network on flowers.

    A small network, whose accuracy on the held-out fold, a fifth of the images, is printed.
    """
    from dataclasses import asdict

    from vebi.datasets.flowers.training import train as run

    with console.progress() as progress:
        result = run(
            data,
            out,
            architecture=architecture,
            epochs=epochs,
            fold=fold,
            folds_by=folds_by,
            seed=seed,
            augment=augment,
            progress=lambda done, total: progress("epochs", done, total),
        )
    if as_json:
        console.print_json(asdict(result))
    else:
        console.note(f"{out}: accuracy {result.accuracy:.2%} on {result.held_out} held-out images")
