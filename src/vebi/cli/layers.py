"""The command that lists the layers of a model."""

from typing import TYPE_CHECKING, Annotated

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import Json, ModelOptions, Spec

if TYPE_CHECKING:  # it needs torch, which --help must not wait for
    from vebi.backprop.receptive_field import ReceptiveField


@command()
def layers(
    spec: Spec,
    *,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layers", metavar="NAME", help="Only this layer, by name or glob like 'layer3.*'; may be repeated."
        ),
    ] = None,
    model: ModelOptions,
    as_json: Json = False,
) -> None:
    """List the layers of a model: channels, size, receptive field.

    The activation functions are the layers that the other commands use by default: ReLU, leaky ReLU, ELU, SiLU, GELU,
    tanh and their kin, those of fully connected layers included; not sigmoid and softmax.
    """
    from dataclasses import asdict

    from vebi.activations.detached import describe_detached, find_detached
    from vebi.backprop.receptive_field import list_layers_with_fields

    classifier = model.load(spec)
    choice = list_layers_with_fields(classifier, layer)
    detached = [x.name for x, field in choice if field is None]
    if detached:
        kinds = find_detached(classifier, detached)
        console.note(f"{describe_detached(kinds, detached)}: what it sees of the image is not known")
    if as_json:
        console.print_json([{**asdict(x), "receptive_field": field.size if field else None} for x, field in choice])
        return
    rows = [
        [
            x.name,
            x.kind,
            x.channels,
            f"{x.height} x {x.width}",
            _extent(field, classifier.preprocess.size),
            "yes" if x.is_activation else "",
        ]
        for x, field in choice
    ]
    console.table(["layer", "kind", "channels", "height x width", "receptive field", "default"], rows)


def _extent(field: "ReceptiveField | None", side: int) -> str:
    if field is None:
        return "not known"
    return "whole image" if field.size == (side, side) else f"{field.size[0]} x {field.size[1]} px"
