"""All methods on the same pictures of one model; the scores of each are kept in a file of their own."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from vebi.benchmark.methods import Method
from vebi.benchmark.mosaics import draw_mosaics, mosaic_scores, takes_larger
from vebi.benchmark.scoring import score
from vebi.benchmark.truth import Truth
from vebi.errors import ModelError, UsageError, VebiError
from vebi.fitting import StageProgress, of_stage
from vebi.interpretation import Interpretation
from vebi.storage import write_arrays

MOSAICS = "grid_pointing"
Scores = dict[str, Float[np.ndarray, "..."]]


@dataclass(frozen=True)
class Contest:
    """The scores of every method (see ``score``, and ``grid_pointing`` a mosaic) on the same ``pictures`` and
    ``mosaics``, which were made of ``whole`` or of halved pictures. ``right``: the share of the pictures that are
    predicted as asked for; ``covered``: the mean share of a picture that its mask covers; ``made``: how every
    built-in method was made."""

    scores: dict[str, Scores]
    pictures: int
    mosaics: int
    whole: bool
    right: float
    covered: float
    made: dict[str, str]


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
    """Scores every method that has no scores in ``folder`` yet, or none of this model, these pictures and settings.

    Errors of a method say which one it was. ``progress`` is called with (stage, done, all).
    """
    if mosaics < 0:
        raise UsageError(f"mosaics is {mosaics}, but it must be 0 or more")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw_mosaics(truth, mosaics, seed)
    whole = takes_larger(truth.classifier)
    ground = f"{version('vebi')} {interpretation.fingerprint()} {truth.fingerprint()} {drawn} {whole}"
    explainers = {method: method.make(interpretation) for method in methods}  # what cannot be made is told at once
    found = {}
    for method, explainer in explainers.items():
        path = folder / f"{method.name}.safetensors"
        key = hashlib.sha256(f"{ground} {method.key or repr(explainer)}".encode()).hexdigest()
        held = _read(path, key)
        if held is None:
            with _named(method):
                held = score(explainer, truth, batch_size=batch_size, progress=of_stage(progress, method.name))
                if drawn:
                    told = of_stage(progress, "its mosaics")
                    held[MOSAICS] = mosaic_scores(explainer, truth, drawn, whole, batch_size=batch_size, progress=told)
            write_arrays(path, held, {"key": json.dumps(key)})
        found[method.name] = held
    made = {method.name: repr(explainer) for method, explainer in explainers.items() if not method.key}
    right, covered = float(truth.right.mean()), float(truth.masks.float().mean())
    return Contest(found, len(truth), len(drawn), whole, right, covered, made)


@contextmanager
def _named(method: Method) -> Iterator[None]:
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


def _read(path: Path, key: str) -> Scores | None:
    """The scores in a file, None where it is not there, is damaged or has another key: then they are made again."""
    with suppress(SafetensorError, OSError, KeyError, ValueError), safe_open(path, "np") as file:
        if json.loads(file.metadata()["key"]) == key:
            return {name: file.get_tensor(name) for name in file.keys()}
    return None
