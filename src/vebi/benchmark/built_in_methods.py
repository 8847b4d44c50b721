"""The methods that every benchmark compares: vebi's own, its rivals, and maps that no network is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vebi.activations.layers import list_layers
from vebi.benchmark.methods import Choices, Make, Method, user_method
from vebi.errors import UsageError
from vebi.explanation.explain import ExplainOptions
from vebi.explanation.recipe import Recipe
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.methods.cam import Cam, GradCam, GradCamPlusPlus, LayerCam
from vebi.methods.features import FeatureEvidence, UpsampledActivations
from vebi.methods.finer_cam import FinerCam
from vebi.methods.gradient import Gradient, InputXGradient, IntegratedGradients, SmoothGrad
from vebi.methods.guided_cam import GuidedCam
from vebi.methods.image_cues import BorderDistance, Centre, Edges, RandomBlob, Saturation, Sharpness, Silhouette
from vebi.methods.modified_backprop import Deconvnet, GuidedBackprop, ModifiedBackprop
from vebi.methods.perturbation import Occlusion, Rise, ScoreCam
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess
from vebi.reports.benchmark_report.rows import OURS, PAPER

#: Upsampled activations of the features of vebi by default.
UPSAMPLED = "upsampled-vebi"
#: How many features are combined where that is a choice, and how.
_FEATURES, _REDUCTIONS = (1, 2, 3, 5), ("max", "mean")


def built_in_methods(cam_layer: str | None = None) -> tuple[Method, ...]:
    """The built-in methods but for those that ask the network hundreds of times per image.

    Args:
        cam_layer: Layer of the class activation maps, see ``find_layer``.
    """
    return (*_features(), *_modified_backprop(), *_cams(cam_layer), *_gradients(), *_cues())


def perturbation_methods(cam_layer: str | None = None) -> tuple[Method, ...]:
    """Methods that ask the network hundreds of times per image, and so are scored on fewer images.

    Args:
        cam_layer: Layer of Score-CAM, see ``find_layer``.
    """
    return (
        _of_network(
            "score-cam", "Score-CAM", lambda classifier: ScoreCam(classifier, cam_layer), choices=_layers(ScoreCam)
        ),
        _of_network("occlusion", "occlusion", Occlusion),
        _of_network("rise", "RISE", Rise),
    )


def all_methods(methods: Sequence[str | Method] = (), cam_layer: str | None = None) -> tuple[Method, ...]:
    """The built-in methods and a user's.

    Args:
        methods: Methods of the user's, as ``FILE.py:FUNCTION`` (see ``user_method``) or made in Python.
        cam_layer: Layer of the class activation maps; by default the last one before spatial pooling.

    Returns:
        The methods in the order of the tables.

    Raises:
        UsageError: Two methods have one name.

    Example:
        >>> [method.name for method in vebi.benchmark.all_methods() if method.in_paper][:3]
        ['vebi-paper', 'upsampled-activations', 'guided-backprop']
    """
    known = built_in_methods(cam_layer) + tuple(user_method(x) if isinstance(x, str) else x for x in methods)
    check_names(known)
    return known


def check_names(methods: Sequence[Method]) -> None:
    """Raises UsageError where two methods have one name."""
    names = [method.name for method in methods]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"two methods are called {twice!r}: give your function another name")


def _features() -> tuple[Method, ...]:
    """Vebi's own method by default and as in the paper, what lies between, and upsampled activations."""
    unfixed = Recipe.paper(stride_fix=None)
    return (
        _vebi(OURS, "vebi", Recipe(), needed=True),
        _vebi(PAPER, "vebi as in the paper", Recipe.paper(), in_paper=True, paper_features=True),
        _vebi(
            f"{PAPER}-without-stride-fix",
            "vebi as in the paper, without the stride fix",
            unfixed,
            paper_features=True,
        ),
        _vebi(f"{PAPER}-features", "vebi with the paper’s features", Recipe(), paper_features=True, tuned=False),
        _vebi(f"{PAPER}-heatmaps", "vebi with the paper’s heatmaps", Recipe.paper(), tuned=False),
        Method(
            "upsampled-activations",
            "upsampled activations",
            UpsampledActivations,
            True,
            paper_features=True,
            choices=_upsampling_choices,
        ),
        Method(
            UPSAMPLED,
            "upsampled activations of vebi’s features",
            lambda i: UpsampledActivations(i, reduction=Recipe().combination),
        ),
    )


def _vebi(
    name: str,
    title: str,
    recipe: Recipe,
    *,
    needed: bool = False,
    in_paper: bool = False,
    paper_features: bool = False,
    tuned: bool = True,
) -> Method:
    """Vebi with a recipe; tuned, with a row of the best number of features and combination of maps."""

    def make(interpretation: Interpretation) -> Explainer:
        return FeatureEvidence(interpretation, ExplainOptions(recipe=recipe))

    def choices(interpretation: Interpretation) -> dict[str, Explainer]:
        reductions = dict.fromkeys((recipe.combination, *_REDUCTIONS))
        return {
            f"{count} features, {reduction}": FeatureEvidence(
                interpretation, ExplainOptions(max_features=count, recipe=replace(recipe, combination=reduction))
            )
            for count in _FEATURES
            for reduction in reductions
        }

    return Method(
        name,
        title,
        make,
        in_paper,
        needed=needed,
        paper_features=paper_features,
        choices=choices if tuned else None,
    )


