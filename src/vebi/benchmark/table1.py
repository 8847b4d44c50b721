"""Table 1 of Oramas, Wang and Tuytelaars again: all methods on both data sets, five folds, networks of our own.

Everything in the folder is kept: the same call goes on where it was stopped.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vebi.benchmark.examples import find_examples
from vebi.benchmark.ground_truth import Truth, find_truth
from vebi.benchmark.methods import Method, all_methods
from vebi.benchmark.results import Part, write_result
from vebi.benchmark.rows import PUBLISHED
from vebi.benchmark.runner import Contest, hold
from vebi.benchmark.sensitivity import mean_over_folds, measure
from vebi.data.collections import Images, Subset, evenly
from vebi.data.loader import check_batch_size
from vebi.data.sources import open_images
from vebi.datasets.flowers import generate
from vebi.datasets.flowers.training import split, train
from vebi.datasets.flowers.variants import VARIANTS, classes
from vebi.datasets.masks import find_masks
from vebi.errors import UsageError
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import Interpretation
from vebi.models.load import find_device, load_classifier
from vebi.progress import StageProgress, of_stage

NAME, NETWORK = "table1", "network.safetensors"


@dataclass(frozen=True)
class Plan:
    """How large the experiment is: ``images_per_class`` are rendered, ``scored`` of them a class and fold are held
    against their masks, ``mosaics`` of four classes a fold, ``varied`` pictures a class and fold in the sensitivity
    table. ``folds`` of the five are held out in turn; ``epochs``, ``mu`` and ``seed`` are those of training and fit."""

    images_per_class: int = 1000
    folds: int = 5
    epochs: int = 5
    scored: int = 50
    mosaics: int = 50
    varied: int = 20
    mu: float = 5.0
    seed: int = 0

    def __post_init__(self):
        if not 1 <= self.folds <= 5:
            raise UsageError(f"folds is {self.folds}, but a data set of flowers has 1 to 5 of them")


FULL = Plan()
QUICK = Plan(images_per_class=120, folds=2, epochs=12, scored=10, mosaics=10, varied=2)


def table1(
    out: Path,
    plan: Plan = FULL,
    *,
    own: Sequence[str] = (),
    batch_size: int = 32,
    device: str = "cpu",
    progress: StageProgress | None = None,
) -> dict[str, Any]:
    """Runs or completes the experiment in ``out`` and returns the contents of its ``table1.json``.

    ``own`` names methods of the user's (``FILE.py:FUNCTION``, see ``own_method``). Networks are trained on the
    processor; fits and maps are made on ``device`` (see ``find_device``). ``progress`` is called with (stage, done,
    all); the stage ``everything`` counts the steps of the whole in about equal times.
    """
    methods = all_methods(own)
    find_device(device)  # what cannot be is told before anything is rendered
    check_batch_size(batch_size)
    out.mkdir(parents=True, exist_ok=True)
    steps = _Steps(plan, progress)
    parts = {
        variant: _variant(out / variant, variant, plan, methods, batch_size, device, steps) for variant in VARIANTS
    }
    settings = {"plan": asdict(plan)}
    if plan in (FULL, QUICK):
        words = [
            "vebi bench table1",
            *(["--quick"] if plan == QUICK else []),
            *(f"--method {Path(spec).name}" for spec in own),
        ]
        settings = {"command": " ".join(words)} | settings
    return write_result(out, NAME, parts, methods, settings)


class _Steps:
    """Progress of the whole: training is most of it, and a picture more is as much more of everything."""

    TRAIN, FIT, SCORE = 6, 2, 4

    def __init__(self, plan: Plan, told: StageProgress | None):
        self.told = told
        self._all = sum(map(self.weight, VARIANTS)) * plan.folds * (self.TRAIN + self.FIT + self.SCORE)
        self._done = 0
        self.done(next(iter(VARIANTS)), 0)

    @staticmethod
    def weight(variant: str) -> int:
        return len(classes(variant))

    def done(self, variant: str, share: int) -> None:
        self._done += share * self.weight(variant)
        if self.told:
            self.told("everything", self._done, self._all)


def _variant(
    folder: Path, variant: str, plan: Plan, methods: Sequence[Method], batch_size: int, device: str, steps: _Steps
) -> Part:
    """Renders one data set and holds all methods against it, fold by fold."""
    flowers = folder / "flowers"
    data = generate(
        flowers,
        variant=variant,
        images_per_class=plan.images_per_class,
        seed=plan.seed,
        progress=of_stage(steps.told, f"render {variant}"),
    )
    contests, varied, networks, examples = [], [], [], None
    for fold in range(plan.folds):
        place = folder / f"fold{fold}"
        told = of_stage(steps.told, f"train fold {fold}")
        training = train(flowers, place / NETWORK, epochs=plan.epochs, fold=fold, seed=plan.seed, progress=told)
        steps.done(variant, steps.TRAIN)
        classifier = load_classifier(place / NETWORK, device=device)
        images = open_images(flowers, classifier.class_names)
        learnt, held_out = (Subset(images, part) for part in split(images, fold))
        found = interpret(classifier, learnt, mu=plan.mu, out=place / "run", batch_size=batch_size, progress=steps.told)
        steps.done(variant, steps.FIT)
        truth = find_truth(
            classifier,
            held_out,
            find_masks(held_out),
            plan.scored,
            batch_size=batch_size,
            progress=of_stage(steps.told, "pictures"),
        )
        contest, some = _fold(place, found, learnt, truth, plan, methods, batch_size, steps.told)
        contests.append(contest)
        varied.append(some)
        networks.append({"accuracy": training.accuracy, "model": found.provenance["settings"]["model"]["sha256"]})
        examples = examples or find_examples(found, truth, contest.of(methods))
        steps.done(variant, steps.SCORE)
    note = {"data_sha256": data["sha256"], "networks": networks, "seed": data["seed"]}
    return Part(contests, examples, mean_over_folds(varied), note, PUBLISHED[variant])


def _fold(
    place: Path,
    found: Interpretation,
    learnt: Images,
    truth: Truth,
    plan: Plan,
    methods: Sequence[Method],
    batch_size: int,
    progress: StageProgress | None,
) -> tuple[Contest, list[dict[str, Any]]]:
    """All methods on the pictures held out, and the sensitivity table of some of them."""
    options = {"mosaics": plan.mosaics, "seed": plan.seed, "batch_size": batch_size, "progress": progress}
    contest = hold(found, truth, methods, place / "scores", **options)
    varied = measure(
        found,
        learnt,
        _thinned(truth, plan.varied),
        place / "run",
        place / "sensitivity.json",
        batch_size=batch_size,
        progress=of_stage(progress, "sensitivity"),
    )
    return contest, varied


def _thinned(truth: Truth, per_class: int) -> Truth:
    """The same with fewer pictures a class, spread evenly."""
    places = [
        evenly((truth.targets == c).nonzero()[0].tolist(), per_class) for c in sorted(set(truth.targets.tolist()))
    ]
    return truth.some(sorted(place for some in places for place in some))
