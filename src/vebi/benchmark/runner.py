"""All methods on the same images of one model; the scores of each are kept in files of their own."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vebi import provenance
from vebi.benchmark.ground_truth import GroundTruth
from vebi.benchmark.methods import Method
from vebi.benchmark.mosaics import Mosaic, draw_mosaics, mosaic_scores, takes_larger
from vebi.benchmark.scoring import score
from vebi.errors import ModelError, UsageError, VebiError, VebiWarning
from vebi.files import parse_json, read_arrays, write_arrays
from vebi.interpretation.result import Interpretation
from vebi.methods.base import Explainer
from vebi.progress import Progress, StageProgress, stage
from vebi.reports.benchmark_report.rows import GRID_POINTING

Scores = dict[str, Float[np.ndarray, "..."]]

#: Code that only reads scores: another state of it does not make them again.
_READERS = (
    "cli",
    "reports",
    "demo.py",
    "benchmark/image_rows.py",
    "benchmark/make_rows.py",
    "benchmark/network_rows.py",
    "benchmark/statistics.py",
    "benchmark/paper_table1.py",
    "benchmark/table2.py",
    "benchmark/write_results.py",
)


@dataclass(frozen=True, eq=False)
class FoldScores:
    """The scores of every method on the same images.

    Attributes:
        scores: By method, the arrays of ``score`` and, where there are mosaics, ``grid_pointing`` of each.
        images: Number of scored images.
        mosaics: Number of mosaics.
        full_size: Whether mosaics are of images at full size, otherwise at half of it.
        correct: Share of the images that are predicted as asked for, None where no true class is known.
        mask_share: Mean share of an image that its mask covers, in [0, 1].
        described: How each method was made, by name; for a row of a method at its best what was chosen.
    """

    scores: dict[str, Scores]
    images: int
    mosaics: int
    full_size: bool
    correct: float | None
    mask_share: float
    described: dict[str, str]

    def participants(self, methods: Sequence[Method]) -> list[Method]:
        """The methods that were scored."""
        return [method for method in methods if method.name in self.scores]


def score_methods(
    interpretation: Interpretation,
    truth: GroundTruth,
    methods: Sequence[Method],
    folder: Path,
    *,
    mosaics: int,
    seed: int = 0,
    batch_size: int = 32,
    progress: StageProgress | None = None,
) -> FoldScores:
    """Scores every method that has no scores by this code, of this model and of these images in a folder.

    A built-in method that cannot be used on the network is left out with a warning.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        truth: The scored images.
        methods: The methods.
        folder: Where the scores of each method are kept.
        mosaics: Number of mosaics, 0 for none.
        seed: Seed of the mosaics.
        batch_size: Images per pass.
        progress: Called with (name of a method or of its mosaics, done, total).

    Returns:
        The scores of all methods that can be used on the network.

    Raises:
        UsageError: ``mosaics`` is negative, or a method that is needed cannot be used on the network.
        ModelError: A method fails or gives no maps; the message says which one.
    """
    if mosaics < 0:
        raise UsageError(f"mosaics is {mosaics}, but it must be 0 or more")
    folder.mkdir(parents=True, exist_ok=True)
    full_size = takes_larger(truth.classifier)
    drawn = draw_mosaics(truth, mosaics, seed, full_size)
    origin = origin_of(interpretation, truth)
    scores, described = {}, {}
    for method, explainer in bind_methods(interpretation, methods).items():
        name = method.name
        made = method.key or repr(explainer)
        described[name] = method.chosen or made
        key, path = f"{origin} {made}", folder / f"{name}.safetensors"
        compute = partial(score, explainer, truth, batch_size=batch_size, progress=stage(progress, name))
        with errors_of(method):
            scores[name] = cached_scores(path, key, compute)
            scores[name] |= cached_mosaic_scores(
                path, key, explainer, truth, drawn, full_size, batch_size, stage(progress, "its mosaics")
            )
    return FoldScores(
        scores=scores,
        images=len(truth),
        mosaics=len(drawn),
        full_size=full_size,
        correct=float(truth.correct.mean()) if truth.labelled else None,
        mask_share=float(truth.masks.float().mean()),
        described=described,
    )


def origin_of(interpretation: Interpretation, truth: GroundTruth) -> str:
    """What the scores of any method depend on: the code, the features and their model, and the images."""
    return f"{code_of_scores()} {interpretation.fingerprint()} {truth.fingerprint()}"


def code_of_scores() -> str:
    """The hash of all code but that which only reads scores: another state of that does not make them again."""
    return provenance.code_sha256(_READERS)


def bind_methods(interpretation: Interpretation, methods: Sequence[Method]) -> dict[Method, Explainer]:
    """Makes every method for the model of an interpretation.

    A built-in method that cannot be used on the network is left out with a warning, unless it is needed.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        methods: The methods.

    Raises:
        UsageError: A method that is needed cannot be used on the network.
    """
    explainers = {}
    for method in methods:
        try:
            with errors_of(method):
                explainers[method] = method.make(interpretation)
        except UsageError as error:
            if method.needed:
                raise
            warnings.warn(f"{method.name} is left out: {error}", VebiWarning, stacklevel=2)
    return explainers


@contextmanager
def errors_of(method: Method) -> Iterator[None]:
    """Names the method in errors inside; any error of a user's method becomes a ModelError."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{method.name}: {error}") from error
    except (VebiError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a method can raise what is no Exception, as SystemExit
        if not method.key:
            raise
        raise ModelError(f"{method.name} stopped with {type(error).__name__}: {error}") from error


def cached_mosaic_scores(
    path: Path,
    key: str,
    explainer: Explainer,
    truth: GroundTruth,
    drawn: Sequence[Mosaic],
    full_size: bool,
    batch_size: int,
    progress: Progress | None = None,
) -> Scores:
    """Grid pointing per mosaic, kept in a file of its own beside the other scores of a method; none without mosaics.

    Args:
        path: The file of the other scores.
        key: All that these depend on.
        explainer: The method.
        truth: The scored images.
        drawn: The mosaics.
        full_size: Whether their images keep their size.
        batch_size: Images per pass.
        progress: Called with (mosaics done, mosaics).
    """

    def compute() -> Scores:
        scores = mosaic_scores(explainer, truth, drawn, full_size, batch_size=batch_size, progress=progress)
        return {GRID_POINTING: scores}

    place = path.with_name(f"{path.stem}.mosaics.safetensors")
    return cached_scores(place, f"{key} {drawn} {full_size}", compute) if drawn else {}


def cached_scores(path: Path, key: str, compute: Callable[[], Scores]) -> Scores:
    """The scores in a file; computed anew where it does not exist, is damaged or has another key.

    Args:
        path: The file; its folder exists.
        key: All that the scores depend on.
        compute: Computes them.
    """
    stored = read_stored(path, key)
    if stored is not None:
        return stored[0]
    scores = compute()
    store(path, key, scores)
    return scores


def store(path: Path, key: str, scores: Scores, facts: Mapping[str, object] | None = None) -> None:
    """Writes scores, and what else is known of them as JSON takes it, under a key."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    more = {} if facts is None else {"facts": json.dumps(facts)}
    write_arrays(path, scores, {"key": json.dumps(digest), **more})


def read_stored(path: Path, key: str) -> tuple[Scores, dict[str, Any]] | None:
    """The scores in a file and what else is known of them; None where it is missing, damaged or of another key."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    with suppress(OSError, KeyError, ValueError, TypeError):
        scores, metadata = read_arrays(path)
        if parse_json(metadata["key"]) == digest:
            return scores, parse_json(metadata.get("facts", "{}"))
    return None
