"""The options that commands share, each described once."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vebi.cli.config import read_config
from vebi.errors import InputError, UsageError

if TYPE_CHECKING:  # a model needs torch, which --help must not wait for
    from vebi.activations.descriptors import Descriptor
    from vebi.models.classifier import Classifier


def _check_seed(seed: int) -> int:
    if not 0 <= seed < 2**63:  # the range of every generator
        raise UsageError(f"--seed is {seed}: give a whole number from 0 to {2**63 - 1}")
    return seed


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        callback=read_config,
        is_eager=True,
        expose_value=False,
        help="TOML file of options: a table per command, as [fit] or [bench.run], whose keys are the long options and "
        "the arguments, like mu = 5; the command line takes precedence.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Seed = Annotated[int, typer.Option(callback=_check_seed, help="Random seed.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Fail on an image that cannot be decoded, instead of skipping it.")
]
BatchSize = Annotated[int, typer.Option(help="Batch size: images per forward pass.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, or auto: a GPU if there is one.")]
Rule = Annotated[
    str,
    typer.Option(
        metavar="guided|deconvnet|gradient",
        help="Backprop rule: what an activation function y(x) passes on of the gradient g of its output. guided: "
        "y'(x) g where x > 0 and g > 0; deconvnet: g where g > 0; gradient: y'(x) g.",
    ),
]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layers",
        metavar="NAME",
        help="A layer by name, or the activation functions that match a glob like 'layer3.*'; may be repeated, and "
        "'!layer3.*' leaves out. Or spatial, the activation functions with positions, or late, their second half; by "
        "default all of them, which `vebi layers` lists.",
    ),
]
MASKS = (
    "Folder with MASKS/CLASS/NAME.png for IMAGES/CLASS/NAME.jpg, of the same size in pixels; any pixel that is not "
    "black is the object"
)

Spec = Annotated[
    str,
    typer.Argument(
        help="The model: FILE.py:FUNCTION (a function that returns the PyTorch module), torchvision:NAME, timm:NAME, "
        "a checkpoint of `vebi train`, or a network of `vebi train` (vebi:flowernet, vebi:flower-resnet or "
        "vebi:flower-vgg) with --weights."
    ),
]
FeaturesPerClass = Annotated[
    int | None,
    typer.Option(
        "--features", min=1, metavar="NUMBER", help="Features that a class selects at most.", show_default="3"
    ),
]
Run = Annotated[Path, typer.Argument(help="The run folder that `vebi fit` wrote.")]
RunModel = Annotated[
    str | None,
    typer.Option(metavar="FILE.py:FUNCTION", help="The model of the run; needed if it is defined in a Python file."),
]
RunWeights = Annotated[Path | None, typer.Option(help="The weights of the run's model, if the file has moved.")]


@dataclass(frozen=True)
class DescriptorOptions:
    """How activations become the columns of the fit, see ``Descriptor``.

    Attributes:
        energy: Strength of a channel.
        unit_norm: Whether descriptors are scaled to norm 1.
        scaling: Scale of the columns.
        paper: Whether they are those of the paper; the others stay at their defaults.
    """

    energy: Annotated[
        str,
        typer.Option(
            metavar="squared|l2",
            help="Strength of a channel: squared (sum of squared activations) or l2 (their l2 norm). Either is divided "
            "by the sum over the channels of its layer.",
        ),
    ] = "l2"
    unit_norm: Annotated[
        bool,
        typer.Option("--unit-norm", help="Then scale the descriptor of an image, all layers together, to l2 norm 1."),
    ] = False
    scaling: Annotated[
        str,
        typer.Option(
            metavar="standardised|centred|log|clr|plain",
            help="Scale of the columns in the fit: less their mean and divided by their standard deviation; less their "
            "mean; logarithms less their mean, or less that of their layer, too; or as they are, without a constant "
            "term.",
        ),
    ] = "standardised"
    paper: Annotated[bool, typer.Option("--paper", help="The descriptor of the paper: squared, unit norm, plain.")] = (
        False
    )

    def make(self) -> "Descriptor":
        """The descriptor of these options."""
        from vebi.activations.descriptors import Descriptor

        descriptor = Descriptor(self.energy, self.unit_norm, self.scaling)
        if self.paper and descriptor not in (Descriptor(), Descriptor.paper()):
            raise UsageError("--paper sets --energy, --unit-norm and --scaling: give it alone")
        return Descriptor.paper() if self.paper else descriptor


@dataclass(frozen=True)
class ModelOptions:
    """The weights of a model and its preprocessing, the same options in every command that takes a model.

    Attributes:
        weights: File of weights.
        mean: Mean of each channel, separated by commas.
        std: Standard deviation of each channel, separated by commas.
        size: Side of the network's input in pixels.
        resize: Shorter side of the image before the center crop in pixels.
        interpolation: Name of the interpolation.
        classes: Names of the model's outputs, in their order, separated by commas, or a text file of them
            or of ids and names.
        device: See ``find_device``.
    """

    weights: Annotated[
        Path | None,
        typer.Option(
            help="State dict of the model, by safetensors or torch.save, or a dict with one under state_dict; by "
            "default torchvision and timm download theirs."
        ),
    ] = None
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Mean of each channel on the scale 0 to 1, like 0.485,0.456,0.406, or one number for grey; by default "
            "the model's own.",
        ),
    ] = None
    std: Annotated[str | None, typer.Option(metavar="R,G,B", help="Standard deviation of each channel, likewise.")] = (
        None
    )
    size: Annotated[
        int | None, typer.Option(help="Side of the model's input in pixels; by default the model's own.")
    ] = None
    resize: Annotated[
        int | None,
        typer.Option(
            help="Shorter side of the image before the center crop, in pixels, at least --size; by default the model's "
            "own, or --size if that is given."
        ),
    ] = None
    interpolation: Annotated[
        str | None,
        typer.Option(
            metavar="bilinear|bicubic|lanczos|nearest",
            help="Interpolation of the resizing; by default the model's own, or bilinear if --size is given.",
        ),
    ] = None
    classes: Annotated[
        str | None,
        typer.Option(
            help="Names of the model's outputs, in their order: separated by commas, or a text file with one name per "
            "line, or with an id, a tab and a name where folders are called by ids; by default the model's own, or the "
            "class folders, sorted."
        ),
    ] = None
    device: Device = "auto"

    def load(self, spec: str) -> "Classifier":
        """Loads the model that ``spec`` names, with these options."""
        from vebi.models.load import load_classifier

        class_names, class_ids = _class_list(self.classes)
        return load_classifier(
            spec,
            self.weights,
            mean=_numbers("--mean", self.mean),
            std=_numbers("--std", self.std),
            size=self.size,
            resize=self.resize,
            interpolation=self.interpolation,
            class_names=class_names,
            class_ids=class_ids,
            device=self.device,
        )


def _numbers(option: str, text: str | None) -> list[float] | None:
    """The numbers in a text like "0.485,0.456,0.406"."""
    if text is None:
        return None
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} is {text!r}: give one number per channel, like 0.485,0.456,0.406") from None


def _class_list(text: str | None) -> tuple[list[str] | None, list[str] | None]:
    """The names in a text like "cat,dog", or the names and ids in a file."""
    from vebi.data.class_list import read_class_list

    if text is None:
        return None, None
    if _is_file(text):
        return read_class_list(Path(text))
    if "," not in text:
        raise InputError(f"--classes is {text!r}, which is no file: give names separated by commas, or a text file")
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"--classes is {text!r}, which has no names: give them in the order of the model's outputs")
    return names, None


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # a list of names can be longer than a path may be
        return False
