"""How a model does on images: accuracy, typical examples, the most confident mistakes, scores against masks."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from vebi.data.collections import UNLABELLED, ImageCollection, Subset, evenly_spaced
from vebi.data.sources import open_images
from vebi.datasets.masks import Mask, as_mask, find_masks
from vebi.errors import check_progress, require_function
from vebi.explanation.explain import explain_each
from vebi.explanation.mask_scores import mask_scores, visible_masks
from vebi.explanation.predictions import Predictions, confusions, mistake_rows, predict, typical_rows
from vebi.explanation.result import Explanation
from vebi.interpretation.result import Interpretation, check_interpretation
from vebi.progress import StageProgress, stage

LOOKED_AT = 5000
SCORED = 240
TYPICAL, MISTAKES, CONFUSIONS = 12, 8, 6


@dataclass(frozen=True)
class Example:
    """An image that is shown, explained.

    Attributes:
        explanation: The explanation of the predicted class.
        truth: The true class, None where it is not known.
        true_class_explanation: Of a mistake, the explanation of the true class; None otherwise.

    Example:
        >>> example = vebi.assess(interpretation, "images").typical[0]
        >>> example.truth, example.explanation.prediction
        ('blue', 'blue')
    """

    explanation: Explanation
    truth: str | None
    true_class_explanation: Explanation | None = None


@dataclass(frozen=True)
class Assessment:
    """How a model does on images.

    Attributes:
        looked_at: Number of images that were predicted, spread evenly over all, without those that cannot be decoded.
        total: Number of images that were given.
        correct: Number of correct predictions, by true class.
        labelled: Number of images whose true class is known, by true class.
        typical: Images that are predicted correctly, or whose true class is not known: of each of up to 12 predicted
            classes the example of median probability.
        mistakes: Up to 8 of the most confident mistakes, no pair of true and predicted class twice.
        confusions: Up to 6 most frequent confusions as (true class, predicted class, number of images).
        scores: Mean area under the IoU curve, in percent, of the combined map of the predicted class. Keys: ``vebi``,
            ``vebi-paper-heatmaps`` and ``vebi-paper-heatmaps-without-stride-fix`` (of the same features), and for
            comparison ``whole-image``, a map that marks every pixel alike. Empty where there are no masks.
        scored: Number of images with masks that ``scores`` is the mean over.

    Example:
        >>> assessment = vebi.assess(interpretation, "images")
        >>> assessment.correct
        {'blue': 24, 'green': 24, 'red': 24}
        >>> len(assessment.typical), assessment.mistakes
        (3, ())
    """

    looked_at: int
    total: int
    correct: dict[str, int]
    labelled: dict[str, int]
    typical: tuple[Example, ...] = field(repr=False)
    mistakes: tuple[Example, ...] = field(repr=False)
    confusions: tuple[tuple[str, str, int], ...]
    scores: dict[str, float]
    scored: int

    @property
    def accuracy(self) -> float | None:
        """The share of the labelled images that are predicted correctly, in [0, 1]; None where there are none."""
        labelled = sum(self.labelled.values())
        return sum(self.correct.values()) / labelled if labelled else None

    def to_dict(self) -> dict[str, Any]:
        """The assessment without its examples, as JSON takes it.

        Returns:
            ``looked_at``, ``total``, ``accuracy``, ``correct``, ``labelled``, ``confusions``, ``auc_iou`` (the scores)
            and ``scored``.
        """
        return {
            "looked_at": self.looked_at,
            "total": self.total,
            "accuracy": self.accuracy,
            "correct": self.correct,
            "labelled": self.labelled,
            "confusions": self.confusions,
            "auc_iou": self.scores,
            "scored": self.scored,
        }


def assess(
    interpretation: Interpretation,
    images: Any,
    masks: str | os.PathLike[str] | Callable[[int], Any] | None = None,
    *,
    batch_size: int = 32,
    strict: bool = False,
    progress: StageProgress | None = None,
) -> Assessment:
    """Assesses a model on images: accuracy, typical examples, the most confident mistakes, scores against masks.

    Up to 5000 images are predicted, spread evenly over all; up to 240 of these are scored where there are masks. What
    is scored is the combined map of the predicted class; `vebi bench` explains the true class. `vebi report` writes the
    assessment as a page, see ``write_report``.

    Args:
        interpretation: What the model has learned, with the classifier attached.
        images: A folder, a list of paths, a data set, see ``open_images``.
        masks: A folder with MASKS/CLASS/NAME.png for IMAGES/CLASS/NAME.jpg, of the same size in pixels, in which any
            pixel that is not black is the object; or a function from the index of an image, in the order of
            ``open_images(images).ids``, to its mask, h x w at the resolution of the image, of booleans, or of 0 and 1.
            By default the masks of images that `vebi flowers` rendered, and none for others.
        batch_size: Images per forward pass, 1 or more.
        strict: Whether an image that cannot be decoded is an error, instead of skipped with a warning.
        progress: Called with (stage, images done, images).

    Returns:
        The counts, the explained examples and the scores.

    Raises:
        UsageError: The batch size is below 1, the interpretation has no classifier attached, ``images`` or ``masks`` is
            none of the above, or the function gives a mask of another size or of other values.
        InputError: There are no images, a mask is missing or damaged, or all masks are empty.
        ImageError: None of the images can be decoded, or, with ``strict``, one of them cannot.

    Reference:
        The area under the IoU curve is that of Oramas, Wang and Tuytelaars, ICLR 2019, section 4.3.

    Example:
        >>> assessment = vebi.assess(interpretation, "images")
        >>> assessment.accuracy
        1.0
        >>> assessment.typical[0].explanation.prediction
        'blue'
    """
    check_interpretation(interpretation)
    check_progress(progress)
    classifier, names = interpretation.require_classifier(), interpretation.class_names
    collection = open_images(images, names, interpretation.settings.class_ids)
    mask_of = _mask_function(collection, masks)
    looked_at = evenly_spaced(range(len(collection)), LOOKED_AT)
    predictions = predict(classifier, collection, looked_at, batch_size, strict, stage(progress, "predictions"))
    examples = _examples(interpretation, collection, predictions, batch_size, progress)
    truth: dict[int, Mask] = {}
    if mask_of is not None:
        scored = evenly_spaced(predictions.indices.tolist(), SCORED)
        truth = visible_masks(classifier.preprocess, collection, mask_of, scored)
    return Assessment(
        looked_at=len(predictions.indices),
        total=len(collection),
        correct=_count_per_class(predictions.labels[predictions.correct], names),
        labelled=_count_per_class(predictions.labels, names),
        typical=tuple(e for e in examples if e.true_class_explanation is None),
        mistakes=tuple(e for e in examples if e.true_class_explanation is not None),
        confusions=tuple((names[t], names[p], count) for t, p, count in confusions(predictions, CONFUSIONS)),
        scores=mask_scores(interpretation, collection, truth, batch_size, progress) if truth else {},
        scored=len(truth),
    )


def _mask_function(
    images: ImageCollection, masks: str | os.PathLike[str] | Callable[[int], Any] | None
) -> Callable[[int], Mask] | None:
    """Index of an image -> its mask; None where there are no masks."""
    if masks is None or isinstance(masks, str | os.PathLike):
        return find_masks(images, None if masks is None else Path(masks))
    require_function("masks", masks, "a folder, or a function from the index of an image to its mask, is needed")
    return lambda index: as_mask(masks(index), images, index)


def _examples(
    interpretation: Interpretation,
    images: ImageCollection,
    predictions: Predictions,
    batch_size: int,
    progress: StageProgress | None,
) -> list[Example]:
    """The typical images and the mistakes, explained."""
    rows = [*typical_rows(predictions, TYPICAL), *mistake_rows(predictions, MISTAKES)]
    shown = Subset(images, predictions.indices[rows].tolist())
    truths = [None if label == UNLABELLED else interpretation.class_names[label] for label in predictions.labels[rows]]
    explanations = explain_each(
        interpretation,
        shown,
        batch_size=batch_size,
        strict=True,  # all of them could be decoded before
        progress=stage(progress, "examples"),
    )
    return [
        Example(explanation, truth, _true_class_explanation(interpretation, Subset(shown, [k]), explanation, truth))
        for k, (explanation, truth) in enumerate(zip(explanations, truths, strict=True))
    ]


def _true_class_explanation(
    interpretation: Interpretation, image: Subset, explanation: Explanation, truth: str | None
) -> Explanation | None:
    """The explanation of the true class where another one was predicted."""
    if truth in (None, explanation.prediction):
        return None
    return next(explain_each(interpretation, image, target=truth, strict=True))


def _count_per_class(labels: Int[np.ndarray, " n"], names: Sequence[str]) -> dict[str, int]:
    """Name of a class -> how many of the labels are its index."""
    return {name: int((labels == index).sum()) for index, name in enumerate(names)}