def _modified_backprop() -> tuple[Method, ...]:
    fixed = " with the stride fix"
    return (
        _of_network("guided-backprop", "guided backprop (Deconv+GB)", GuidedBackprop, in_paper=True),
        _of_network("guided-backprop-stride-fix", f"guided backprop{fixed}", _fixed(GuidedBackprop)),
        _of_network("deconvnet", "deconvnet", Deconvnet),
        _of_network("deconvnet-stride-fix", f"deconvnet{fixed}", _fixed(Deconvnet)),
    )


def _cams(cam_layer: str | None) -> tuple[Method, ...]:
    """Class activation maps, of which those in the paper also times guided backpropagation."""

    def cam(name: str, title: str, kind: type[Cam], *, in_paper: bool = False, needed: bool = False) -> Method:
        return _of_network(
            name,
            title,
            lambda classifier: kind(classifier, cam_layer),
            in_paper=in_paper,
            needed=needed,
            choices=_layers(kind),
        )

    def guided(name: str, title: str, kind: type[Cam], stride_fix: str | None = None) -> Method:
        def bind(classifier: Classifier, layer: str | None) -> Explainer:
            return GuidedCam(kind(classifier, layer), stride_fix)

        return _of_network(
            name,
            title,
            lambda classifier: bind(classifier, cam_layer),
            in_paper=stride_fix is None,
            choices=_layers(bind),
        )

    fixed = " with the stride fix"
    return (
        cam("grad-cam", "Grad-CAM", GradCam, in_paper=True, needed=cam_layer is not None),
        guided("guided-grad-cam", "Guided Grad-CAM", GradCam),
        guided("guided-grad-cam-stride-fix", f"Guided Grad-CAM{fixed}", GradCam, "centred"),
        cam("grad-cam++", "Grad-CAM++", GradCamPlusPlus, in_paper=True),
        guided("guided-grad-cam++", "Guided Grad-CAM++", GradCamPlusPlus),
        guided("guided-grad-cam++-stride-fix", f"Guided Grad-CAM++{fixed}", GradCamPlusPlus, "centred"),
        cam("layer-cam", "LayerCAM", LayerCam),
        cam("finer-cam", "Finer-CAM", FinerCam),
    )


def _gradients() -> tuple[Method, ...]:
    return (
        _of_network("gradient", "gradient", Gradient),
        _of_network("smooth-grad", "SmoothGrad", SmoothGrad),
        _of_network("input-x-gradient", "input x gradient", InputXGradient),
        _of_network("integrated-gradients", "integrated gradients", IntegratedGradients),
    )


def _cues() -> tuple[Method, ...]:
    """Maps that no network is asked for: what they reach an explanation has to pass."""

    def of_preprocess(kind: Callable[[Preprocess], Explainer]) -> Make:
        return lambda interpretation: kind(interpretation.require_classifier().preprocess)

    cues: dict[str, tuple[str, Make]] = {
        "saturation": ("saturation", of_preprocess(Saturation)),
        "silhouette": ("silhouette", of_preprocess(Silhouette)),
        "border-distance": ("distance from the colour of the border", of_preprocess(BorderDistance)),
        "edges": ("edges", of_preprocess(Edges)),
        "sharpness": ("sharpness", of_preprocess(Sharpness)),
        "centre": ("centre", lambda _: Centre()),
        "random-blob": ("random blob", of_preprocess(RandomBlob)),
    }
    return tuple(
        Method(name, title, make, uses_network=False, uses_features=False) for name, (title, make) in cues.items()
    )


def _of_network(
    name: str,
    title: str,
    bind: Callable[[Classifier], Explainer],
    *,
    in_paper: bool = False,
    needed: bool = False,
    choices: Choices | None = None,
) -> Method:
    """A method that needs nothing of an interpretation but its model."""

    def make(interpretation: Interpretation) -> Explainer:
        return bind(interpretation.require_classifier())

    return Method(name, title, make, in_paper, needed=needed, uses_features=False, choices=choices)


def _fixed(kind: type[ModifiedBackprop]) -> Callable[[Classifier], Explainer]:
    return lambda classifier: kind(classifier, stride_fix="centred")


def _layers(bind: Callable[[Classifier, str], Explainer]) -> Choices:
    """A class activation map of every activation function with more than one position."""

    def choices(interpretation: Interpretation) -> dict[str, Explainer]:
        classifier = interpretation.require_classifier()
        layers = [layer for layer in list_layers(classifier) if layer.is_activation and layer.is_spatial]
        return {f"layer {layer.name}": bind(classifier, layer.name) for layer in layers}

    return choices


def _upsampling_choices(interpretation: Interpretation) -> dict[str, Explainer]:
    return {
        f"{count} features, {reduction}": UpsampledActivations(interpretation, count, reduction=reduction)
        for count in _FEATURES
        for reduction in _REDUCTIONS
    }
