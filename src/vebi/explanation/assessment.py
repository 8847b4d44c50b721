"""A look at how a model does on pictures: how often it is right, typical examples, striking mistakes, scores."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from vebi.data.collections import UNKNOWN, Images, Subset, evenly
from vebi.data.loader import batches
from vebi.datasets.masks import Mask, cut_mask
from vebi.errors import ImageError, InputError
from vebi.explanation.explain import explanations
from vebi.explanation.result import Explanation
from vebi.interpretation.result import Interpretation
from vebi.metrics.iou import auc_iou
from vebi.models.classifier import Classifier, evaluating
from vebi.progress import StageProgress, of_stage

LOOKED_AT = 5000
SCORED = 240
TYPICAL, MISTAKES, CONFUSIONS = 12, 8, 6
WHOLE = "whole-picture"  # for comparison: a map that marks every pixel alike
#: What is scored where there are masks: name -> stride fix.
METHODS = {"vebi": "centred", "vebi-without-stride-fix": None}


@dataclass(frozen=True)
class Example:
    """An explanation and the true class, None where nobody knows it; of a mistake also what spoke for the truth."""

    explanation: Explanation
    truth: str | None
    for_truth: Explanation | None = None


@dataclass(frozen=True)
class Survey:
    """How a model does on ``looked_at`` of ``total`` pictures, spread evenly.

    ``right`` and ``labelled`` count pictures by true class. ``typical`` are right ones (or of unknown class), one for
    each of up to ``TYPICAL`` classes, the middle one in confidence; ``mistakes`` the most confident ones, no confusion
    of the same two classes twice; ``confusions`` counts the most frequent ones as (truth, prediction, count).
    ``scores`` by method, and of marking the whole picture: the mean area under the IoU curve over ``scored`` pictures
    with masks, in percent.
    """

    looked_at: int
    total: int
    right: dict[str, int]
    labelled: dict[str, int]
    typical: tuple[Example, ...] = field(repr=False)
    mistakes: tuple[Example, ...] = field(repr=False)
    confusions: tuple[tuple[str, str, int], ...]
    scores: dict[str, float]
    scored: int

    @property
    def accuracy(self) -> float | None:
        """The share of the labelled pictures that the model is right on, None where there are none."""
        labelled = sum(self.labelled.values())
        return sum(self.right.values()) / labelled if labelled else None

    def in_words(self) -> dict[str, Any]:
        """The survey without its pictures."""
        return {
            "looked_at": self.looked_at,
            "total": self.total,
            "accuracy": self.accuracy,
            "right": self.right,
            "labelled": self.labelled,
            "confusions": self.confusions,
            "auc_iou": self.scores,
            "scored": self.scored,
        }


def survey(
    interpretation: Interpretation,
    images: Images,
    masks: Callable[[int], Mask] | None = None,
    *,
    batch_size: int = 32,
    progress: StageProgress | None = None,
) -> Survey:
    """Predicts up to ``LOOKED_AT`` pictures, explains the examples among them, and scores up to ``SCORED`` of them with
    ``masks`` (index -> mask). Raises ImageError where no picture can be decoded."""
    classifier, classes = interpretation.require_classifier(), interpretation.classes
    known = _predict(
        classifier, images, evenly(range(len(images)), LOOKED_AT), batch_size, of_stage(progress, "predictions")
    )
    rows = [*_typical(known), *_mistakes(known)]
    chosen = Subset(images, known.indices[rows].tolist())
    truths = [None if label == UNKNOWN else classes[label] for label in known.labels[rows]]
    found = explanations(interpretation, chosen, batch_size=batch_size, progress=of_stage(progress, "examples"))
    examples = [
        Example(e, truth, _for_truth(interpretation, Subset(chosen, [k]), e, truth))
        for k, (e, truth) in enumerate(zip(found, truths, strict=True))
    ]
    truth = _masks(classifier, masks, evenly(known.indices.tolist(), SCORED)) if masks else {}
    return Survey(
        looked_at=len(known.indices),
        total=len(images),
        right={name: int((known.right & (known.labels == c)).sum()) for c, name in enumerate(classes)},
        labelled={name: int((known.labels == c).sum()) for c, name in enumerate(classes)},
        typical=tuple(e for e in examples if e.for_truth is None),
        mistakes=tuple(e for e in examples if e.for_truth is not None),
        confusions=_confusions(known, classes),
        scores=_score(interpretation, images, truth, batch_size, progress) if truth else {},
        scored=len(truth),
    )


@dataclass(frozen=True)
class _Known:
    """What the model says of the pictures that could be decoded; all arrays have one entry a picture."""

    indices: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray

    @property
    def right(self) -> np.ndarray:
        return self.labels == self.predictions

    @property
    def wrong(self) -> np.ndarray:
        return ~self.right & (self.labels != UNKNOWN)


def _predict(classifier: Classifier, images: Images, indices: list[int], batch_size: int, progress) -> _Known:
    rows: list[tuple[int, int, int, float]] = []
    done, skipped = 0, []
    with evaluating(classifier.module), torch.no_grad():
        for batch in batches(images, indices, classifier.preprocess.prepare, batch_size):
            if batch.indices:
                likely = classifier.scores(batch.inputs.to(classifier.device)).softmax(dim=1).max(dim=1)
                rows += zip(batch.indices, batch.labels, likely.indices.tolist(), likely.values.tolist(), strict=True)
            skipped += batch.skipped
            done += len(batch.indices) + len(batch.skipped)
            if progress:
                progress(done, len(indices))
    if not rows:
        raise ImageError(f"none of the {len(skipped)} pictures could be decoded, first: {skipped[0][1]}")
    return _Known(*map(np.array, zip(*rows, strict=True)))


def _typical(known: _Known) -> list[int]:
    """For each of some predicted classes the row of the picture in the middle of its right ones by probability."""
    fine = ~known.wrong
    rows = []
    for c in evenly(np.unique(known.predictions[fine]).tolist(), TYPICAL):
        members = np.flatnonzero(fine & (known.predictions == c))
        order = members[np.argsort(-known.probabilities[members], kind="stable")]
        rows.append(int(order[len(order) // 2]))
    return rows


def _mistakes(known: _Known) -> list[int]:
    """The rows of the most confident mistakes, no pair of true and predicted class twice."""
    wrong = np.flatnonzero(known.wrong)
    rows: dict[tuple[int, int], int] = {}
    for row in wrong[np.argsort(-known.probabilities[wrong], kind="stable")]:
        rows.setdefault((int(known.labels[row]), int(known.predictions[row])), int(row))
    return list(rows.values())[:MISTAKES]


def _for_truth(
    interpretation: Interpretation, picture: Subset, explanation: Explanation, truth: str | None
) -> Explanation | None:
    """What spoke for the true class where another one was predicted."""
    if truth in (None, explanation.prediction):
        return None
    return next(explanations(interpretation, picture, target=truth))


def _confusions(known: _Known, classes: Sequence[str]) -> tuple[tuple[str, str, int], ...]:
    counts = Counter(zip(known.labels[known.wrong].tolist(), known.predictions[known.wrong].tolist(), strict=True))
    return tuple((classes[t], classes[p], n) for (t, p), n in counts.most_common(CONFUSIONS))


def _masks(classifier: Classifier, masks: Callable[[int], Mask], indices: list[int]) -> dict[int, Mask]:
    """The masks of those pictures in which the object is to be seen."""
    found = {index: cut_mask(classifier.preprocess, masks(index)) for index in indices}
    found = {index: mask for index, mask in found.items() if mask.any()}
    if not found:
        raise InputError(f"all {len(indices)} masks are empty: give masks in which the object is not black")
    return found


def _score(interpretation: Interpretation, images: Images, truth: dict[int, Mask], batch_size: int, progress) -> dict:
    """Mean area under the IoU curve of the combined maps, in percent, by method."""
    masks = torch.from_numpy(np.stack(list(truth.values())))
    some = Subset(images, list(truth))
    scores = {}
    for method, fix in METHODS.items():
        told = of_stage(progress, f"score {method}"[:14])
        found = explanations(interpretation, some, stride_fix=fix, batch_size=batch_size, progress=told)
        maps = torch.from_numpy(np.stack([explanation.combined() for explanation in found]))
        scores[method] = 100 * float(auc_iou(maps, masks).mean())
    return scores | {WHOLE: 100 * float(auc_iou(torch.ones_like(maps), masks).mean())}
