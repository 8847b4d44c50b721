"""The benchmark on images that have no masks: do maps name what the network needs, and depend on what it learned?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from vebi import provenance
from vebi.activations.descriptors import Descriptor
from vebi.benchmark.built_in_methods import all_methods, perturbation_methods
from vebi.benchmark.examples import find_examples
from vebi.benchmark.ground_truth import GroundTruth, find_predicted
from vebi.benchmark.methods import Method, with_paper_features
from vebi.benchmark.network_scores import EMPTY, SPARSENESS, score_without_masks
from vebi.benchmark.plan import FULL
from vebi.benchmark.random_networks import CASCADING, RandomNetworks
from vebi.benchmark.refit import refit_with_descriptor
from vebi.benchmark.runner import Scores, bind_methods, cached_scores, code_of_scores, errors_of, origin_of
from vebi.benchmark.sanity import sanity_scores
from vebi.data.collections import ImageCollection, evenly_spaced
from vebi.data.loader import check_batch_size
from vebi.data.sources import open_unlabelled
from vebi.errors import UsageError
from vebi.files import atomic_write, write_json
from vebi.interpretation.fit import interpret
from vebi.interpretation.labelled_images import open_labelled
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.models.classifier import Classifier
from vebi.progress import StageProgress
from vebi.reports.benchmark_report.examples import Examples
from vebi.reports.benchmark_report.image_markdown import render_image_markdown
from vebi.reports.benchmark_report.image_sheet import draw_sheet
from vebi.reports.benchmark_report.image_table import ImageRow, ImageTable, Paired
from vebi.reports.benchmark_report.network_table import CURVES
from vebi.reports.benchmark_report.rows import OURS

NAME = "images"
#: Images on the sheet.
SHOWN = 24


def benchmark_images(
    classifier: Classifier,
    images: str | Path,
    out: str | Path,
    *,
    fit_images: str | Path | None = None,
    layers: str | Sequence[str] | None = None,
    features_per_class: int | None = None,
    mu: float | None = None,
    descriptor: Descriptor = Descriptor(),
    scored: int = 200,
    few: int = 24,
    seed: int = 0,
    methods: Sequence[str | Method] = (),
    cam_layer: str | None = None,
    batch_size: int = 32,
    progress: StageProgress | None = None,
) -> ImageTable:
    """Interprets a model and scores the heatmaps of every method without masks: the same as `vebi bench images`.

    Images are explained for their predicted class. Scored are deletion and insertion into a blurred and a grey image,
    sparseness, and how alike maps stay when parameters become random. Writes ``images.json``, ``images.md`` and
    ``sheet.webp``, the maps of all methods side by side; and beside them the run and the scores of each method. What
    the folder holds already is used again.

    Args:
        classifier: The model.
        images: The images to score, a folder.
        out: The output folder.
        fit_images: The images of the fit; by default those that are scored, which is optimistic.
        layers: The layers of the descriptor, see ``vebi.interpret``.
        features_per_class: Features of a class at most, by default 3, see ``vebi.interpret``.
        mu: Instead, the bound on the l1 norm of the weights of each class.
        descriptor: How activations become numbers.
        scored: Scored images at most, spread evenly over those of the folder.
        few: Images at most for methods that ask the network hundreds of times, and for random parameters.
        seed: Of the random parameters.
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
    if min(scored, few) < 1:
        raise UsageError(f"scored is {scored} and few {few}: score at least one image")
    out, source = Path(out), images if fit_images is None else fit_images
    own, slow = all_methods(methods, cam_layer), perturbation_methods(cam_layer)
    classifier, fitted = open_labelled(classifier, source)
    fit: dict[str, Any] = {"features_per_class": features_per_class, "mu": mu, "descriptor": descriptor}
    interpretation = interpret(
        classifier, source, layers=layers, out=out / "run", batch_size=batch_size, progress=progress, **fit
    )
    model = interpretation.require_classifier()
    truth = find_predicted(model, open_unlabelled(images), scored, batch_size=batch_size)
    experiment = _Experiment(
        interpretation=interpretation,
        paper=refit_with_descriptor(interpretation, out / "run", Descriptor.paper(), FULL.mu),
        fitted=fitted,
        truth=truth,
        few=truth.subset(evenly_spaced(range(len(truth)), few)),
        out=out,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
    )
    table = ImageTable(
        rows=tuple(experiment.rows(own, slow)),
        data=Path(images).resolve().name,
        images=len(truth),
        classes=len(interpretation.class_names),
        checked=len(experiment.few),
        settings=_settings(interpretation, truth, fit_images is None, scored=scored, few=few, seed=seed),
    )
    _write(table, experiment.examples(own), out)
    return table


