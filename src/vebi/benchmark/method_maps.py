"""The maps of methods of the tables for single images, beside what vebi explains."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from vebi.activations.descriptors import Descriptor
from vebi.benchmark.built_in_methods import built_in_methods, check_names, perturbation_methods
from vebi.benchmark.methods import Method, user_method, with_paper_features
from vebi.benchmark.plan import FULL
from vebi.benchmark.refit import refit_with_descriptor
from vebi.benchmark.runner import bind_methods, errors_of
from vebi.benchmark.scoring import positive_maps
from vebi.data.decode import decode
from vebi.errors import UsageError
from vebi.explanation.result import Explanation
from vebi.interpretation.result import Interpretation


def find_methods(names: Sequence[str]) -> list[Method]:
    """Methods by their names in the tables, or by a user's function.

    Args:
        names: Names as ``grad-cam``, or ``FILE.py:FUNCTION`` (see ``user_method``).

    Raises:
        UsageError: There is no such method.
        ModelError: There is no such file.
    """
    known = {method.name: method for method in (*built_in_methods(), *perturbation_methods())}
    unknown = [name for name in names if name not in known and ":" not in name]
    if unknown:
        raise UsageError(
            f"there is no method {unknown[0]!r}: the methods are {', '.join(known)}, and yours as FILE.py:FUNCTION"
        )
    methods = [known[name] if name in known else user_method(name) for name in dict.fromkeys(names)]
    check_names(methods)
    return methods


def method_maps(
    interpretation: Interpretation, run: Path, names: Sequence[str]
) -> Callable[[Explanation], dict[str, Float[np.ndarray, "h w"]]]:
    """Makes methods for the model of a run.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        run: Its run folder, from whose table features are selected as in the paper where a method takes these.
        names: See ``find_methods``.

    Returns:
        From the explanation of an image in a file to the map of each method by its title, for the class that is
        explained: h x w, raw, of which what is negative is 0.

    Raises:
        UsageError: There is no such method, or it cannot be used on the model.
        ModelError: A method of the user's fails.
    """
    methods = [replace(method, needed=True) for method in find_methods(names)]
    if any(method.paper_features for method in methods):
        paper = refit_with_descriptor(interpretation, run, Descriptor.paper(), FULL.mu)
        methods = with_paper_features(methods, paper)
    bound, classifier = bind_methods(interpretation, methods), interpretation.require_classifier()

    def maps_of(explanation: Explanation) -> dict[str, Float[np.ndarray, "h w"]]:
        inputs = classifier.preprocess.prepare(decode(Path(explanation.image_id)))[None].to(classifier.device)
        target = torch.tensor([interpretation.class_index(explanation.target)], device=classifier.device)
        maps = {}
        for method, explainer in bound.items():
            with errors_of(method):
                maps[method.title] = positive_maps(explainer, inputs.clone(), target)[0].numpy()
        return maps

    return maps_of
