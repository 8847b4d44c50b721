"""The command that shows what is selected along mu."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import Json, Run


@command()
def path(
    run: Run,
    out: Annotated[Path, typer.Option(help="Figure to write, a .svg file.")] = Path("path.svg"),
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="Only this class; may be repeated. By default up to 24."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the regularization path: features, R² and fidelity at each mu.

    The features selected at each mu, with cross-validated R² and fidelity (5 folds): fidelity is the share of the
    held-out images for which the class with the largest score (the weighted sum of its features) is the one that the
    model predicts. Per class, the features in the order of entry; of more than 24 classes those that are asked for, or
    24 of them, spread evenly. Writes a figure.
    """
    from vebi.interpretation.result import load
    from vebi.reports.run_report.selection_charts import write_figure
    from vebi.reports.run_report.selection_summary import bound_name, fit_scores, shown_classes, to_dict

    interpretation = load(run)
    shown = shown_classes(interpretation, classes)
    content = to_dict(interpretation, shown)
    write_figure(interpretation, out, shown)
    if len(shown) < len(interpretation.class_names) and not classes:
        console.note(f"{len(shown)} of {len(interpretation.class_names)} classes are shown: --class NAME shows another")
    if as_json:
        console.print_json({"run": str(run), "figure": str(out), **content})
        return
    rows = [
        [
            f"{mu:g}",
            f"{content['features'][k]:.1f}",
            _with_error(content["r2"], k),
            _with_error(content["fidelity"], k),
            _label(content, k),
        ]
        for k, mu in enumerate(content["mus"])
    ]
    console.table(["mu", "features per class", "held-out R², %", "held-out fidelity, %", ""], rows)
    rows = [
        [name, "  ".join(f"{f['feature']}({f['entry_mu']:.3g})" for f in selection["features"])]
        for name, selection in content["classes"].items()
    ]
    console.table(["class", "features in the order of entry (entry mu)"], rows)
    scores = fit_scores(interpretation)
    if scores and content["mu"] is None:
        console.note(f"this run, {bound_name(interpretation)}, on held-out images: {scores}")
    console.note(f"figure: {out}")


def _with_error(column: dict[str, Any], k: int) -> str:
    """Mean and standard error in percent at the k-th mu."""
    if column["mean"] is None:
        return "none"
    return f"{100 * column['mean'][k]:.1f} ± {100 * column['standard_error'][k]:.1f}"


def _label(content: dict[str, Any], k: int) -> str:
    """Which of the notable values the k-th mu is, if any."""
    values = {"this run": content["mu"], "best": content["best_mu"], "auto": content["one_se_mu"]}
    return ", ".join(name for name, mu in values.items() if mu == content["mus"][k])
