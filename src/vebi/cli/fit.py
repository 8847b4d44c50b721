"""The command that selects the features of each class."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import BatchSize, DescriptorOptions, FeaturesPerClass, Json, Layers, ModelOptions, Spec, Strict

if TYPE_CHECKING:  # they need torch, which --help must not wait for
    from vebi.activations.layers import Feature
    from vebi.interpretation.result import Interpretation


def _parse_mu(text: str | None) -> float | str | None:
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter("it should be a number above 0, or auto") from None


@command(resumable=True)
def fit(
    spec: Spec,
    data: Annotated[
        Path,
        typer.Argument(
            help="The training images of the model: a folder with one folder per class, or, for --labels predicted, a "
            "flat folder of images."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    features_per_class: FeaturesPerClass = None,
    mu: Annotated[
        str | None,
        typer.Option(
            callback=_parse_mu,
            metavar="NUMBER|auto",
            help="Instead of --features, the bound on the l1 norm of the weights per class: a larger one selects more "
            "features, see `vebi path`. auto: the one-standard-error rule, the smallest mu of a grid whose mean R² in "
            "5-fold cross-validation is within one standard error of the best.",
        ),
    ] = None,
    layer: Layers = None,
    signed: Annotated[bool, typer.Option("--signed", help="Allow negative feature weights.")] = False,
    labels: Annotated[
        str,
        typer.Option(
            metavar="predicted|true",
            help="Class of an image in the fit: predicted by the model, or true by its folder.",
        ),
    ] = "predicted",
    descriptor: DescriptorOptions,
    no_stability: Annotated[
        bool, typer.Option("--no-stability", help="Skip stability selection (50 subsamples of half the images).")
    ] = False,
    model: ModelOptions,
    batch_size: BatchSize = 32,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Select the few features that tell each class apart.

    A feature is a channel of a layer. The mu-Lasso regresses each class on one number per channel (the descriptor),
    under a bound on the l1 norm of the weights, so that only a few are not zero. Writes a run folder; the same command
    resumes a fit that was stopped.
    """
    from vebi.interpretation.fit import interpret

    with console.progress() as progress:
        interpretation = interpret(
            model.load(spec),
            data,
            features_per_class=features_per_class,
            mu=mu,
            descriptor=descriptor.make(),
            signed=signed,
            labels=labels,
            layers=layer,
            stability=not no_stability,
            batch_size=batch_size,
            strict=strict,
            out=out,
            progress=progress,
        )
    if as_json:
        console.print_json({"run": str(out), **_to_dict(interpretation)})
    else:
        _print(interpretation)


def _print(interpretation: "Interpretation") -> None:
    from vebi.reports.run_report.selection_summary import fit_scores, stability_summary

    rows = [
        [name, "  ".join(f"{feature} {weight:.3g}" for feature, weight in interpretation.select_features(name))]
        for name in interpretation.class_names
    ]
    console.table(["class", "features and weights"], rows)
    if interpretation.settings.mu == "auto":
        console.note(
            f"mu = {interpretation.mu:g}: the smallest within one standard error of the best R² in cross-validation"
        )
    scores = fit_scores(interpretation)
    if scores:
        console.note(f"on held-out images (5 folds): {scores}")
    summary = stability_summary(interpretation)
    if summary:
        unknown = (
            f"{summary['unknown']} of which it cannot be known, as there are too few images; "
            if summary["unknown"]
            else ""
        )
        console.note(
            f"of {summary['all']} selected features, {summary['stable']} have a selection probability of at least 90% "
            f"over {summary['n_subsamples']} subsamples, {summary['unstable']} of less than 60%; "
            f"{unknown}"
            f"{summary['replaceable']} have correlated features (r > 0.95)"
        )
    accuracy = interpretation.diagnostics.accuracy
    if accuracy is not None:
        console.note(f"accuracy {accuracy:.1%} on these images, preprocessed as {interpretation.settings.preprocess}")


def _to_dict(interpretation: "Interpretation") -> dict[str, Any]:
    from vebi.reports.run_report.selection_summary import class_mu, fit_scores

    settings, diagnostics, scores = interpretation.settings, interpretation.diagnostics, fit_scores(interpretation)
    return {
        "mu": interpretation.mu,
        "features_per_class": settings.features_per_class,
        "accuracy": diagnostics.accuracy,
        "r2": scores and scores.r2,
        "fidelity": scores and scores.fidelity,
        "preprocess": settings.preprocess.to_dict(),
        "skipped": diagnostics.skipped,
        "notes": diagnostics.notes,
        "classes": {
            name: {
                "mu": class_mu(interpretation, j),
                "gap": gap,
                "violation": violation,
                "features": [_feature(interpretation, name, *pair) for pair in interpretation.select_features(name)],
            }
            for j, (name, gap, violation) in enumerate(
                zip(interpretation.class_names, diagnostics.gaps, diagnostics.violations, strict=True)
            )
        },
    }


def _feature(interpretation: "Interpretation", name: str, feature: "Feature", weight: float) -> dict[str, Any]:
    """A selected feature of a class; without stability selection the entries of its stability are None."""
    stability = interpretation.feature_stability(name, feature)
    return {
        "feature": str(feature),
        "weight": weight,
        "consistency": interpretation.exemplar(feature).consistency,
        "selection_probability": stability and stability.selection_probability,
        "group_probability": stability and stability.group_probability,
        "correlated_features": stability
        and [{"feature": str(other), "correlation": r} for other, r in stability.correlated_features],
    }
