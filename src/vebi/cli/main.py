"""The commands of vebi."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vebi.cli import console

app = typer.Typer(
    name="vebi",
    help="Shows what an image classifier has learned and why it decides as it does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Spec = Annotated[
    str,
    typer.Argument(help="FILE.py:FUNCTION, torchvision:NAME, timm:NAME or a checkpoint of `vebi train`."),
]
Weights = Annotated[
    Path | None, typer.Option(help="Weights: safetensors, or what torch.load(weights_only=True) reads.")
]
Numbers = Annotated[str | None, typer.Option(help="One number a colour, as 0.485,0.456,0.406.")]
Size = Annotated[int | None, typer.Option(help="Side of the network's input in pixels.")]
Classes = Annotated[str | None, typer.Option(help="Class names in the model's order, separated by commas.")]


@app.command()
def flowers(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the data set goes.")],
    variant: Annotated[str, typer.Option(help="single-6c or double-12c.")] = "single-6c",
    images_per_class: Annotated[int, typer.Option(help="1 to 1000; 1000 is the whole protocol.")] = 1000,
    size: Annotated[int, typer.Option(help="Side of a picture in pixels.")] = 112,
    seed: Seed = 0,
    background: Annotated[str, typer.Option(help="plain, noise or gradient.")] = "plain",
    as_json: Json = False,
) -> None:
    """Render flowers with known ground truth: pictures, part masks and a data card."""
    with console.guarded(resumable=True):
        from vebi.flowers import generate

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


@app.command()
def train(
    data: Annotated[
        Path, typer.Argument(metavar="DIR", help="A data set of `vebi flowers`, or a class-per-folder tree.")
    ],
    out: Annotated[Path, typer.Option(help="The checkpoint to write, a .safetensors file.")],
    epochs: Annotated[int, typer.Option(help="Passes over the data.")] = 5,
    fold: Annotated[int, typer.Option(help="The fold (0 to 4) that is held out.")] = 0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train the reference network and tell its accuracy on the pictures held out."""
    with console.guarded(resumable=True):
        from dataclasses import asdict

        from vebi.flowers.training import train as run

        with console.progress() as progress:
            result = run(data, out, epochs=epochs, fold=fold, seed=seed, progress=lambda a, b: progress("epochs", a, b))
        if as_json:
            console.print_json(asdict(result))
        else:
            console.say(f"{out}: {result.accuracy:.2%} of {result.held_out} held-out pictures are right")


@app.command()
def layers(
    spec: Spec,
    weights: Weights = None,
    mean: Numbers = None,
    std: Numbers = None,
    size: Size = None,
    as_json: Json = False,
) -> None:
    """List the layers that can be tapped, and which are by default."""
    with console.guarded():
        from dataclasses import asdict

        from vebi.taps import list_layers

        found = list_layers(_load(spec, weights, mean, std, size, None))
        if as_json:
            console.print_json([asdict(layer) for layer in found])
        else:
            rows = [[x.name, x.kind, x.channels, f"{x.height} x {x.width}", "yes" if x.default else ""] for x in found]
            console.table(["layer", "kind", "channels", "positions", "by default"], rows)


