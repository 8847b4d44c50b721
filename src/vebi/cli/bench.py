"""Commands that compare methods against ground truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vebi.cli import console
from vebi.cli.command import command
from vebi.cli.options import (
    MASKS,
    BatchSize,
    DescriptorOptions,
    Device,
    FeaturesPerClass,
    Json,
    Layers,
    ModelOptions,
    Seed,
)

if TYPE_CHECKING:  # it needs numpy, which --help must not wait for
    from vebi.reports.benchmark_report.image_table import ImageTable
    from vebi.reports.benchmark_report.result import BenchmarkResult

app = typer.Typer(
    help="Benchmark: score heatmaps of many methods against ground-truth masks.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="FILE.py:FUNCTION",
        help="A method of yours: a function that takes the classifier and returns a function (images N x C x H x W, "
        "targets N) -> heatmaps N x H x W; may be repeated.",
    ),
]
CamLayer = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Layer of the class activation maps (Grad-CAM and others); by default the last one before spatial "
        "pooling.",
    ),
]
Spec = Annotated[
    str,
    typer.Option(
        "--model", metavar="SPEC", help="The model: FILE.py:FUNCTION, torchvision:NAME, timm:NAME or a checkpoint."
    ),
]
FitOn = Annotated[
    Path | None,
    typer.Option(help="The training images of the model; by default those that are scored, which is optimistic."),
]
Mu = Annotated[
    float | None,
    typer.Option(help="Instead of --features, the bound on the l1 norm of the weights per class, see `vebi fit`."),
]
Mosaics = Annotated[int, typer.Option(help="Mosaics of four images for the grid pointing game; 0 for none.")]
OUT = "Output folder; what it holds already is used again."


@app.command()
@command(resumable=True)
def table1(
    out: Annotated[Path, typer.Option(help=OUT)] = Path("table1"),
    quick: Annotated[bool, typer.Option("--quick", help="A small version, in minutes.")] = False,
    method: Methods = None,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Repeat table 1 of the paper on rendered flowers.

    All methods, two data sets, five folds (Oramas, Wang and Tuytelaars, BNAIC 2019). Renders, trains, fits, explains
    and scores. Writes table1.json, table1.md and report.html.
    """
    from vebi.benchmark.paper_table1 import run_table1
    from vebi.benchmark.plan import FULL, QUICK

    with console.progress() as progress:
        result = run_table1(
            out,
            QUICK if quick else FULL,
            methods=tuple(method or ()),
            batch_size=batch_size,
            device=device,
            progress=progress,
        )
    _print(result, out, as_json)


