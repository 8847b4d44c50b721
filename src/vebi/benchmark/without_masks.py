"""The benchmark on images that have no masks: do maps name what the network needs, and depend on what it learned?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from vebi import provenance
from vebi.activations.descriptors import Descriptor
from vebi.benchmark.built_in_methods import all_methods, perturbation_methods
from vebi.benchmark.examples import find_examples
from vebi.benchmark.ground_truth import GroundTruth, find_predicted
from vebi.benchmark.image_rows import Measured, make_image_rows
from vebi.benchmark.methods import Method, with_paper_features
from vebi.benchmark.mosaics import Mosaic, draw_mosaics, takes_larger
from vebi.benchmark.network_scores import score_without_masks
from vebi.benchmark.plan import FULL
from vebi.benchmark.random_networks import CASCADING, RandomNetworks
from vebi.benchmark.refit import refit_with_descriptor
from vebi.benchmark.runner import (
    Scores,
    bind_methods,
    cached_mosaic_scores,
    cached_scores,
    code_of_scores,
    errors_of,
    origin_of,
)
from vebi.benchmark.sanity import sanity_scores
from vebi.data.collections import UNLABELLED, ImageCollection, ImageFiles, Subset, evenly_spaced
from vebi.data.loader import check_batch_size
from vebi.data.sources import open_unlabelled
from vebi.errors import UsageError
from vebi.files import atomic_write, write_json, write_text
from vebi.interpretation.fit import interpret
from vebi.interpretation.labelled_images import open_labelled
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.models.classifier import Classifier
from vebi.outputs import output_folder
from vebi.progress import StageProgress
from vebi.reports.benchmark_report.examples import Examples, join_examples
from vebi.reports.benchmark_report.image_markdown import render_image_markdown
from vebi.reports.benchmark_report.image_sheet import draw_sheet
from vebi.reports.benchmark_report.image_table import ImageTable
from vebi.reports.benchmark_report.network_table import CURVES
from vebi.reports.benchmark_report.rows import OURS

NAME = "images"
#: Scored images by default, and images on the sheet.
SCORED, SHOWN = 200, 24


def benchmark_images(
    classifier: Classifier,
    images: str | Path,
    out: str | Path,
    *,
    fit_images: str | Path | None = None,
    folds: int | None = None,
    layers: str | Sequence[str] | None = None,
    features_per_class: int | None = None,
    mu: float | None = None,
    descriptor: Descriptor = Descriptor(),
    scored: int = SCORED,
    few: int = 24,
    mosaics: int = 50,
    seed: int = 0,
    methods: Sequence[str | Method] = (),
    cam_layer: str | None = None,
    batch_size: int = 32,
    progress: StageProgress | None = None,
) -> ImageTable:
    """Interprets a model and scores the heatmaps of every method without masks: the same as `vebi bench images`.

    Images are explained for their predicted class. Scored are deletion and insertion into a blurred and a grey image,
    grid pointing in mosaics of four predicted classes, sparseness, and how alike maps stay when parameters become
    random. Writes ``images.json``, ``images.md`` and
    ``sheet.webp``, the maps of all methods side by side; and beside them the run and the scores of each method. What
    the folder holds already is used again.

    Args:
        classifier: The model.
        images: The images to score, a folder.
        out: The output folder.
        fit_images: The images of the fit; by default those that are scored, which is optimistic.
        folds: Instead, 2 or more: so many parts of the images, each explained with the features of a fit on all others.
        layers: The layers of the descriptor, see ``vebi.interpret``.
        features_per_class: Features of a class at most, by default 3, see ``vebi.interpret``.
        mu: Instead, the bound on the l1 norm of the weights of each class.
        descriptor: How activations become numbers.
        scored: Scored images at most, spread evenly over those of the folder.
        few: Images at most for methods that ask the network hundreds of times, and for random parameters.
        mosaics: Mosaics of four images for grid pointing, 0 for none; of fewer than four predicted classes there are
            none.
        seed: Of the mosaics and the random parameters.
        methods: Methods of yours beside the built-in ones, see ``all_methods``.
        cam_layer: Layer of the class activation maps; by default the last one before spatial pooling.
        batch_size: Images per pass.
        progress: Called with (stage, done, total).

    Returns:
        The table, as ``images.json`` holds it.

    Raises:
        InputError: There are no images.
        UsageError: An option that cannot be.
        ModelError: A method of yours fails.

    Reference:
        Petsiuk, Das and Saenko, "RISE", BMVC 2018, section 4.1; Adebayo et al., "Sanity Checks for Saliency Maps",
        NeurIPS 2018, section 4.

    Example:
        >>> table = vebi.benchmark.benchmark_images(classifier, "images", "unmasked", scored=4, few=2)
        >>> table.rows[0].method, table.images
        ('vebi', 4)
    """
    check_batch_size(batch_size)
    if min(scored, few) < 1 or mosaics < 0:
        raise UsageError(
            f"scored is {scored}, few {few} and mosaics {mosaics}: score at least one image and 0 or more mosaics"
        )
    if folds is not None and (folds < 2 or fit_images is not None):
        raise UsageError(f"folds is {folds}: give 2 or more, and no images of a fit beside it")
    groups = all_methods(methods, cam_layer), perturbation_methods(cam_layer)
    fit: dict[str, Any] = {"features_per_class": features_per_class, "mu": mu, "descriptor": descriptor}
    classifier, fitted = open_labelled(classifier, images if fit_images is None else fit_images)
    pairs = [(fitted, open_unlabelled(images))] if folds is None else _deal(fitted, folds)
    out, limits = Path(out), _Limits(*(-(-most // len(pairs)) for most in (scored, few, mosaics)))
    with output_folder(out):
        parts = []
        for k, (seen, unseen) in enumerate(pairs):
            folder = out if folds is None else out / f"fold{k}"
            interpretation = interpret(
                classifier, seen, layers=layers, out=folder / "run", batch_size=batch_size, progress=progress, **fit
            )
            parts.append(_Part(interpretation, seen, unseen, limits, folder, seed, batch_size, progress))
        measured = [part.measure(*groups) for part in parts]
        table = ImageTable(
            rows=make_image_rows(groups, measured),
            data=Path(images).resolve().name,
            images=sum(len(part.truth) for part in parts),
            classes=len(parts[0].interpretation.class_names),
            checked=sum(len(part.few) for part in parts),
            settings=_settings(
                parts,
                fit_images is None and folds is None,
                scored=scored,
                few=few,
                mosaics=sum(len(part.mosaics[0]) for part in parts),
                seed=seed,
                folds=folds,
            ),
        )
        _write(table, [part.examples(groups[0], -(-SHOWN // len(parts))) for part in parts], out)
        return table


def _deal(images: ImageCollection, folds: int) -> list[tuple[ImageCollection, ImageCollection]]:
    """For each fold the images of all others, and its own, whose labels are not to be known."""
    assert isinstance(images, ImageFiles), "the images of a folder are files"
    unlabelled = replace(images, labels=[UNLABELLED] * len(images), class_names=())
    everything = range(len(images))
    return [
        (Subset(images, [i for i in everything if i % folds != k]), Subset(unlabelled, everything[k::folds]))
        for k in range(folds)
    ]


class _Limits(NamedTuple):
    """How many images are scored at most, on how many slow methods are, and how many mosaics."""

    scored: int
    few: int
    mosaics: int


@dataclass(frozen=True, eq=False)
class _Part:
    """A network, what it learned from some images, and others that methods are scored on."""

    interpretation: Interpretation
    fitted: ImageCollection
    images: ImageCollection
    limits: _Limits
    out: Path
    seed: int
    batch_size: int
    progress: StageProgress | None

    @cached_property
    def paper(self) -> Interpretation:
        """What it learned as in the paper."""
        return refit_with_descriptor(self.interpretation, self.out / "run", Descriptor.paper(), FULL.mu)

    @cached_property
    def truth(self) -> GroundTruth:
        """The scored images."""
        model = self.interpretation.require_classifier()
        return find_predicted(model, self.images, self.limits.scored, batch_size=self.batch_size)

    @cached_property
    def few(self) -> GroundTruth:
        """Those of them that slow methods are scored on."""
        return self.truth.subset(self._few_rows())

    @cached_property
    def mosaics(self) -> tuple[list[Mosaic], bool]:
        """The mosaics, and whether their images keep their size."""
        full_size = takes_larger(self.truth.classifier)
        return draw_mosaics(self.truth, self.limits.mosaics, self.seed, full_size), full_size

    def measure(self, own: Sequence[Method], slow: Sequence[Method]) -> Measured:
        """The scores of every method that can be used; those that are slow are scored on few images."""
        scores: dict[str, Scores] = {}
        made: dict[str, str] = {}
        for truth, methods, mosaics in ((self.truth, own, self.mosaics), (self.few, slow, ([], True))):
            for method, explainer in self._bind(methods).items():
                made[method.name] = method.key or repr(explainer)
                scores[method.name] = self._score(method, explainer, truth, mosaics, made[method.name])
        ours_on_few = {name: scores[OURS][name][self._few_rows()] for name in CURVES}
        for name, values in self._check([method for method in own if method.name in scores]).items():
            scores[name] |= values
        return Measured(scores, ours_on_few, made)

    def examples(self, methods: Sequence[Method], count: int) -> Examples:
        """The maps of images on the sheet."""
        rows = evenly_spaced(range(len(self.truth)), count)
        return find_examples(self.interpretation, self.truth, with_paper_features(methods, self.paper), rows)

    def _few_rows(self) -> list[int]:
        return evenly_spaced(range(len(self.truth)), self.limits.few)

    def _bind(self, methods: Sequence[Method]) -> dict[Method, Explainer]:
        return bind_methods(self.interpretation, with_paper_features(methods, self.paper))

    def _score(
        self,
        method: Method,
        explainer: Explainer,
        truth: GroundTruth,
        mosaics: tuple[list[Mosaic], bool],
        made: str,
    ) -> Scores:
        folder = self.out / "scores"
        folder.mkdir(parents=True, exist_ok=True)
        if self.progress:
            self.progress(method.name, 0, len(truth))
        key = f"{origin_of(self.interpretation, truth)} {self.paper.fingerprint()} {made}"
        path, size = folder / f"{method.name}.safetensors", self.batch_size
        compute = partial(score_without_masks, explainer, truth, batch_size=size)
        with errors_of(method):
            scores = cached_scores(path, key, compute)
            return scores | cached_mosaic_scores(path, key, explainer, truth, *mosaics, size)

    def _check(self, methods: Sequence[Method]) -> dict[str, Scores]:
        """How alike maps stay as parameters become random, on few images and all of their pixels."""
        scores: dict[str, Scores] = {}
        for paper_features, fit in ((False, self.interpretation), (True, self.paper)):
            networks = RandomNetworks(fit, self.fitted, 1, seed=self.seed, batch_size=self.batch_size, asked=CASCADING)
            group = [method for method in methods if method.paper_features == paper_features]
            folder = self.out / "sanity"
            scores |= sanity_scores(networks, self.few, self.few.masks, group, folder, progress=self.progress)
        return scores


def _settings(parts: Sequence[_Part], fitted_on_scored: bool, **options: int | None) -> dict[str, Any]:
    settings = parts[0].interpretation.settings
    return {
        **options,
        "features_per_class": settings.features_per_class,
        "mu": settings.mu,
        "descriptor": str(settings.descriptor),
        "fitted_on_scored_images": fitted_on_scored,
        "model_sha256": settings.model.sha256,
        "fit_sha256": [part.interpretation.settings.data.sha256 for part in parts],
        "images_sha256": [part.truth.images.fingerprint() for part in parts],
        "code_sha256": code_of_scores(),
        "versions": provenance.versions(),
        "created": provenance.now(),
    }


def _write(table: ImageTable, examples: Sequence[Examples], out: Path) -> None:
    write_json(out / f"{NAME}.json", table.to_dict())
    write_text(out / f"{NAME}.md", render_image_markdown(table))
    sheet = draw_sheet(join_examples(examples), {row.method: row.title for row in table.rows})
    with atomic_write(out / "sheet.webp") as partial_file:
        sheet.save(partial_file, "WEBP", quality=85)
