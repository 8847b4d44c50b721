"""The experiment of the paper's table 1: all methods on two data sets of flowers, five folds, networks of our own.

Everything in the output folder is kept: the same call resumes a run that was stopped.

Reference:
    Oramas, Wang and Tuytelaars, "Interpreting and Explaining Deep Models Visually", BNAIC 2019, table 1.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from vebi.benchmark.built_in_methods import all_methods
from vebi.benchmark.flower_folds import FlowerExperiment, Steps
from vebi.benchmark.plan import FULL, Plan, experiment_command
from vebi.benchmark.write_results import make_result, write_result
from vebi.data.loader import check_batch_size
from vebi.datasets.flowers.variants import PAPER_VARIANTS
from vebi.models.load import find_device
from vebi.outputs import output_folder
from vebi.progress import StageProgress
from vebi.reports.benchmark_report.result import BenchmarkResult

NAME = "table1"


def run_table1(
    out: str | Path,
    plan: Plan = FULL,
    *,
    methods: Sequence[str] = (),
    batch_size: int = 32,
    device: str = "cpu",
    progress: StageProgress | None = None,
) -> BenchmarkResult:
    """Runs the experiment, or completes it: the same as `vebi bench table1`.

    Renders the data sets, trains a network per fold on the CPU, interprets it, scores all methods against masks and
    writes ``table1.json``, ``table1.md`` and ``report.html``.

    Args:
        out: The output folder; what it holds already is used again.
        plan: How large the experiment is.
        methods: Methods of yours beside the built-in ones, ``FILE.py:FUNCTION``, see ``user_method``.
        batch_size: Images per pass.
        device: Where fits and maps are computed, as ``"cpu"``, ``"cuda"`` or ``"auto"``.
        progress: Called with (stage, done, total); the stage ``"everything"`` counts steps of about equal time.

    Returns:
        The tables, as ``table1.json`` holds them.

    Raises:
        UsageError: An option that cannot be.
        InputError: The folder holds data sets of another plan.
        MissingExtraError: Data sets have to be rendered and Mitsuba is not installed.

    Reference:
        Oramas, Wang and Tuytelaars, "Interpreting and Explaining Deep Models Visually", BNAIC 2019, table 1.

    Example:
        >>> plan = vebi.benchmark.Plan(images_per_class=120, folds=2, epochs=12)
        >>> result = vebi.benchmark.run_table1("table1", plan)  # doctest: +SKIP
        >>> result.rows[0].method  # doctest: +SKIP
        'vebi'
    """
    out, participants = Path(out), all_methods(methods)
    find_device(device)  # raises before anything is rendered
    check_batch_size(batch_size)
    with output_folder(out):
        steps = Steps(plan, progress)
        datasets = {
            variant: FlowerExperiment(out / variant, variant, plan, participants, batch_size, device, steps).run()
            for variant in PAPER_VARIANTS
        }
        result = make_result(datasets, asdict(plan), experiment_command(NAME, plan, methods))
        write_result(result, {name: dataset.examples for name, dataset in datasets.items()}, out, NAME)
        return result