@app.command()
@command(resumable=True)
def table2(
    out: Annotated[Path, typer.Option(help=OUT)] = Path("table2"),
    quick: Annotated[bool, typer.Option("--quick", help="A small version, in minutes.")] = False,
    method: Methods = None,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Compare all methods on flowers in a meadow, where the network is needed.

    Three data sets, three architectures, six networks of each: networks are the unit of every interval. Renders,
    trains, fits, explains, scores and randomises. Writes table2.json, table2.md, report.html and table2.npz, which has
    the score of every image.
    """
    from vebi.benchmark.plan import FULL_NETWORKS, QUICK_NETWORKS
    from vebi.benchmark.table2 import run_table2

    with console.progress() as progress:
        table = run_table2(
            out,
            QUICK_NETWORKS if quick else FULL_NETWORKS,
            methods=tuple(method or ()),
            batch_size=batch_size,
            device=device,
            progress=progress,
        )
    if as_json:
        console.print_json(table.to_dict())
        return
    rows = [
        [cell.variant, cell.architecture, row.title, f"{row.mean:.1f}", f"{row.ratio_to_default:.2f}"]
        for cell in table.cells
        for row in table.rows_of(cell)
    ]
    console.table(["data", "network", "method", "AUC-IoU", "ratio"], rows)
    console.note("AUC-IoU in percent, mean over networks; ratio: AUC-IoU of the method divided by that of vebi")
    console.note(f"report: {out / 'report.html'}")


@app.command()
@command(resumable=True)
def run(
    *,
    data: Annotated[Path, typer.Option(help="Images to score, one folder per class.")],
    spec: Spec,
    masks: Annotated[
        Path | None,
        typer.Option(help=f"{MASKS}. Without them what needs none is scored, as by `vebi bench images`."),
    ] = None,
    out: Annotated[Path, typer.Option(help=OUT)] = Path("bench"),
    fit_on: FitOn = None,
    features_per_class: FeaturesPerClass = None,
    mu: Mu = None,
    layer: Layers = None,
    per_class: Annotated[int, typer.Option(help="Scored images per class, at most.")] = 50,
    mosaics: Mosaics = 50,
    seed: Seed = 0,
    method: Methods = None,
    cam_layer: CamLayer = None,
    descriptor: DescriptorOptions,
    model: ModelOptions,
    batch_size: BatchSize = 32,
    as_json: Json = False,
) -> None:
    """Compare all methods on your own model and masks.

    Fits, explains the true class of each image (without one the predicted class) and scores. The methods: vebi,
    upsampled activations, guided backprop, deconvnet, Grad-CAM, Grad-CAM++, Guided Grad-CAM, Guided Grad-CAM++,
    LayerCAM, gradient, input x gradient, several of them with and without the stride fix, and yours; see
    docs/benchmark.md. Writes table.json, table.md and report.html, or without masks what `vebi bench images` writes.
    """
    from vebi.benchmark.custom import benchmark_model
    from vebi.reports.benchmark_report.image_table import ImageTable

    with console.progress() as progress:
        result = benchmark_model(
            model.load(spec),
            data,
            out,
            masks=masks,
            fit_images=fit_on,
            layers=layer,
            features_per_class=features_per_class,
            mu=mu,
            descriptor=descriptor.make(),
            per_class=per_class,
            mosaics=mosaics,
            seed=seed,
            methods=tuple(method or ()),
            cam_layer=cam_layer,
            batch_size=batch_size,
            progress=progress,
        )
    if isinstance(result, ImageTable):
        _print_images(result, out, as_json)
    else:
        _print(result, out, as_json)


@app.command()
@command(resumable=True)
def images(
    *,
    data: Annotated[Path, typer.Option(help="Images to score, a folder; they need no masks and no classes.")],
    spec: Spec,
    out: Annotated[Path, typer.Option(help=OUT)] = Path("bench"),
    fit_on: FitOn = None,
    features_per_class: FeaturesPerClass = None,
    mu: Mu = None,
    layer: Layers = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Instead of --fit-on: so many parts of the images, each explained by a fit on all others."),
    ] = None,
    scored: Annotated[int, typer.Option(help="Scored images, at most.")] = 200,
    few: Annotated[
        int,
        typer.Option(help="Images for methods that ask the network hundreds of times, and for random parameters."),
    ] = 24,
    mosaics: Mosaics = 50,
    seed: Seed = 0,
    method: Methods = None,
    cam_layer: CamLayer = None,
    descriptor: DescriptorOptions,
    model: ModelOptions,
    batch_size: BatchSize = 32,
    as_json: Json = False,
) -> None:
    """Compare all methods on images without masks.

    Fits, explains the predicted class of each image, and scores what needs no mask: deletion and insertion, the grid
    pointing game, sparseness, and whether maps change when parameters become random. Writes images.json, images.md and
    sheet.webp, the maps of all methods side by side.
    """
    from vebi.benchmark.without_masks import benchmark_images

    with console.progress() as progress:
        table = benchmark_images(
            model.load(spec),
            data,
            out,
            fit_images=fit_on,
            folds=folds,
            layers=layer,
            features_per_class=features_per_class,
            mu=mu,
            descriptor=descriptor.make(),
            scored=scored,
            few=few,
            mosaics=mosaics,
            seed=seed,
            methods=tuple(method or ()),
            cam_layer=cam_layer,
            batch_size=batch_size,
            progress=progress,
        )
    _print_images(table, out, as_json)


def _print_images(table: "ImageTable", out: Path, as_json: bool) -> None:
    if as_json:
        console.print_json(table.to_dict())
        return
    rows = [
        [
            row.title,
            *(f"{row.curves[name].mean:.1f}" for name in ("deletion_blur", "insertion_blur")),
            "" if row.grid_pointing is None else f"{row.grid_pointing:.1f}",
            str(row.images),
        ]
        for row in table.rows
    ]
    console.table(["method", "deletion", "insertion", "grid pointing", "images"], rows)
    console.note("areas in percent, into and from the blurred image: deletion is better lower, insertion higher")
    console.note(f"tables and sheet: {out}")


def _print(result: "BenchmarkResult", out: Path, as_json: bool) -> None:
    if as_json:
        console.print_json(result.to_dict())
        return
    rows = [
        [
            row.dataset,
            row.title,
            f"{row.mean:.1f}" + (f" ± {row.std:.1f}" if row.std is not None else ""),
            f"{row.ratio:.2f}",
            "" if row.p is None or row.ratio_interval is None else "{:.2f} to {:.2f}".format(*row.ratio_interval),
            "" if row.grid_pointing is None else f"{row.grid_pointing:.1f}",
        ]
        for row in result.rows
    ]
    console.table(["data", "method", "AUC-IoU", "ratio", "95 % interval", "grid pointing"], rows)
    console.note("AUC-IoU and grid pointing in percent; ratio: AUC-IoU of vebi divided by that of the method")
    console.note(f"report: {out / 'report.html'}")
