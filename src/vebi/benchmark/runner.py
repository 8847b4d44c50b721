"""All methods on the same pictures of one model; the scores of each are kept in files of their own."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from vebi import provenance
from vebi.benchmark.ground_truth import Truth
from vebi.benchmark.methods import Method
from vebi.benchmark.mosaics import draw_mosaics, mosaic_scores, takes_larger
from vebi.benchmark.scoring import score
from vebi.errors import ModelError, UsageError, VebiError, VebiWarning
from vebi.files import write_arrays
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.progress import StageProgress, of_stage

MOSAICS = "grid_pointing"
Scores = dict[str, Float[np.ndarray, "..."]]


@dataclass(frozen=True)
class Contest:
    """The scores of every method (see ``score``, and ``grid_pointing`` a mosaic) on the same ``pictures`` and
    ``mosaics``, which were made of ``whole`` or of halved pictures. ``right``: the share of the pictures that are
    predicted as asked for, None where nobody knows their classes; ``covered``: the mean share of a picture that its
    mask covers; ``made``: how every method was made."""

    scores: dict[str, Scores]
    pictures: int
    mosaics: int
    whole: bool
    right: float | None
    covered: float
    made: dict[str, str]

    def of(self, methods: Sequence[Method]) -> list[Method]:
        """Those that took part."""
        return [method for method in methods if method.name in self.scores]


def hold(
    interpretation: Interpretation,
    truth: Truth,
    methods: Sequence[Method],
    folder: Path,
    *,
    mosaics: int,
    seed: int = 0,
    batch_size: int = 32,
    progress: StageProgress | None = None,
) -> Contest:
    """Scores every method that has no scores in ``folder`` yet, or none by this code on this model and these pictures.

    A built-in method that the network has no place for is left out with a warning. Errors of a method say which one it
    was. ``progress`` is called with (stage, done, all).
    """
    if mosaics < 0:
        raise UsageError(f"mosaics is {mosaics}, but it must be 0 or more")
    folder.mkdir(parents=True, exist_ok=True)
    explainers = bind(interpretation, methods)
    whole = takes_larger(truth.classifier)
    drawn = draw_mosaics(truth, mosaics, seed, whole)
    ground = f"{provenance.source()} {interpretation.fingerprint()} {truth.fingerprint()}"
    found = {}
    for method, explainer in explainers.items():
        by = f"{ground} {method.key or repr(explainer)}"
        with named(method):
            told = of_stage(progress, method.name)
            held = _kept(
                folder / f"{method.name}.safetensors",
                by,
                lambda e=explainer, t=told: score(e, truth, batch_size=batch_size, progress=t),
            )
            if drawn:
                told = of_stage(progress, "its mosaics")
                held |= _kept(
                    folder / f"{method.name}.mosaics.safetensors",
                    f"{by} {drawn} {whole}",
                    lambda e=explainer, t=told: {
                        MOSAICS: mosaic_scores(e, truth, drawn, whole, batch_size=batch_size, progress=t)
                    },
                )
        found[method.name] = held
    right = float(truth.right.mean()) if truth.labelled else None
    made = {method.name: method.key or repr(explainer) for method, explainer in explainers.items()}
    return Contest(found, len(truth), len(drawn), whole, right, float(truth.masks.float().mean()), made)


def bind(interpretation: Interpretation, methods: Sequence[Method]) -> dict[Method, Explainer]:
    """Every method bound to the model; a built-in one that cannot be is left out with a warning."""
    found = {}
    for method in methods:
        try:
            with named(method):
                found[method] = method.make(interpretation)
        except UsageError as error:
            if method.needed:
                raise
            warnings.warn(f"{method.name} is left out: {error}", VebiWarning, stacklevel=2)
    return found


@contextmanager
def named(method: Method) -> Iterator[None]:
    """Says which method went wrong; one of the user's may do so in any way."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{method.name}: {error}") from error
    except VebiError:
        raise
    except Exception as error:
        if not method.key:
            raise
        raise ModelError(f"{method.name} stopped with {type(error).__name__}: {error}") from error


def _kept(path: Path, by: str, make: Callable[[], Scores]) -> Scores:
    """The scores in a file; made again where it is not there, is damaged or was made otherwise than ``by``."""
    key = hashlib.sha256(by.encode()).hexdigest()
    with (
        suppress(SafetensorError, OSError, KeyError, ValueError, TypeError),
        safe_open(path, "np") as file,
    ):
        if json.loads(file.metadata()["key"]) == key:
            return {name: file.get_tensor(name) for name in file.keys()}
    found = make()
    write_arrays(path, found, {"key": json.dumps(key)})
    return found