@dataclass(frozen=True, eq=False)
class _Experiment:
    """A network, what it learned by default and as in the paper, and the images that methods are scored on."""

    interpretation: Interpretation
    paper: Interpretation
    fitted: ImageCollection
    truth: GroundTruth
    few: GroundTruth
    out: Path
    seed: int
    batch_size: int
    progress: StageProgress | None

    def rows(self, own: Sequence[Method], slow: Sequence[Method]) -> list[ImageRow]:
        """A row for every method that can be used; those that are slow are scored on few images."""
        scores: dict[str, Scores] = {}
        made: dict[str, str] = {}
        for truth, methods in ((self.truth, own), (self.few, slow)):
            for method, explainer in self._bind(methods).items():
                made[method.name] = method.key or repr(explainer)
                scores[method.name] = self._score(method, explainer, truth, made[method.name])
        for name, values in self._check([method for method in own if method.name in scores]).items():
            scores[name] |= values
        return [
            _make_row(m, scores[m.name], self._ours(scores[OURS], m in slow), made[m.name])
            for m in (*own, *slow)
            if m.name in scores
        ]

    def examples(self, methods: Sequence[Method]) -> Examples:
        """The maps of the images on the sheet."""
        rows = evenly_spaced(range(len(self.truth)), SHOWN)
        return find_examples(self.interpretation, self.truth, with_paper_features(methods, self.paper), rows)

    def _ours(self, scores: Scores, few: bool) -> Scores:
        """The scores of vebi on the images that a method was scored on."""
        if not few:
            return scores
        places = {name: k for k, name in enumerate(self.truth.images.ids)}
        rows = [places[name] for name in self.few.images.ids]
        return {name: scores[name][rows] for name in CURVES}

    def _bind(self, methods: Sequence[Method]) -> dict[Method, Explainer]:
        return bind_methods(self.interpretation, with_paper_features(methods, self.paper))

    def _score(self, method: Method, explainer: Explainer, truth: GroundTruth, made: str) -> Scores:
        folder = self.out / "scores"
        folder.mkdir(parents=True, exist_ok=True)
        if self.progress:
            self.progress(method.name, 0, len(truth))
        key = f"{origin_of(self.interpretation, truth)} {self.paper.fingerprint()} {made}"
        compute = partial(score_without_masks, explainer, truth, batch_size=self.batch_size)
        with errors_of(method):
            return cached_scores(folder / f"{method.name}.safetensors", key, compute)

    def _check(self, methods: Sequence[Method]) -> dict[str, Scores]:
        """How alike maps stay as parameters become random, on few images and all of their pixels."""
        scores: dict[str, Scores] = {}
        for paper_features, fit in ((False, self.interpretation), (True, self.paper)):
            networks = RandomNetworks(fit, self.fitted, 1, seed=self.seed, batch_size=self.batch_size, asked=CASCADING)
            group = [method for method in methods if method.paper_features == paper_features]
            folder = self.out / "sanity"
            scores |= sanity_scores(networks, self.few, self.few.masks, group, folder, progress=self.progress)
        return scores


def _make_row(method: Method, scores: Scores, ours: Scores, made: str) -> ImageRow:
    randomisation, empty = (
        {c.name: _mean(scores.get(f"sanity.{c.name}.{name}")) for c in CASCADING}
        for name in ("rank_correlation", "empty")
    )
    return ImageRow(
        method=method.name,
        title=method.title,
        uses_network=method.uses_network,
        images=len(scores[SPARSENESS]),
        curves={name: _paired(100 * scores[name], 100 * ours[name]) for name in CURVES},
        sparseness=_mean(scores[SPARSENESS]),
        empty=float(scores[EMPTY].mean()),
        randomisation=randomisation,
        randomised_empty=empty,
        made=made,
    )


def _paired(values: Float[np.ndarray, " n"], ours: Float[np.ndarray, " n"]) -> Paired:
    """The mean, and by how much it is above that of vebi: paired images, Student's t."""
    difference = values - ours
    interval = None
    if len(difference) > 1 and difference.std() > 0:
        low, high = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
        interval = float(low), float(high)
    return Paired(float(values.mean()), float(difference.mean()), interval)


def _mean(values: Float[np.ndarray, " n"] | None) -> float | None:
    """The mean of what is finite; None where nothing is."""
    if values is None or not np.isfinite(values).any():
        return None
    return float(np.nanmean(values))


def _settings(
    interpretation: Interpretation, truth: GroundTruth, fitted_on_scored: bool, **options: int
) -> dict[str, Any]:
    settings = interpretation.settings
    return {
        **options,
        "features_per_class": settings.features_per_class,
        "mu": settings.mu,
        "descriptor": str(settings.descriptor),
        "fitted_on_scored_images": fitted_on_scored,
        "model_sha256": settings.model.sha256,
        "fit_sha256": settings.data.sha256,
        "images_sha256": truth.images.fingerprint(),
        "code_sha256": code_of_scores(),
        "versions": provenance.versions(),
        "created": provenance.now(),
    }


def _write(table: ImageTable, examples: Examples, out: Path) -> None:
    write_json(out / f"{NAME}.json", table.to_dict())
    with atomic_write(out / f"{NAME}.md") as partial_file:
        partial_file.write_text(render_image_markdown(table), encoding="utf-8")
    sheet = draw_sheet(examples, {row.method: row.title for row in table.rows})
    with atomic_write(out / "sheet.webp") as partial_file:
        sheet.save(partial_file, "WEBP", quality=85)
