"""What a model predicts for the images of a collection, and which of them are worth a look."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from vebi.data.collections import UNLABELLED, ImageCollection, evenly_spaced
from vebi.data.loader import batches, report_skipped
from vebi.errors import ImageError
from vebi.models.classifier import Classifier
from vebi.progress import Progress


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model predicts for the n images that could be decoded.

    Attributes:
        indices: Where each image is in its collection.
        labels: True class index of each, ``UNLABELLED`` where it is not known.
        predicted: Predicted class index of each.
        probabilities: Softmax probability of each prediction, in [0, 1].
    """

    indices: Int[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]
    predicted: Int[np.ndarray, " n"]
    probabilities: Float[np.ndarray, " n"]

    @property
    def correct(self) -> Bool[np.ndarray, " n"]:
        """Whether the true class is known and predicted."""
        return np.asarray(self.labels == self.predicted)

    @property
    def wrong(self) -> Bool[np.ndarray, " n"]:
        """Whether the true class is known and another one is predicted."""
        return np.asarray((self.labels != self.predicted) & (self.labels != UNLABELLED))


def predict(
    classifier: Classifier,
    images: ImageCollection,
    indices: Sequence[int],
    batch_size: int,
    strict: bool,
    progress: Progress | None,
) -> Predictions:
    """Predictions for the images at ``indices``; those that cannot be decoded are skipped with a warning.

    Raises ImageError where none of the images can be decoded, with ``strict`` already where one of them cannot.
    """
    rows: list[tuple[int, int, int, float]] = []
    skipped: list[tuple[str, str]] = []
    done = 0
    with classifier.evaluation(), torch.no_grad():
        for batch in batches(images, indices, classifier.preprocess.prepare, batch_size, strict=strict):
            if batch.indices:
                logits = classifier.logits(batch.inputs.to(classifier.device))
                top = classifier.probabilities(logits).max(dim=1)
                rows += zip(batch.indices, batch.labels, top.indices.tolist(), top.values.tolist(), strict=True)
            skipped += batch.skipped
            done += len(batch.indices) + len(batch.skipped)
            if progress:
                progress(done, len(indices))
    if not rows:
        raise ImageError(f"none of the {len(skipped)} images could be decoded, first: {skipped[0][1]}")
    report_skipped(skipped, len(indices))
    return Predictions(*map(np.array, zip(*rows, strict=True)))


def typical_rows(predictions: Predictions, most: int) -> list[int]:
    """One row for each of at most so many predicted classes: the middle one in probability of those not wrong."""
    not_wrong = ~predictions.wrong
    rows = []
    for class_index in evenly_spaced(np.unique(predictions.predicted[not_wrong]).tolist(), most):
        members = np.flatnonzero(not_wrong & (predictions.predicted == class_index))
        ranked = members[np.argsort(-predictions.probabilities[members], kind="stable")]
        rows.append(int(ranked[len(ranked) // 2]))
    return rows


def mistake_rows(predictions: Predictions, most: int) -> list[int]:
    """The rows of the wrong predictions of highest probability, no pair of true and predicted class twice."""
    wrong = np.flatnonzero(predictions.wrong)
    rows: dict[tuple[int, int], int] = {}
    for row in wrong[np.argsort(-predictions.probabilities[wrong], kind="stable")]:
        rows.setdefault((int(predictions.labels[row]), int(predictions.predicted[row])), int(row))
    return list(rows.values())[:most]


def confusions(predictions: Predictions, most: int) -> list[tuple[int, int, int]]:
    """The most frequent confusions as (true class index, predicted class index, number of images)."""
    wrong = predictions.wrong
    pairs = zip(predictions.labels[wrong].tolist(), predictions.predicted[wrong].tolist(), strict=True)
    return [(*pair, count) for pair, count in Counter(pairs).most_common(most)]
