"""The methods of the table: names, and how each is bound to a model that was interpreted."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vebi.errors import ModelError, UsageError
from vebi.explanation.explain import Settings
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.methods.cam import GradCam, GradCamPlusPlus, LayerCam
from vebi.methods.features import CombinedMaps, UpsampledActivations
from vebi.methods.gradient import Gradient, InputXGradient
from vebi.methods.guided_cam import GuidedCam
from vebi.methods.modified_backprop import Deconvnet, GuidedBackprop
from vebi.models.classifier import Classifier
from vebi.models.sources import call_function

OURS = "vebi"


@dataclass(frozen=True)
class Method:
    """A row of the table.

    ``make`` binds it to the model of an interpretation; where it cannot, the method is left out unless it is
    ``needed``. ``of_the_seed``: it is in table 1 of Oramas, Wang and
    Tuytelaars. ``key`` names and hashes the file of a user's method, whose scores may change with it.
    """

    name: str
    title: str
    make: Callable[[Interpretation], Explainer] = field(repr=False)
    of_the_seed: bool = False
    key: str = ""
    needed: bool = False


def built_in(cam_layer: str | None = None) -> tuple[Method, ...]:
    """vebi's own method, those of the paper's table and further ones; ``cam_layer`` names the layer of the class
    activation maps, see ``find_layer``."""
    grad_cam, plus_plus, layer_cam = (
        partial(_of_classifier, partial(kind, layer=cam_layer)) for kind in (GradCam, GradCamPlusPlus, LayerCam)
    )

    def guided(cam: Callable[[Interpretation], Any], stride_fix: str | None = None) -> Callable:
        return lambda i: GuidedCam(cam(i), stride_fix)

    return (
        Method(OURS, "vebi", CombinedMaps, True, needed=True),
        Method("vebi-without-stride-fix", "vebi without the stride fix", _without_fix),
        Method("upsampled-activations", "upsampled activations", UpsampledActivations, True),
        Method("guided-backprop", "guided backprop (Deconv+GB)", partial(_of_classifier, GuidedBackprop), True),
        Method(
            "guided-backprop-stride-fix",
            "guided backprop with the stride fix",
            partial(_of_classifier, partial(GuidedBackprop, stride_fix="centred")),
        ),
        Method("deconvnet", "deconvnet", partial(_of_classifier, Deconvnet)),
        Method(
            "deconvnet-stride-fix",
            "deconvnet with the stride fix",
            partial(_of_classifier, partial(Deconvnet, stride_fix="centred")),
        ),
        Method("grad-cam", "Grad-CAM", grad_cam, True, needed=cam_layer is not None),
        Method("guided-grad-cam", "Guided Grad-CAM", guided(grad_cam), True),
        Method("guided-grad-cam-stride-fix", "Guided Grad-CAM with the stride fix", guided(grad_cam, "centred")),
        Method("grad-cam++", "Grad-CAM++", plus_plus, True),
        Method("guided-grad-cam++", "Guided Grad-CAM++", guided(plus_plus), True),
        Method("guided-grad-cam++-stride-fix", "Guided Grad-CAM++ with the stride fix", guided(plus_plus, "centred")),
        Method("layer-cam", "LayerCAM", layer_cam),
        Method("gradient", "gradient", partial(_of_classifier, Gradient)),
        Method("input-x-gradient", "input x gradient", partial(_of_classifier, InputXGradient)),
    )


def _of_classifier(kind: Callable[[Classifier], Explainer], interpretation: Interpretation) -> Explainer:
    return kind(interpretation.require_classifier())


def _without_fix(interpretation: Interpretation) -> Explainer:
    return CombinedMaps(interpretation, Settings(stride_fix=None))


def own_method(spec: str) -> Method:
    """A user's method: ``FILE.py:FUNCTION``, a function that takes the Classifier and returns an Explainer.

    It is called after the function. The file is executed, so it must be yours. Raises UsageError for another spec,
    ModelError where there is no such file; making it raises them where the function cannot be used, or gives something
    else.
    """
    place, _, function = spec.rpartition(":")
    if not place.endswith(".py") or not function:
        raise UsageError(f"the method is {spec!r}: give FILE.py:FUNCTION, a function that takes the classifier")

    def make(interpretation: Interpretation) -> Explainer:
        found = call_function(Path(place), function, interpretation.classifier)
        if not callable(found):
            raise UsageError(
                f"{spec} returned a {type(found).__name__}, but a function (images, targets) -> maps is needed"
            )
        return found

    file = Path(place)
    if not file.is_file():
        raise ModelError(f"{place} does not exist: give the path of a Python file and a function in it")
    key = f"{file.name}:{function}, sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
    return Method(function.replace("_", "-"), function.replace("_", " "), make, key=key, needed=True)


def all_methods(own: Sequence[str | Method] = (), cam_layer: str | None = None) -> tuple[Method, ...]:
    """The built-in methods and a user's, given as for ``own_method`` or made in Python. Raises UsageError where two
    have one name."""
    found = built_in(cam_layer) + tuple(own_method(x) if isinstance(x, str) else x for x in own)
    names = [method.name for method in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"two methods are called {twice!r}: give your function another name")
    return found
