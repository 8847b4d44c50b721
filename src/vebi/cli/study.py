"""Commands of a study: what a model has learned, why it decides as it does, and all of it on one page."""

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
    OwnModel,
    Resize,
    Rule,
    Size,
    Spec,
    Std,
    Strict,
    Weights,
    load_model,
    one_of,
)

Run = Annotated[Path, typer.Argument(help="The run folder that `vebi fit` wrote.")]


def _mu(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter("it should be a number above 0, or auto") from None


def fit(
    spec: Spec,
    data: Annotated[Path, typer.Argument(help="The pictures that trained the model, one folder a class.")],
    out: Annotated[Path, typer.Option(help="The run folder; one that was stopped is resumed.")],
    mu: Annotated[
        str,
        typer.Option(
            callback=_mu,
            metavar="NUMBER|auto",
            help="Bound on the l1 norm of a class's weights, more selects more features; auto is the smallest within "
            "one standard error of the best on held-out fifths.",
        ),
    ] = "10",
    weights: Weights = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    classes: Classes = None,
    layer: Layers = None,
    signed: Annotated[bool, typer.Option("--signed", help="Allow negative weights.")] = False,
    labels: Annotated[str, typer.Option(help="predicted or true classes.")] = "predicted",
    energy: Annotated[str, typer.Option(help="squared sums squares of activations, l2 takes their norm.")] = "squared",
    no_unit_norm: Annotated[bool, typer.Option("--no-unit-norm", help="Do not scale descriptors to length 1.")] = False,
    no_stability: Annotated[
        bool, typer.Option("--no-stability", help="Do not select again on 50 half samples.")
    ] = False,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    strict: Strict = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Find the few features that matter for every class.

    The result, a run folder, is data without code. Progress is kept: the same command goes on where it was stopped.
    """
    with console.guarded(resumable=True):
        from vebi.interpretation.fit import interpret

        classifier = load_model(
            spec,
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
            found = interpret(
                classifier,
                data,
                mu=mu,
                signed=signed,
                labels=labels,
                layers=layer,
                energy=energy,
                unit_norm=not no_unit_norm,
                stability=not no_stability,
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
                    "preprocess": found.provenance["settings"]["preprocess"],
                    "skipped": found.provenance["skipped"],
                    "notes": found.provenance["notes"],
                    "classes": {
                        name: {
                            "gap": float(gap),
                            "violation": found.provenance["violations"][j],
                            "features": [_in_words(found, name, *pair) for pair in found.selected(name)],
                        }
                        for j, (name, gap) in enumerate(zip(found.classes, found.gaps, strict=True))
                    },
                }
            )
        else:
            rows = [[name, "  ".join(f"{f} {w:.2f}" for f, w in found.selected(name))] for name in found.classes]
            console.table(["class", "features and weights"], rows)
            if mu == "auto":
                console.say(
                    f"mu = {found.mu:g}: the smallest within one standard error of the best on held-out pictures"
                )
            _say_stability(found)
            if found.provenance["accuracy"] is not None:
                console.say(
                    f"the model is right on {found.provenance['accuracy']:.1%} of these pictures, "
                    f"which it sees as {classifier.preprocess}"
                )


def _say_stability(found: Any) -> None:
    from vebi.reports.selection_summary import trust

    seen = trust(found)
    if seen:
        console.say(
            f"of {seen['all']} choices of a feature, {seen['stable']} are made again in at least 90% of "
            f"{seen['halves']} half samples, {seen['unstable']} in fewer than 60%; {seen['replaceable']} have stand-ins"
        )


def _in_words(found: Any, name: str, feature: Any, weight: float) -> dict[str, Any]:
    """A selected feature as plain data."""
    again = found.repetition(name, feature)
    said = {"feature": str(feature), "weight": weight, "consistency": found.exemplar(feature).consistency}
    return said | {
        "stability": again and again.share,
        "stability_with_stand_ins": again and again.joint,
        "stand_ins": again and [{"feature": str(other), "correlation": r} for other, r in again.stand_ins],
    }


def path(
    run: Run,
    out: Annotated[Path, typer.Option(help="The picture to write (SVG).")] = Path("path.svg"),
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="NAME", help="Of this class only; may be repeated.")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Show what is selected along mu, and what it explains.

    Per class the features in the order in which they enter, and on held-out fifths of the pictures the explained
    variance and the agreement with the network. Writes a picture.
    """
    with console.guarded():
        from vebi.interpretation.result import load
        from vebi.reports.selection_charts import write_picture
        from vebi.reports.selection_summary import in_words

        interpretation = load(run)
        found = in_words(interpretation, classes)
        write_picture(interpretation, out, classes)
        if as_json:
            console.print_json({"run": str(run), "picture": str(out), **found})
            return
        columns = (found["explained_variance"], found["agreement"])
        console.table(
            ["mu", "features a class", "explained, held out, %", "agreement, held out, %", ""],
            [
                [
                    f"{mu:g}",
                    f"{found['features'][k]:.1f}",
                    *(_with_error(column, k) for column in columns),
                    _mark(found, k),
                ]
                for k, mu in enumerate(found["mus"])
            ],
        )
        rows = [
            [name, "  ".join(f"{f['feature']}({f['enters']:.3g})" for f in content["features"])]
            for name, content in found["classes"].items()
        ]
        console.table(["class", "features in the order of entry, and the mu of each"], rows)
        console.say(f"look at {out}")


def _with_error(column: dict[str, Any], k: int) -> str:
    if column["mean"] is None:
        return "none"
    return f"{100 * column['mean'][k]:.1f} ± {100 * column['standard_error'][k]:.1f}"


def _mark(found: dict[str, Any], k: int) -> str:
    mu = found["mus"][k]
    marks = {"this run": found["mu"], "best": found["best_mu"], "auto": found["recommended_mu"]}
    return ", ".join(name for name, at in marks.items() if at == mu)


def explain(
    run: Run,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures, or folders of pictures.")],
    out: Annotated[Path, typer.Option(help="Where the pictures of the explanations go.")],
    model: OwnModel = None,
    weights: Weights = None,
    features: Annotated[int, typer.Option(help="Heatmaps a picture, at most.")] = 3,
    target: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Explain this class instead of the predicted one.")
    ] = None,
    rule: Rule = "guided",
    stride_fix: Annotated[str, typer.Option(help="centred, nearest or none.")] = "centred",
    batch_size: BatchSize = 32,
    device: Device = "auto",
    strict: Strict = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Explain predictions with a heatmap for each feature that counted.

    Writes a picture and the raw arrays (.npz) for every image, and explanations.json.
    """
    with console.guarded():
        from vebi.interpretation.result import load
        from vebi.interpretation.run_folder import find_classifier
        from vebi.reports.gallery import write_gallery

        fix = one_of("--stride-fix", stride_fix, {"centred": "centred", "nearest": "nearest", "none": None})
        interpretation = load(run, find_classifier(run, model, weights, device))
        with console.progress() as progress:
            rows = write_gallery(
                interpretation,
                images,
                out,
                strict=strict,
                features=features,
                target=target,
                rule=rule,
                stride_fix=fix,
                batch_size=batch_size,
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


def report(
    run: Run,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    images: Annotated[
        Path | None,
        typer.Option(help="Pictures to take examples from, one folder a class; by default those of the fit."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Masks beside them, by the same names: what is not black is the object.")
    ] = None,
    model: OwnModel = None,
    weights: Weights = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="NAME", help="Show this class only; may be repeated.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The heading of the page.")] = None,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Write a report: one HTML file that needs nothing else.

    Classes, their features, explanations of right and wrong predictions, and scores where there are masks.
    """
    with console.guarded():
        from vebi.interpretation.result import load
        from vebi.interpretation.run_folder import find_classifier
        from vebi.reports.study_page import write_report

        interpretation = load(run, find_classifier(run, model, weights, device))
        with console.progress() as progress:
            survey = write_report(
                interpretation,
                out,
                images=images,
                masks=masks,
                classes=classes,
                title=title,
                batch_size=batch_size,
                progress=progress,
            )
        if as_json:
            console.print_json({"report": str(out), **survey.in_words()})
        else:
            console.say(f"look at {out}")
