"""The options that commands share, and the file that can hold them all."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from vebi.errors import InputError, UsageError


def _read_config(context: typer.Context, path: Path | None) -> None:
    """What the file says becomes the default of every option and argument; the command line comes first."""
    if path is None:
        return
    words = context.command_path.split()[1:]  # `vebi bench run` has the table [bench.run]
    held, group = _parse(path), context.find_root().command
    for k, word in enumerate(words):
        place = ".".join(words[:k])
        for name, table in held.items():
            if not isinstance(table, dict):
                outside = f"in [{place}]" if place else "outside of any table"
                raise UsageError(f"{path} says {name!r} {outside}, but it belongs to a command, as in [fit]")
            if name not in group.commands:
                inside = f"in [{place}]" if place else "at its top"
                raise UsageError(f"{path} says {name!r} {inside}, but a table for each command is needed, as [fit]")
        held, group = held.get(word, {}), group.commands[word]
    command = ".".join(words)
    known = {_spelling(parameter): parameter for parameter in context.command.params if parameter.name != "config"}
    defaults = {}
    for key, value in held.items():
        name = key.replace("_", "-")
        if name not in known:
            shown = ", ".join(known)
            raise UsageError(f"{path} says {key!r} in [{command}], but `vebi {' '.join(words)}` knows {shown}")
        defaults[known[name].name] = _as_typed(value, known[name], f"{key} in [{command}] of {path}")
    context.default_map = defaults


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a TOML file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML file that can be read ({error}): correct it") from None


def _spelling(parameter: Any) -> str:
    """``batch-size`` for --batch-size, ``data`` for the argument."""
    return next((o.lstrip("-") for o in parameter.opts if o.startswith("--")), parameter.name)


def _as_typed(value: Any, parameter: Any, place: str) -> Any:
    """A value of the file as it would have been typed, so that both ways accept the same."""
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise UsageError(f"{place} is {value!r}, but true or false is needed")
        return value
    values = value if isinstance(value, list) else [value]
    if not values or any(isinstance(v, bool) or not isinstance(v, str | int | float) for v in values):
        raise UsageError(f"{place} is {value!r}, but text, a number or a list of them is needed")
    if parameter.multiple or parameter.nargs == -1:
        return [str(v) for v in values]
    if any("," in str(v) for v in values) and len(values) > 1:
        raise UsageError(f"{place} has a comma within a name: give a text file with one name a line instead")
    return ",".join(map(str, values))


def _check_seed(seed: int) -> int:
    if not 0 <= seed < 2**63:  # what every generator takes
        raise UsageError(f"--seed is {seed}: give a whole number from 0 to {2**63 - 1}")
    return seed


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        callback=_read_config,
        is_eager=True,
        expose_value=False,
        help="A TOML file with options of any command, as mu = 5 under [fit]; the command line comes first.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Seed = Annotated[int, typer.Option(callback=_check_seed, help="Seed of everything random.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first picture that cannot be decoded.")]

Spec = Annotated[
    str, typer.Argument(help="FILE.py:FUNCTION, torchvision:NAME, timm:NAME or a checkpoint of `vebi train`.")
]
Weights = Annotated[
    Path | None, typer.Option(help="Weights: safetensors, or what torch.load(weights_only=True) reads.")
]
Mean = Annotated[
    str | None, typer.Option(help="What is taken from the colours (0 to 1): one number each, as 0.485,0.456,0.406.")
]
Std = Annotated[str | None, typer.Option(help="What they are then divided by: one number each.")]
Size = Annotated[int | None, typer.Option(help="Side of the network's input in pixels.")]
Resize = Annotated[
    int | None, typer.Option(help="The shorter side is scaled to this before the middle is cut out; by default SIZE.")
]
Interpolation = Annotated[str | None, typer.Option(help="bilinear, bicubic, lanczos or nearest.")]
Classes = Annotated[
    str | None,
    typer.Option(help="Class names in the model's order: separated by commas, or a text file with one name a line."),
]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layers", metavar="NAME", help="A layer, by name or glob as 'layer3.*'; may be repeated."),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, or auto: a GPU where there is one.")]
Rule = Annotated[str, typer.Option(help="The backward rule: guided, deconvnet or gradient.")]
BatchSize = Annotated[int, typer.Option(help="Pictures a pass.")]
OwnModel = Annotated[
    str | None, typer.Option(metavar="SPEC", help="The run's model; needed where it is a file of yours.")
]


def load_model(
    spec: str,
    weights: Path | None,
    *,
    mean: str | None,
    std: str | None,
    size: int | None,
    resize: int | None,
    interpolation: str | None,
    classes: str | None,
    device: str,
) -> Any:
    """The classifier that the options describe."""
    from vebi.models.load import load_classifier

    return load_classifier(
        spec,
        weights,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        size=size,
        resize=resize,
        interpolation=interpolation,
        class_names=_names(classes),
        device=device,
    )


def _numbers(option: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} is {text!r}: give one number a colour, as 0.485,0.456,0.406") from None


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    held = os.path.isfile(text)  # which also bears a list that is too long for the name of a file
    if not held and "," not in text:
        raise InputError(f"--classes is {text!r}, which is no file: give names separated by commas, or a text file")
    try:
        found = Path(text).read_text(encoding="utf-8").splitlines() if held else text.split(",")
    except (OSError, ValueError) as error:
        raise InputError(f"{text} is no text file that can be read ({error}): give one name a line") from None
    names = [name.strip() for name in found if name.strip()]
    if not names:
        raise InputError(f"--classes is {text!r}, which holds no names: give them in the model's order")
    return names


def one_of(option: str, text: str, values: dict[str, Any]) -> Any:
    """What a word stands for."""
    if text not in values:
        raise UsageError(f"{option} is {text!r}: choose one of {', '.join(values)}")
    return values[text]
