"""All methods on one data set of flowers, with a network for each fold that is held out of its training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vebi.activations.descriptors import Descriptor
from vebi.benchmark.examples import find_examples
from vebi.benchmark.ground_truth import GroundTruth, find_flower_truth
from vebi.benchmark.make_rows import PUBLISHED
from vebi.benchmark.methods import Method, with_paper_features
from vebi.benchmark.plan import Plan
from vebi.benchmark.refit import refit_with_descriptor
from vebi.benchmark.runner import FoldScores, score_methods
from vebi.benchmark.sensitivity import mean_over_folds, sensitivity_rows
from vebi.benchmark.tuning import tune_all
from vebi.benchmark.write_results import DatasetResult, make_note
from vebi.data.collections import ImageCollection, Subset
from vebi.data.sources import open_images
from vebi.datasets.flowers import generate
from vebi.datasets.flowers.folds import split
from vebi.datasets.flowers.training import train
from vebi.datasets.flowers.variants import PAPER_VARIANTS, classes
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import Interpretation
from vebi.models.load import load_classifier
from vebi.progress import Progress, StageProgress, stage
from vebi.reports.benchmark_report.examples import Examples
from vebi.reports.benchmark_report.result import NetworkNote
from vebi.reports.benchmark_report.rows import SensitivityRow

NETWORK = "network.safetensors"


class Steps:
    """Progress of the experiment: training takes most of the time, and each class adds as much to every step."""

    TRAIN, FIT, SCORE = 6, 2, 4

    def __init__(self, plan: Plan, progress: StageProgress | None):
        self.progress = progress
        self._total = sum(map(self.weight, PAPER_VARIANTS)) * plan.folds * (self.TRAIN + self.FIT + self.SCORE)
        self._done = 0
        self.advance(next(iter(PAPER_VARIANTS)), 0)

    @staticmethod
    def weight(variant: str) -> int:
        """Number of classes."""
        return len(classes(variant))

    def advance(self, variant: str, step: int) -> None:
        """Reports that a fold has passed a step."""
        self._done += step * self.weight(variant)
        if self.progress:
            self.progress("everything", self._done, self._total)


@dataclass(frozen=True)
class FoldResult:
    """What was measured on the held-out images of one fold.

    Attributes:
        methods: The methods, and behind them the rows of those at their best.
        scores: The scores of all of these.
        sensitivity: The sensitivity table.
        network: The network that was not trained on the fold.
        examples: Images with maps; of the first fold alone.
    """

    methods: Sequence[Method]
    scores: FoldScores
    sensitivity: list[SensitivityRow]
    network: NetworkNote
    examples: Examples | None


@dataclass(frozen=True)
class FlowerExperiment:
    """The experiment on one data set of flowers.

    Attributes:
        folder: The folder of data set, networks, runs and scores.
        variant: Variant of the flowers, which names the data set.
        plan: How large the experiment is.
        methods: The methods.
        batch_size: Images per pass.
        device: Where fits and maps are computed.
        steps: Progress of the experiment as a whole.
    """

    folder: Path
    variant: str
    plan: Plan
    methods: Sequence[Method]
    batch_size: int
    device: str
    steps: Steps

    def run(self) -> DatasetResult:
        """Renders the data set and scores all methods on it, fold by fold."""
        record = generate(
            self.folder / "flowers",
            variant=self.variant,
            images_per_class=self.plan.images_per_class,
            seed=self.plan.seed,
            progress=self._stage(f"render {self.variant}"),
        )
        folds = [self._run_fold(k) for k in range(self.plan.folds)]
        scores, examples = [fold.scores for fold in folds], folds[0].examples
        assert examples is not None, "the first fold has examples"
        note = make_note(scores, record["sha256"], [fold.network for fold in folds])
        return DatasetResult(
            methods=folds[0].methods,
            folds=scores,
            examples=examples,
            sensitivity=mean_over_folds([fold.sensitivity for fold in folds]),
            note=replace(note, seed=record["seed"]),
            published=PUBLISHED[self.variant],
        )

    def _run_fold(self, k: int) -> FoldResult:
        """Trains a network without a fold, interprets it and scores all methods on the fold."""
        folder, flowers, plan = self.folder / f"fold{k}", self.folder / "flowers", self.plan
        checkpoint = folder / NETWORK
        advance = self._stage(f"train fold {k}")
        training = train(flowers, checkpoint, epochs=plan.epochs, fold=k, seed=plan.seed, progress=advance)
        self.steps.advance(self.variant, Steps.TRAIN)
        classifier = load_classifier(checkpoint, device=self.device)
        images = open_images(flowers, classifier.class_names)
        fit_images, held_out = (Subset(images, indices) for indices in split(images, k))
        paper = interpret(
            classifier,
            fit_images,
            mu=plan.mu,
            descriptor=Descriptor.paper(),
            out=folder / "run",
            batch_size=self.batch_size,
            progress=self.steps.progress,
        )
        self.steps.advance(self.variant, Steps.FIT)
        truth = find_flower_truth(
            classifier, held_out, plan.scored, batch_size=self.batch_size, progress=self._stage("images")
        )
        interpretation = refit_with_descriptor(paper, folder / "run", Descriptor())
        defaults = with_paper_features(self.methods, paper)
        methods = [*defaults, *self._tune(folder, interpretation, fit_images, defaults)]
        scores = self._score(folder, interpretation, truth, methods)
        sensitivity = self._vary(folder, interpretation, truth)
        network = NetworkNote(training.accuracy, interpretation.settings.model.sha256)
        examples = None if k else find_examples(interpretation, truth, scores.participants(defaults))
        self.steps.advance(self.variant, Steps.SCORE)
        return FoldResult(methods, scores, sensitivity, network, examples)

    def _tune(
        self, folder: Path, interpretation: Interpretation, fit_images: ImageCollection, methods: Sequence[Method]
    ) -> list[Method]:
        """Every method that leaves a choice open with the best one on training images."""
        classifier = interpretation.require_classifier()
        truth = find_flower_truth(classifier, fit_images, self.plan.tuned, batch_size=self.batch_size)
        return tune_all(interpretation, truth, methods, folder / "choices", batch_size=self.batch_size)

    def _score(
        self, folder: Path, interpretation: Interpretation, truth: GroundTruth, methods: Sequence[Method]
    ) -> FoldScores:
        return score_methods(
            interpretation,
            truth,
            methods,
            folder / "scores",
            mosaics=self.plan.mosaics,
            seed=self.plan.seed,
            batch_size=self.batch_size,
            progress=self.steps.progress,
        )

    def _vary(self, folder: Path, interpretation: Interpretation, truth: GroundTruth) -> list[SensitivityRow]:
        return sensitivity_rows(
            interpretation,
            truth.thin(self.plan.varied),
            folder / "run",
            folder / "sensitivity.json",
            batch_size=self.batch_size,
            progress=self._stage("sensitivity"),
        )

    def _stage(self, name: str) -> Progress | None:
        return stage(self.steps.progress, name)
