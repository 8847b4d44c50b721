"""The command that renders flowers with ground truth."""

from pathlib import Path
from typing import Annotated

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import Json, Seed


@command(resumable=True)
def flowers(
    folder: Annotated[Path, typer.Argument(help="Output folder of the data set.")],
    variant: Annotated[
        str,
        typer.Option(
            metavar="single-6c|double-12c|shape-6c",
            help="single-6c: the colour of the petals is the class; double-12c: the colour and the part that has it, "
            "petals or leaves; shape-6c: the form of the petals.",
        ),
    ] = "single-6c",
    images_per_class: Annotated[
        int, typer.Option(help="Images per class, 1 to 1000; 1000 is the full protocol.")
    ] = 1000,
    size: Annotated[int, typer.Option(help="Side of an image in pixels, 16 to 1024.")] = 112,
    seed: Seed = 0,
    background: Annotated[
        str, typer.Option(metavar="plain|noise|gradient", help="Background of the flowers in the plain scene.")
    ] = "plain",
    scene: Annotated[
        str | None,
        typer.Option(
            metavar="plain|meadow",
            help="plain: the flower alone, as in the paper; meadow: among grass, stones, blossoms and butterflies of "
            "the same colours, so that the class cannot be told without a network. By default plain; shape-6c has "
            "meadow alone.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Render a data set of flowers with ground-truth masks.

    Images, part masks and a data card, by the an8Flower protocol. Needs pip install 'vebi[flowers]'.
    """
    from vebi.datasets.flowers.dataset import generate

    with console.progress() as progress:
        record = generate(
            folder,
            variant=variant,
            images_per_class=images_per_class,
            size=size,
            seed=seed,
            background=background,
            scene=scene,
            progress=lambda done, total: progress("flowers", done, total),
        )
    if as_json:
        console.print_json(record)
    else:
        console.note(f"{len(record['classes'])} classes of {images_per_class} images with masks are in {folder}")
