"""The choices behind a heatmap, one made differently at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import choose_layers
from vebi.benchmark.built_in_methods import UPSAMPLED
from vebi.benchmark.refit import refit_on_table
from vebi.explanation.explain import ExplainOptions
from vebi.explanation.recipe import Recipe
from vebi.interpretation.fit import FEATURES_PER_CLASS
from vebi.interpretation.result import Interpretation
from vebi.interpretation.run_folder import open_table
from vebi.methods.base import Explainer
from vebi.methods.cam import GradCam, GradCamPlusPlus
from vebi.methods.features import FeatureEvidence, UpsampledActivations
from vebi.methods.guided_cam import GuidedCam
from vebi.methods.modified_backprop import GuidedBackprop
from vebi.reports.benchmark_report.rows import OURS

DESCRIPTORS = {
    "as in the paper": Descriptor.paper(),
    "squared energies": Descriptor(energy="squared"),
    "centred": Descriptor(scaling="centred"),
    "logarithms": Descriptor(scaling="log"),
}
#: Recipes by what is different.
RECIPES = {
    "as in the paper": Recipe.paper(),
    "no contrast": Recipe(contrast=False),
    "contributions at the pixels": Recipe(reading="contribution"),
    "no pool fix": Recipe(pool_fix=False),
    "ordinary gradient": Recipe(rule="gradient"),
    "stride fix nearest": Recipe(stride_fix="nearest"),
    "no stride fix": Recipe(stride_fix=None),
}
MAX_FEATURES = (1, 2, 3, 5, 10)
#: Choice and setting of the row of the defaults.
DEFAULT = ("as in the table", "")

Explainers = dict[str, Explainer]


@dataclass(frozen=True)
class Variation:
    """One choice made differently.

    Attributes:
        choice: What is chosen.
        setting: How it is chosen.
        make: Makes the methods that the choice affects, by name.
    """

    choice: str
    setting: str
    make: Callable[[], Explainers]


@dataclass(frozen=True, eq=False)
class Refitting:
    """Fits with other options, on the table of a run.

    Attributes:
        interpretation: The fit with the defaults, with the classifier attached.
        run: Its run folder.
    """

    interpretation: Interpretation
    run: Path

    def explainers(
        self,
        *,
        descriptor: Descriptor = Descriptor(),
        features_per_class: int = FEATURES_PER_CLASS,
        signed: bool = False,
        labels: str = "predicted",
    ) -> Explainers:
        """The methods that use features, of a fit with other options; it has no exemplars.

        Args:
            descriptor: How activations become numbers.
            features_per_class: Features of a class at most.
            signed: Whether negative weights are allowed.
            labels: ``"predicted"`` or ``"true"``.
        """
        i = self.interpretation
        settings = replace(
            i.settings, descriptor=descriptor, signed=signed, labels=labels, features_per_class=features_per_class
        )
        table = open_table(self.run, i.settings, descriptor)
        return feature_methods(refit_on_table(replace(i, settings=settings), table))


def iter_variations(interpretation: Interpretation, run: Path) -> Iterator[Variation]:
    """Every variation, the defaults first.

    Args:
        interpretation: The fit with the defaults, with the classifier attached.
        run: Its run folder.

    Yields:
        The defaults, then one choice made differently at a time.
    """
    i = interpretation
    layers = choose_layers(i.require_classifier(), [name for name, _ in i.layers])
    refitting = Refitting(i, run)
    yield Variation(*DEFAULT, lambda: feature_methods(i) | _guided(i) | _cams(i))
    for interpolation in ("nearest", "bicubic"):
        yield Variation("interpolation", interpolation, partial(_interpolated, i, interpolation))
    maps = [layer.name for layer in layers if layer.is_spatial]
    for layer in maps[-4:-1]:
        yield Variation("layer of Grad-CAM", layer, partial(_cams, i, layer=layer))
    for name, descriptor in DESCRIPTORS.items():
        yield Variation("descriptor", name, partial(refitting.explainers, descriptor=descriptor))
    yield Variation("weights", "signed", partial(refitting.explainers, signed=True))
    yield Variation("labels", "true", partial(refitting.explainers, labels="true"))
    for count in MAX_FEATURES:
        if count != FEATURES_PER_CLASS:
            yield Variation("features per class", str(count), partial(refitting.explainers, features_per_class=count))
    for count in MAX_FEATURES:
        if count != ExplainOptions().max_features:
            yield Variation("features shown", str(count), partial(feature_methods, i, count))
    for name, reduction in (("elementwise maximum", "max"), ("weighted mean", "mean")):
        yield Variation("combination", name, partial(_combined, i, reduction))
    for name, recipe in RECIPES.items():
        yield Variation("heatmaps", name, partial(_with_recipe, i, recipe))


def feature_methods(interpretation: Interpretation, count: int = ExplainOptions().max_features) -> Explainers:
    """The methods that use the selected features, at most ``count`` of them per image."""
    return {
        OURS: FeatureEvidence(interpretation, ExplainOptions(max_features=count)),
        UPSAMPLED: UpsampledActivations(interpretation, count, reduction=Recipe().combination),
    }


def _combined(i: Interpretation, reduction: str) -> Explainers:
    return _with_recipe(i, Recipe(combination=reduction)) | {UPSAMPLED: UpsampledActivations(i, reduction=reduction)}


def _with_recipe(i: Interpretation, recipe: Recipe) -> Explainers:
    return {OURS: FeatureEvidence(i, ExplainOptions(recipe=recipe))}


def _guided(i: Interpretation) -> Explainers:
    return {"guided-backprop": GuidedBackprop(i.require_classifier())}


def _cams(i: Interpretation, layer: str | None = None, interpolation: str = "bilinear") -> Explainers:
    plain, plus = (kind(i.require_classifier(), layer, interpolation) for kind in (GradCam, GradCamPlusPlus))
    return {
        "grad-cam": plain,
        "guided-grad-cam": GuidedCam(plain),
        "grad-cam++": plus,
        "guided-grad-cam++": GuidedCam(plus),
    }


def _interpolated(i: Interpretation, interpolation: str) -> Explainers:
    activations = UpsampledActivations(i, interpolation=interpolation, reduction=Recipe().combination)
    return {UPSAMPLED: activations, **_cams(i, interpolation=interpolation)}
