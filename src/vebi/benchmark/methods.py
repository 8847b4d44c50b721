"""A method that a benchmark compares, and how it is made for a model that was interpreted."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vebi.errors import UsageError
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.models.sources import call_function, check_code

#: From an interpretation to a method for its model.
Make = Callable[[Interpretation], Explainer]
#: From an interpretation to a method with every choice that it leaves open, by what is chosen.
Choices = Callable[[Interpretation], dict[str, Explainer]]


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
        uses_network: Whether its maps depend on the network; otherwise it is there to show how far an image alone gets.
        uses_features: Whether its maps depend on more of an interpretation than its model; False saves making them
            again where only the features change.
        paper_features: Whether these features are selected as in the paper, whatever the default is.
        choices: Makes the method with every choice that it leaves open (layer, reduction, number of features), by what
            is chosen; None where it leaves none.
        chosen: What was chosen, for a row of a method at its best.

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
    uses_network: bool = True
    uses_features: bool = True
    paper_features: bool = False
    choices: Choices | None = field(default=None, repr=False)
    chosen: str = ""


def with_paper_features(methods: Sequence[Method], fit: Interpretation) -> list[Method]:
    """The methods, of which those with ``paper_features`` take them from another fit of the same model.

    Args:
        methods: The methods.
        fit: The fit as in the paper.
    """
    return [_with_features(method, fit) if method.paper_features else method for method in methods]


def _with_features(method: Method, fit: Interpretation) -> Method:
    def of_fit(interpretation: Interpretation) -> Interpretation:
        return replace(fit, classifier=interpretation.require_classifier())

    choices = method.choices
    return replace(
        method,
        make=lambda interpretation: method.make(of_fit(interpretation)),
        choices=None if choices is None else lambda interpretation: choices(of_fit(interpretation)),
    )


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
        ModelError: There is no such file, or none that can be read.

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
    check_code(file)
    key = f"{file.name}:{function}, sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
    name, title = function.replace("_", "-"), function.replace("_", " ")
    return Method(name, title, make, key=key, needed=True, uses_features=False)
