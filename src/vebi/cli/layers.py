"""The command that lists the layers of a model."""

from typing import Annotated

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import Json, ModelOptions, Spec


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
    from vebi.activations.layers import list_layers, match_layers
    from vebi.backprop.receptive_field import receptive_fields
    from vebi.errors import ModelError

    classifier = model.load(spec)
    layers = list_layers(classifier)
    choice = match_layers(layers, layer) if layer else layers
    detached: dict[str, str] = {}
    try:
        fields = receptive_fields(classifier, [x.name for x in choice])
    except ModelError:
        detached = find_detached(classifier, [x.name for x in choice])
        fields = receptive_fields(classifier, [x.name for x in choice if x.name not in detached])
    sizes = {x.name: fields[x.name].size if x.name in fields else None for x in choice}
    if detached:
        console.note(f"{describe_detached(detached, list(detached))}: what it sees of the image is not known")
    if as_json:
        console.print_json([{**asdict(x), "receptive_field": sizes[x.name]} for x in choice])
        return
    rows = [
        [
            x.name,
            x.kind,
            x.channels,
            f"{x.height} x {x.width}",
            _extent(sizes[x.name], classifier.preprocess.size),
            "yes" if x.is_activation else "",
        ]
        for x in choice
    ]
    console.table(["layer", "kind", "channels", "height x width", "receptive field", "default"], rows)


def _extent(size: tuple[int, int] | None, side: int) -> str:
    if size is None:
        return "not known"
    return "whole image" if size == (side, side) else f"{size[0]} x {size[1]} px"
