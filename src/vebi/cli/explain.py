"""The command that explains predictions."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import BatchSize, Device, Json, Run, RunModel, RunWeights, Strict
from vebi.errors import UsageError

if TYPE_CHECKING:  # it needs torch, which --help must not wait for
    from vebi.explanation.recipe import Recipe

STRIDE_FIXES = {"centred": "centred", "nearest": "nearest", "none": None}


@dataclass(frozen=True)
class RecipeOptions:
    """How heatmaps are made, see ``Recipe``: a recipe by name, and what is to be different.

    Attributes:
        recipe: Its name.
        rule: Another backprop rule.
        stride_fix: Another stride fix.
        pool_fix: Whether max pooling is passed as average pooling is.
        reading: What of the backward pass is the heatmap.
        contrast: Whether heatmaps are kept to where the class is.
    """

    recipe: Annotated[
        str,
        typer.Option(
            metavar="layers|paper",
            help="Recipe of the heatmaps. layers: what the feature is made of at every layer, where the network sees "
            "the class rather than the others. paper: the input gradient of each feature.",
        ),
    ] = "layers"
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="guided|deconvnet|gradient",
            help="Instead of the recipe's (guided), the backprop rule: what an activation function y(x) passes on of "
            "the gradient g of its output. guided: y'(x) g where x > 0 and g > 0; deconvnet: g where g > 0; gradient: "
            "y'(x) g.",
        ),
    ] = None
    stride_fix: Annotated[
        str | None,
        typer.Option(
            metavar="centred|nearest|none",
            help="Instead of the recipe's (centred), the backward pass of strided operations. centred: each gradient "
            "is repeated over its stride, nothing is shifted; nearest: it is enlarged by nearest neighbour, as in the "
            "authors' code; none: the ordinary pass, with checkerboard artefacts.",
        ),
    ] = None
    pool_fix: Annotated[
        bool | None,
        typer.Option(
            "--pool-fix/--no-pool-fix",
            help="Whether max pooling is passed as average pooling is, which leaves no dots; by default the recipe's.",
            show_default=False,
        ),
    ] = None
    reading: Annotated[
        str | None,
        typer.Option(
            metavar="gradient|contribution|layers",
            help="Instead of the recipe's, what of the backward pass is the heatmap: the norm of the positive input "
            "gradient; input times gradient; or where all layers agree that the feature comes from, with the detail of "
            "the pixels.",
        ),
    ] = None
    contrast: Annotated[
        bool | None,
        typer.Option(
            "--contrast/--no-contrast",
            help="Whether heatmaps are kept to where class activation maps of the class against all others are; by "
            "default the recipe's.",
            show_default=False,
        ),
    ] = None

    def make(self) -> "Recipe":
        """The recipe of these options."""
        from vebi.explanation.recipe import Recipe

        recipes = {"layers": Recipe(), "paper": Recipe.paper()}
        if self.recipe not in recipes:
            raise UsageError(f"--recipe is {self.recipe!r}: choose one of {', '.join(recipes)}")
        if self.stride_fix is not None and self.stride_fix not in STRIDE_FIXES:
            raise UsageError(f"--stride-fix is {self.stride_fix!r}: choose one of {', '.join(STRIDE_FIXES)}")
        fix: dict[str, Any] = {} if self.stride_fix is None else {"stride_fix": STRIDE_FIXES[self.stride_fix]}
        given = {name: getattr(self, name) for name in ("rule", "pool_fix", "reading", "contrast")}
        return replace(recipes[self.recipe], **fix, **{k: v for k, v in given.items() if v is not None})


@command()
def explain(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    model: RunModel = None,
    weights: RunWeights = None,
    max_features: Annotated[
        int, typer.Option("--max-features", "--features", help="Features per image, at most; one heatmap each.")
    ] = 3,
    target: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Explain this class instead of the predicted one.")
    ] = None,
    *,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE.py:FUNCTION",
            help="Show the map of this method, too, as grad-cam or any other of `vebi bench run`, or one of yours; may "
            "be repeated.",
        ),
    ] = None,
    recipe: RecipeOptions,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Explain predictions: one heatmap per contributing feature.

    A feature contributes its number in the descriptor times its weight for the class, divided by the l1 norm of the
    weights of the class. Writes a figure and the raw arrays (.npz) of each image, and explanations.json.
    """
    from vebi.benchmark.method_maps import method_maps
    from vebi.interpretation.result import load
    from vebi.interpretation.run_folder import find_classifier
    from vebi.reports.gallery import write_gallery

    interpretation = load(run, find_classifier(run, model, weights, device))
    with console.progress() as progress:
        rows = write_gallery(
            interpretation,
            images,
            out,
            target=target,
            max_features=max_features,
            recipe=recipe.make(),
            others=method_maps(interpretation, run, method) if method else None,
            batch_size=batch_size,
            strict=strict,
            progress=lambda done, total: progress("explanations", done, total),
        )
    if as_json:
        console.print_json(rows)
        return
    table = [
        [
            row["image"],
            f"{row['prediction']} {row['probability']:.0%}",
            "  ".join(_contribution(e) for e in row["evidence"]),
        ]
        for row in rows
    ]
    console.table(["image", "prediction", "features and contributions"], table)
    console.note(f"figures and arrays: {out}")


def _contribution(evidence: dict[str, Any]) -> str:
    """A feature and what it contributes."""
    value = evidence["contribution"]
    return f"{evidence['feature']} {f'{value:.3f}' if value > 0 else '(weaker than usual)'}"
