"""The methods that a benchmark compares, and how each is made for a model that was interpreted."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vebi.errors import ModelError, UsageError
from vebi.explanation.explain import ExplainOptions
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.methods.cam import Cam, GradCam, GradCamPlusPlus, LayerCam
from vebi.methods.features import FeatureEvidence, UpsampledActivations
from vebi.methods.gradient import Gradient, InputXGradient
from vebi.methods.guided_cam import GuidedCam
from vebi.methods.modified_backprop import Deconvnet, GuidedBackprop
from vebi.models.classifier import Classifier
from vebi.models.sources import call_function
from vebi.reports.benchmark_report.rows import OURS

#: From an interpretation to a method for its model.
Make = Callable[[Interpretation], Explainer]


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Attributes:
        name: Name in files and on the command line.
        title: Name on pages.
        make: Makes the method for the model of an interpretation.
        in_paper: Whether it is in table 1 of Oramas, Wang and Tuytelaars (BNAIC 2019).
        key: Name and hash of the file of a user's method, whose scores change with it; empty for a built-in method.
        needed: Whether it is an error that ``make`` raises UsageError; otherwise it is left out with a warning.

    Example:
        >>> from vebi.methods import GradCam
        >>> method = vebi.benchmark.Method(
        ...     "early-grad-cam", "Grad-CAM of relu1", lambda i: GradCam(i.require_classifier(), "relu1")
        ... )
        >>> method.make(interpretation)
        GradCam(layer='relu1', interpolation='bilinear')
    """

    name: str
    title: str
    make: Make = field(repr=False)
    in_paper: bool = False
    key: str = ""
    needed: bool = False


def built_in(cam_layer: str | None = None) -> tuple[Method, ...]:
    """The built-in methods: vebi's own, those of the paper's table and further ones.

    Args:
        cam_layer: Layer of the class activation maps, see ``find_layer``.
    """
    cams = {kind: _of_classifier(partial(kind, layer=cam_layer)) for kind in (GradCam, GradCamPlusPlus, LayerCam)}

    def guided(kind: type[Cam], stride_fix: str | None = None) -> Make:
        return _of_classifier(lambda classifier: GuidedCam(kind(classifier, cam_layer), stride_fix))

    return (
        Method(OURS, "vebi", FeatureEvidence, True, needed=True),
        Method("vebi-without-stride-fix", "vebi without the stride fix", _without_stride_fix),
        Method("upsampled-activations", "upsampled activations", UpsampledActivations, True),
        Method("guided-backprop", "guided backprop (Deconv+GB)", _of_classifier(GuidedBackprop), True),
        Method(
            "guided-backprop-stride-fix",
            "guided backprop with the stride fix",
            _of_classifier(partial(GuidedBackprop, stride_fix="centred")),
        ),
        Method("deconvnet", "deconvnet", _of_classifier(Deconvnet)),
        Method(
            "deconvnet-stride-fix",
            "deconvnet with the stride fix",
            _of_classifier(partial(Deconvnet, stride_fix="centred")),
        ),
        Method("grad-cam", "Grad-CAM", cams[GradCam], True, needed=cam_layer is not None),
        Method("guided-grad-cam", "Guided Grad-CAM", guided(GradCam), True),
        Method("guided-grad-cam-stride-fix", "Guided Grad-CAM with the stride fix", guided(GradCam, "centred")),
        Method("grad-cam++", "Grad-CAM++", cams[GradCamPlusPlus], True),
        Method("guided-grad-cam++", "Guided Grad-CAM++", guided(GradCamPlusPlus), True),
        Method(
            "guided-grad-cam++-stride-fix",
            "Guided Grad-CAM++ with the stride fix",
            guided(GradCamPlusPlus, "centred"),
        ),
        Method("layer-cam", "LayerCAM", cams[LayerCam]),
        Method("gradient", "gradient", _of_classifier(Gradient)),
        Method("input-x-gradient", "input x gradient", _of_classifier(InputXGradient)),
    )


def _of_classifier(bind: Callable[[Classifier], Explainer]) -> Make:
    """A method that needs nothing of an interpretation but its model."""
    return lambda interpretation: bind(interpretation.require_classifier())


def _without_stride_fix(interpretation: Interpretation) -> Explainer:
    return FeatureEvidence(interpretation, ExplainOptions(stride_fix=None))


def user_method(spec: str) -> Method:
    r"""A method in a user's file, called after its function.

    The file is executed when the method is made, so it must be yours. Making it raises ModelError where the function
    cannot be used, UsageError where it returns something else.

    Args:
        spec: ``FILE.py:FUNCTION``, a function that takes the Classifier and returns an Explainer.

    Returns:
        A method whose ``key`` holds the name and the hash of the file.

    Raises:
        UsageError: The spec has another form.
        ModelError: There is no such file.

    Example:
        >>> import pathlib
        >>> code = "def bright_pixels(classifier):\n    return lambda images, targets: images.mean(dim=1)\n"
        >>> _ = pathlib.Path("mine.py").write_text(code)
        >>> vebi.benchmark.user_method("mine.py:bright_pixels").name
        'bright-pixels'
    """
    path, _, function = spec.rpartition(":")
    if not path.endswith(".py") or not function:
        raise UsageError(f"the method is {spec!r}: give FILE.py:FUNCTION, a function that takes the classifier")

    def make(interpretation: Interpretation) -> Explainer:
        explainer = call_function(Path(path), function, interpretation.classifier)
        if not isinstance(explainer, Explainer):
            raise UsageError(
                f"{spec} returned a {type(explainer).__name__}, but a function (images, targets) -> maps is needed"
            )
        return explainer

    file = Path(path)
    if not file.is_file():
        raise ModelError(f"{path} does not exist: give the path of a Python file and a function in it")
    key = f"{file.name}:{function}, sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
    return Method(function.replace("_", "-"), function.replace("_", " "), make, key=key, needed=True)


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
        ['vebi', 'upsampled-activations', 'guided-backprop']
    """
    known = built_in(cam_layer) + tuple(user_method(x) if isinstance(x, str) else x for x in methods)
    names = [method.name for method in known]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"two methods are called {twice!r}: give your function another name")
    return known
