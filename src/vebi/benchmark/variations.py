"""The choices that the paper leaves open, one made differently at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vebi.activations.layers import choose_layers
from vebi.benchmark.refit import refit_on_table
from vebi.explanation.explain import ExplainOptions
from vebi.explanation.recipe import Recipe
from vebi.interpretation.result import Interpretation
from vebi.interpretation.run_folder import open_table
from vebi.methods.base import Explainer
from vebi.methods.cam import GradCam, GradCamPlusPlus
from vebi.methods.features import FeatureEvidence, UpsampledActivations
from vebi.methods.guided_cam import GuidedCam
from vebi.methods.modified_backprop import GuidedBackprop
from vebi.reports.benchmark_report.rows import OURS

MUS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
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
        self, *, energy: str | None = None, mu: float | None = None, signed: bool = False, labels: str = "predicted"
    ) -> Explainers:
        """The methods that use features, of a fit with other options; it has no exemplars.

        Args:
            energy: Energy of the descriptor, None for that of the run.
            mu: Bound on the l1 norm of the weights of each class, None for that of the run.
            signed: Whether negative weights are allowed.
            labels: ``"predicted"`` or ``"true"``.
        """
        i = self.interpretation
        descriptor = i.descriptor if energy is None else replace(i.descriptor, energy=energy)
        settings = replace(i.settings, descriptor=descriptor, signed=signed, labels=labels)
        requested = replace(i, settings=settings)
        if mu is not None:
            settings = replace(settings, mu=mu, features_per_class=None)
            requested = replace(i, settings=settings, mus=(mu,) * len(i.mus))
        return feature_methods(refit_on_table(requested, open_table(self.run, i.settings, descriptor)))


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
    yield Variation("descriptor", "plain l2 norms", partial(refitting.explainers, energy="l2"))
    yield Variation("weights", "signed", partial(refitting.explainers, signed=True))
    yield Variation("labels", "true", partial(refitting.explainers, labels="true"))
    for mu in MUS:
        if mu != i.settings.mu:
            yield Variation("mu", f"{mu:g}", partial(refitting.explainers, mu=mu))
    for count in MAX_FEATURES:
        if count != ExplainOptions().max_features:
            yield Variation("features", str(count), partial(feature_methods, i, count))
    yield Variation("combination", "weighted mean", lambda: _averaged(i))
    yield Variation("stride fix", "nearest", partial(_with_stride_fix, i, "nearest"))
    yield Variation("stride fix", "none", partial(_with_stride_fix, i, None))


def feature_methods(interpretation: Interpretation, count: int = ExplainOptions().max_features) -> Explainers:
    """The methods that use the selected features, at most ``count`` of them per image."""
    return {
        OURS: FeatureEvidence(interpretation, ExplainOptions(max_features=count)),
        "upsampled-activations": UpsampledActivations(interpretation, max_features=count),
    }


def _averaged(i: Interpretation) -> Explainers:
    return {
        OURS: FeatureEvidence(i, ExplainOptions(recipe=replace(Recipe.paper(), combination="mean"))),
        "upsampled-activations": UpsampledActivations(i, reduction="mean"),
    }


def _with_stride_fix(i: Interpretation, stride_fix: str | None) -> Explainers:
    return {OURS: FeatureEvidence(i, ExplainOptions(recipe=Recipe.paper(stride_fix=stride_fix)))}


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
    activations = UpsampledActivations(i, interpolation=interpolation)
    return {"upsampled-activations": activations, **_cams(i, interpolation=interpolation)}
