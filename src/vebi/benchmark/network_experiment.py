"""One network of the experiment on flowers in a meadow: trained, interpreted, and scored by every method."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from vebi.activations.descriptors import Descriptor
from vebi.benchmark.built_in_methods import all_methods, perturbation_methods
from vebi.benchmark.ground_truth import GroundTruth, find_flower_truth
from vebi.benchmark.methods import Method, with_paper_features
from vebi.benchmark.mosaics import draw_mosaics, takes_larger
from vebi.benchmark.network_scores import ScoredImages, Scores, score_network
from vebi.benchmark.plan import NetworksPlan
from vebi.benchmark.random_networks import RandomNetworks
from vebi.benchmark.refit import refit_with_descriptor
from vebi.benchmark.runner import bind_methods, code_of_scores, errors_of, read_stored, store
from vebi.benchmark.sanity import sanity_scores
from vebi.benchmark.tuning import tune_all
from vebi.data.collections import ImageCollection, Subset, evenly_spaced
from vebi.data.sources import open_images
from vebi.datasets.flowers.folds import split
from vebi.datasets.flowers.training import Training, train
from vebi.datasets.masks import crop_mask, find_foregrounds
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import Interpretation
from vebi.models.classifier import Classifier
from vebi.models.load import load_classifier
from vebi.progress import StageProgress, stage

_SCORES = "scores.safetensors"


@dataclass(frozen=True, eq=False)
class NetworkResult:
    """What was measured on one network.

    Attributes:
        fold: The fold that was held out of its training.
        seed: The seed of its training.
        accuracy: Share of the images of that fold that it classifies correctly, in [0, 1].
        model: sha256 of its weights.
        permuted_accuracy: Share of the permuted labels that the network trained on them knows by heart, in [0, 1];
            None where none was trained.
        mask_share: Mean share of an image that its mask covers, in [0, 1].
        images: The scored images by name.
        targets: The class that each is explained for.
        scores: By method the arrays of ``score_network`` and, where the network was checked, of ``sanity_scores``.
        titles: Title of each method.
        described: How each method was made; for a row of a method at its best what was chosen.
    """

    fold: int
    seed: int
    accuracy: float
    model: str
    permuted_accuracy: float | None
    mask_share: float
    images: Sequence[str]
    targets: Sequence[int]
    scores: dict[str, Scores]
    titles: dict[str, str]
    described: dict[str, str]


@dataclass(frozen=True)
class NetworkExperiment:
    """One network and where its files are.

    Attributes:
        folder: The folder of checkpoint, run and scores.
        flowers: The folder of the data set.
        architecture: The network.
        epochs: Passes over the training images.
        fold: The fold by frame that is held out.
        seed: The seed of the training.
        checked: Whether its parameters and labels are randomised, too.
        plan: How large the experiment is.
        methods: The methods but for those that ask the network many times.
        batch_size: Images per pass.
        device: Where fits and maps are computed.
        progress: Called with (stage, done, total).
    """

    folder: Path
    flowers: Path
    architecture: str
    epochs: int
    fold: int
    seed: int
    checked: bool
    plan: NetworksPlan
    methods: Sequence[Method] = field(default_factory=all_methods)
    batch_size: int = 32
    device: str = "cpu"
    progress: StageProgress | None = None

    def run(self) -> NetworkResult:
        """Trains, interprets and scores the network, or reads what was measured before by the same code."""
        training = self._train(self.folder / "network.safetensors", permuted_labels=False)
        key = self._key()
        stored = _read(self.folder / _SCORES, key)
        if stored is not None:
            return stored
        result = self._measure(training)
        _write(self.folder / _SCORES, key, result)
        return result

    def _train(self, checkpoint: Path, *, permuted_labels: bool) -> Training:
        return train(
            self.flowers,
            checkpoint,
            architecture=self.architecture,
            epochs=self.epochs * (2 if permuted_labels else 1),
            fold=self.fold,
            folds_by="frame",
            seed=self.seed,
            augment=not permuted_labels,  # they have to be learned by heart
            permuted_labels=permuted_labels,
            progress=stage(self.progress, "train on permuted labels" if permuted_labels else "train"),
        )

    def _key(self) -> str:
        """All that the scores depend on."""
        weights = hashlib.sha256((self.folder / "network.safetensors").read_bytes()).hexdigest()
        own = [method.key for method in self.methods if method.key]
        content = [code_of_scores(), weights, asdict(self.plan), self.checked, self.fold, self.seed, own]
        return json.dumps(content, sort_keys=True)

    def _measure(self, training: Training) -> NetworkResult:
        images = open_images(self.flowers)
        seen, unseen = split(images, self.fold, "frame")
        fit_images = Subset(images, evenly_spaced(seen, self.plan.fitted))
        paper = self._interpret("network", "run", fit_images)
        interpretation = refit_with_descriptor(paper, self.folder / "run", Descriptor())
        truth = self._ground_truth(interpretation, Subset(images, unseen), self.plan.scored)
        methods, slow = self._methods(interpretation, fit_images, with_paper_features(self.methods, paper))
        scored = self._scored_images(truth)
        explainers, scores = bind_methods(interpretation, [*methods, *slow]), {}
        for k, (method, explainer) in enumerate(explainers.items(), start=1):
            with errors_of(method):
                scores[method.name] = score_network(
                    explainer, scored, perturbs=method in slow, batch_size=self.batch_size
                )
            if self.progress:
                self.progress("score", k, len(explainers))
        permuted_accuracy = None
        if self.checked:
            permuted_accuracy = self._train(self.folder / "permuted.safetensors", permuted_labels=True).fit
            for name, values in self._check((interpretation, paper), fit_images, truth.subset(scored.few)).items():
                scores[name] |= values
        return NetworkResult(
            fold=self.fold,
            seed=self.seed,
            accuracy=training.accuracy,
            model=interpretation.settings.model.sha256,
            permuted_accuracy=permuted_accuracy,
            mask_share=float(truth.masks.float().mean()),
            images=list(truth.images.ids),
            targets=truth.targets.tolist(),
            scores=scores,
            titles={method.name: method.title for method in explainers},
            described={m.name: m.chosen or m.key or repr(explainer) for m, explainer in explainers.items()},
        )

    def _methods(
        self, interpretation: Interpretation, fit_images: ImageCollection, own: Sequence[Method]
    ) -> tuple[list[Method], list[Method]]:
        """All methods and those that ask the network many times, each with the rows of best choices behind them."""
        tuning = self._ground_truth(interpretation, fit_images, self.plan.tuned)
        few = tuning.thin(self._per_class(tuning.classifier, self.plan.few))
        groups = (own, tuning), (perturbation_methods(), few)
        folder = self.folder / "choices"
        methods, slow = (
            [*group, *tune_all(interpretation, truth, group, folder, batch_size=self.batch_size)]
            for group, truth in groups
        )
        return methods, slow

    def _interpret(self, network: str, run: str, fit_images: ImageCollection) -> Interpretation:
        """The interpretation of a checkpoint, as in the paper."""
        return interpret(
            load_classifier(self.folder / f"{network}.safetensors", device=self.device),
            fit_images,
            mu=self.plan.mu,
            descriptor=Descriptor.paper(),
            out=self.folder / run,
            batch_size=self.batch_size,
            progress=self.progress,
        )

    def _ground_truth(self, interpretation: Interpretation, images: ImageCollection, count: int) -> GroundTruth:
        classifier = interpretation.require_classifier()
        return find_flower_truth(classifier, images, self._per_class(classifier, count), batch_size=self.batch_size)

    @staticmethod
    def _per_class(classifier: Classifier, count: int) -> int:
        """Images per class, of so many of all classes."""
        assert classifier.class_names is not None  # a fit names the classes
        return max(1, count // len(classifier.class_names))

    def _scored_images(self, truth: GroundTruth) -> ScoredImages:
        full_size = takes_larger(truth.classifier)
        few = truth.thin_rows(self._per_class(truth.classifier, self.plan.few))
        return ScoredImages(truth, few, draw_mosaics(truth, self.plan.mosaics, self.plan.seed, full_size), full_size)

    def _check(
        self,
        fits: tuple[Interpretation, Interpretation],
        fit_images: ImageCollection,
        truth: GroundTruth,
    ) -> dict[str, Scores]:
        """The sanity checks of every method, with the features that it takes; a best choice is the same method."""
        permuted = self._interpret("permuted", "run-permuted", fit_images)
        permuted_fits = refit_with_descriptor(permuted, self.folder / "run-permuted", Descriptor()), permuted
        foregrounds = _foregrounds(truth)
        scores: dict[str, Scores] = {}
        for paper_features, learned, by_heart in zip((False, True), fits, permuted_fits, strict=True):
            methods = [method for method in self.methods if method.paper_features == paper_features]
            scores |= self._check_fit(learned, by_heart, fit_images, truth, foregrounds, methods)
        return scores

    def _check_fit(
        self,
        interpretation: Interpretation,
        permuted: Interpretation,
        fit_images: ImageCollection,
        truth: GroundTruth,
        foregrounds: Bool[Tensor, "n h w"],
        methods: Sequence[Method],
    ) -> dict[str, Scores]:
        """The sanity checks of methods that take the features of one fit."""
        # the true classes, for a random network may predict one class only, and nothing could be fitted to the others
        true = replace(interpretation, settings=replace(interpretation.settings, labels="true"))
        per_class = self._per_class(truth.classifier, self.plan.fitted // 4)
        networks = RandomNetworks(true, fit_images, per_class, permuted, self.plan.seed, self.batch_size)
        folder = self.folder / "sanity"
        return sanity_scores(networks, truth, foregrounds, methods, folder, progress=self.progress)


def _foregrounds(truth: GroundTruth) -> Bool[Tensor, "n h w"]:
    """The pixels of the whole flower in every image."""
    foreground_of = find_foregrounds(truth.images)
    assert foreground_of is not None, "flowers have foregrounds"
    preprocess = truth.classifier.preprocess
    return torch.from_numpy(np.stack([crop_mask(preprocess, foreground_of(k)) for k in range(len(truth))]))


def _write(path: Path, key: str, result: NetworkResult) -> None:
    arrays = {f"{m}|{name}": values for m, scores in result.scores.items() for name, values in scores.items()}
    store(path, key, arrays, {name: value for name, value in vars(result).items() if name != "scores"})


def _read(path: Path, key: str) -> NetworkResult | None:
    """The result in a file; None where it does not exist, is damaged or has another key."""
    stored = read_stored(path, key)
    if stored is None:
        return None
    arrays, facts = stored
    scores: dict[str, Scores] = {}
    for name, values in arrays.items():
        method, metric = name.split("|")
        scores.setdefault(method, {})[metric] = values
    return NetworkResult(**facts, scores=scores)