@app.command()
def fit(
    spec: Spec,
    data: Annotated[Path, typer.Argument(help="The pictures that trained the model, one folder a class.")],
    out: Annotated[Path, typer.Option(help="The run folder; one that was stopped is resumed.")],
    mu: Annotated[
        float, typer.Option(help="Bound on the l1 norm of a class's weights; more selects more features.")
    ] = 10.0,
    weights: Weights = None,
    mean: Numbers = None,
    std: Numbers = None,
    size: Size = None,
    classes: Classes = None,
    layer: Annotated[
        list[str] | None, typer.Option("--layers", help="A layer to tap, a name or a glob; may be repeated.")
    ] = None,
    signed: Annotated[bool, typer.Option("--signed", help="Allow negative weights.")] = False,
    labels: Annotated[str, typer.Option(help="predicted or true classes.")] = "predicted",
    energy: Annotated[str, typer.Option(help="squared sums squares of activations, l2 takes their norm.")] = "squared",
    no_unit_norm: Annotated[bool, typer.Option("--no-unit-norm", help="Do not scale descriptors to length 1.")] = False,
    batch_size: Annotated[int, typer.Option(help="Pictures a pass.")] = 32,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first picture that cannot be decoded.")] = False,
    as_json: Json = False,
) -> None:
    """Find the few features that matter for every class."""
    with console.guarded(resumable=True):
        from vebi.fitting import interpret

        classifier = _load(spec, weights, mean, std, size, classes)
        with console.progress() as progress:
            found = interpret(
                classifier,
                data,
                mu=mu,
                signed=signed,
                labels=labels,
                layers=layer,
                energy=energy,
                unit_norm=not no_unit_norm,
                batch_size=batch_size,
                strict=strict,
                out=out,
                progress=progress,
            )
        if as_json:
            console.print_json(
                {
                    "run": str(out),
                    "mu": found.mu,
                    "accuracy": found.provenance["accuracy"],
                    "skipped": found.provenance["skipped"],
                    "notes": found.provenance["notes"],
                    "classes": {
                        name: {
                            "gap": float(gap),
                            "features": [{"feature": str(f), "weight": w} for f, w in found.selected(name)],
                        }
                        for name, gap in zip(found.classes, found.gaps, strict=True)
                    },
                }
            )
        else:
            rows = [[name, "  ".join(f"{f} {w:.2f}" for f, w in found.selected(name))] for name in found.classes]
            console.table(["class", "features and weights"], rows)
            if found.provenance["accuracy"] is not None:
                console.say(f"the model is right on {found.provenance['accuracy']:.1%} of these pictures")


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="The run folder that `vebi fit` wrote.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures, or folders of pictures.")],
    out: Annotated[Path, typer.Option(help="Where the pictures of the explanations go.")],
    model: Annotated[
        str | None, typer.Option(metavar="SPEC", help="The run's model, where it is a file of yours.")
    ] = None,
    weights: Weights = None,
    features: Annotated[int, typer.Option(help="Heatmaps a picture, at most.")] = 3,
    target: Annotated[
        str | None, typer.Option("--class", help="Explain this class instead of the predicted one.")
    ] = None,
    stride_fix: Annotated[str, typer.Option(help="centred, nearest or none.")] = "centred",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first picture that cannot be decoded.")] = False,
    as_json: Json = False,
) -> None:
    """Explain predictions: for every picture one heatmap for each feature that contributed."""
    with console.guarded():
        from vebi.interpretation import load
        from vebi.report.gallery import write_gallery
        from vebi.runs import find_classifier

        interpretation = load(run, find_classifier(run, model, weights))
        with console.progress() as progress:
            rows = write_gallery(
                interpretation,
                images,
                out,
                strict=strict,
                features=features,
                target=target,
                stride_fix=None if stride_fix == "none" else stride_fix,
                progress=lambda done, total: progress("explanations", done, total),
            )
        if as_json:
            console.print_json(rows)
        else:
            console.table(
                ["picture", "prediction", "evidence"],
                [
                    [
                        row["image"],
                        f"{row['prediction']} {row['probability']:.0%}",
                        "  ".join(f"{e['feature']} {e['contribution']:.3f}" for e in row["evidence"]),
                    ]
                    for row in rows
                ],
            )


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
    as_json: Json = False,
) -> None:
    """The whole story on flowers, in minutes: render, train, fit, explain, score, report."""
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


def _load(spec: str, weights: Path | None, mean: str | None, std: str | None, size: int | None, classes: str | None):
    from vebi.loading import load_classifier

    return load_classifier(
        spec,
        weights,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        size=size,
        class_names=[name.strip() for name in classes.split(",")] if classes else None,
    )


def _numbers(option: str, text: str | None) -> list[float] | None:
    from vebi.errors import UsageError

    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} is {text!r}, but numbers separated by commas are needed, as 0.5,0.5,0.5") from None


def main() -> None:
    """The entry point: usage errors of the parser end with exit code 2, as those of vebi do."""
    app()
    sys.exit(0)
