"""The experiment on flowers in a meadow: all methods on networks of three architectures, folds and seeds.

Everything in the output folder is kept: the same call resumes a run that was stopped, and loses at most the network it
was at.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from vebi import provenance
from vebi.benchmark.built_in_methods import all_methods, perturbation_methods
from vebi.benchmark.methods import Method
from vebi.benchmark.network_experiment import NetworkExperiment, NetworkResult
from vebi.benchmark.network_rows import make_network_rows
from vebi.benchmark.plan import FULL_NETWORKS, NetworksPlan, experiment_command
from vebi.benchmark.runner import code_of_scores
from vebi.data.loader import check_batch_size
from vebi.datasets.flowers import generate
from vebi.datasets.flowers.variants import classes
from vebi.files import atomic_write, write_json, write_text
from vebi.models.load import find_device
from vebi.outputs import output_folder
from vebi.progress import StageProgress, stage
from vebi.reports.benchmark_report.network_markdown import render_network_markdown
from vebi.reports.benchmark_report.network_page import write_network_page
from vebi.reports.benchmark_report.network_table import Cell, NetworkTable

NAME = "table2"
SCENE = "meadow"


def run_table2(
    out: str | Path,
    plan: NetworksPlan = FULL_NETWORKS,
    *,
    methods: Sequence[str | Method] = (),
    batch_size: int = 32,
    device: str = "cpu",
    progress: StageProgress | None = None,
) -> NetworkTable:
    """Runs the experiment, or completes it: the same as `vebi bench table2`.

    Renders the data sets, trains the networks on the CPU, interprets and scores each, and writes ``report.html``, a
    page to look at, ``table2.json``, ``table2.md`` and ``table2.npz``, which has every score of every image:
    ``VARIANT/ARCHITECTURE/METHOD/METRIC`` is networks x images, NaN where not measured, and the folds, seeds, targets
    and names of the images (one string per network) lie beside.

    Args:
        out: The output folder; what it holds already is used again.
        plan: How large the experiment is.
        methods: Methods of yours beside the built-in ones, ``FILE.py:FUNCTION``, see ``user_method``.
        batch_size: Images per pass.
        device: Where fits and maps are computed, as ``"cpu"``, ``"cuda"`` or ``"auto"``.
        progress: Called with (stage, done, total); the stage ``"everything"`` counts networks.

    Returns:
        The table, as ``table2.json`` holds it.

    Raises:
        UsageError: An option that cannot be, or two methods of one name.
        InputError: The folder holds data sets or networks of another plan.
        MissingExtraError: Data sets have to be rendered and Mitsuba is not installed.

    Example:
        >>> plan = vebi.benchmark.NetworksPlan(images=120, folds=1, seeds=2)
        >>> table = vebi.benchmark.run_table2("table2", plan)  # doctest: +SKIP
        >>> table.rows[0].method  # doctest: +SKIP
        'vebi'
    """
    out = Path(out)
    find_device(device)  # raises before anything is rendered
    check_batch_size(batch_size)
    compared = all_methods(methods)
    with output_folder(out):
        hashes = {variant: _render(out, variant, plan, progress) for variant in plan.epochs}
        results: dict[tuple[str, str], list[NetworkResult]] = {(v, a): [] for v in plan.epochs for a in plan.epochs[v]}
        total = len(plan.networks) * len(results)
        for k, (fold, seed) in enumerate(plan.networks):  # a whole round of them before the next, so that a run that is
            for variant, architecture in results:  # stopped has as many of each
                if progress:
                    progress("everything", sum(map(len, results.values())), total)
                experiment = NetworkExperiment(
                    folder=out / variant / architecture / f"fold{fold}-seed{seed}",
                    flowers=out / variant / "flowers",
                    architecture=architecture,
                    epochs=plan.epochs[variant][architecture],
                    fold=fold,
                    seed=seed,
                    checked=k >= len(plan.networks) - plan.checked,  # the last ones: a check takes as long as a network
                    plan=plan,
                    methods=compared,
                    batch_size=batch_size,
                    device=device,
                    progress=_named(progress, f"{variant} {architecture} fold {fold} seed {seed}"),
                )
                results[variant, architecture].append(experiment.run())
        if progress:
            progress("everything", total, total)
        table = _make_table(results, hashes, plan, compared, experiment_command(NAME, plan, methods))
        write_json(out / f"{NAME}.json", table.to_dict())
        write_text(out / f"{NAME}.md", render_network_markdown(table))
        write_network_page(table, out / "report.html")
        _write_scores(out / f"{NAME}.npz", results)
        return table


def _render(out: Path, variant: str, plan: NetworksPlan, progress: StageProgress | None) -> str:
    """Renders a data set; returns its hash."""
    count = plan.images_per_class(len(classes(variant)))
    folder = out / variant / "flowers"
    record = generate(
        folder,
        variant=variant,
        images_per_class=count,
        seed=plan.seed,
        scene=SCENE,
        progress=stage(progress, f"render {variant}"),
    )
    sha256: str = record["sha256"]
    return sha256


def _named(progress: StageProgress | None, name: str) -> StageProgress | None:
    """Progress of one network, under its name."""
    if progress is None:
        return None
    report: Callable[[str, int, int], None] = progress
    return lambda step, done, total: report(f"{name}: {step}", done, total)


def _make_table(
    results: dict[tuple[str, str], list[NetworkResult]],
    hashes: dict[str, str],
    plan: NetworksPlan,
    compared: Sequence[Method],
    command: str | None,
) -> NetworkTable:
    without_network = [method.name for method in compared if not method.uses_network]
    order = [method.name for method in (*compared, *perturbation_methods())]
    rows = [
        row
        for (variant, architecture), networks in results.items()
        for row in make_network_rows(variant, SCENE, architecture, networks, without_network, order)
    ]
    cells = [_make_cell(v, a, networks, hashes[v]) for (v, a), networks in results.items()]
    return NetworkTable(
        rows=tuple(rows),
        cells=tuple(cells),
        plan=asdict(plan),
        versions=provenance.versions(),
        threads=torch.get_num_threads(),
        code_sha256=code_of_scores(),
        created=provenance.now(),
        command=command,
    )


def _make_cell(variant: str, architecture: str, networks: Sequence[NetworkResult], data_sha256: str) -> Cell:
    return Cell(
        variant=variant,
        scene=SCENE,
        architecture=architecture,
        data_sha256=data_sha256,
        mask_share=100 * float(np.mean([network.mask_share for network in networks])),
        folds=tuple(network.fold for network in networks),
        seeds=tuple(network.seed for network in networks),
        accuracies=tuple(100 * network.accuracy for network in networks),
        models=tuple(network.model for network in networks),
        checked=sum(n.permuted_accuracy is not None for n in networks),
        known_by_heart=tuple(100 * n.permuted_accuracy for n in networks if n.permuted_accuracy is not None),
    )


def _write_scores(path: Path, results: dict[tuple[str, str], list[NetworkResult]]) -> None:
    """Every score, and of which images; ``VARIANT/ARCHITECTURE/METHOD/METRIC`` is networks x images."""
    arrays = {}
    for (variant, architecture), networks in results.items():
        cell = f"{variant}/{architecture}"
        names = {(method, metric) for n in networks for method, scores in n.scores.items() for metric in scores}
        for method, metric in sorted(names):
            measured = [network.scores.get(method, {}).get(metric, np.array([])) for network in networks]
            arrays[f"{cell}/{method}/{metric}"] = _stack(measured)
        arrays[f"{cell}/folds"] = np.array([network.fold for network in networks])
        arrays[f"{cell}/seeds"] = np.array([network.seed for network in networks])
        arrays[f"{cell}/targets"] = _stack([np.array(network.targets) for network in networks])
        arrays[f"{cell}/images"] = np.array([" ".join(network.images) for network in networks])
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stubs take names for options


def _stack(values: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of different lengths as rows, NaN behind their ends."""
    stacked = np.full((len(values), max(map(len, values))), np.nan, np.float32)
    for row, array in zip(stacked, values, strict=True):
        row[: len(array)] = array
    return stacked
