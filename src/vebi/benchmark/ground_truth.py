"""The images that are scored: their target classes and the pixels that make these."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vebi.data.collections import UNLABELLED, ImageCollection, ImageFiles, Subset, evenly_spaced
from vebi.data.loader import Batch, batches, report_skipped
from vebi.datasets.masks import Mask, crop_mask, find_masks, report_empty
from vebi.errors import InputError, UsageError
from vebi.models.classifier import Classifier
from vebi.progress import Progress


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Images with masks, all masks in memory.

    Attributes:
        classifier: The model that is asked.
        images: The scored images.
        targets: The class that each image is asked for: the true one where it is known, otherwise the predicted one.
        correct: Whether the target is the predicted class.
        masks: The pixels that make the class, at the resolution of the network's input.
        labelled: Whether any true class is known.
    """

    classifier: Classifier = field(repr=False)
    images: ImageCollection = field(repr=False)
    targets: Int[np.ndarray, " n"] = field(repr=False)
    correct: Bool[np.ndarray, " n"] = field(repr=False)
    masks: Bool[Tensor, "n h w"] = field(repr=False)
    labelled: bool = True

    def __len__(self) -> int:
        return len(self.targets)

    def batches(self, batch_size: int) -> Iterator[tuple[slice, Float[Tensor, "b c h w"], Int[Tensor, " b"]]]:
        """The images in batches.

        Args:
            batch_size: Images per batch.

        Yields:
            The positions of a batch among the images, its inputs and its targets on the model's device.
        """
        start, device = 0, self.classifier.device
        prepare = self.classifier.preprocess.prepare
        for batch in batches(self.images, range(len(self)), prepare, batch_size, strict=True):
            rows = slice(start, start := start + len(batch.indices))
            yield rows, batch.inputs.to(device), torch.from_numpy(self.targets[rows]).to(device)

    def inputs(self, indices: Sequence[int]) -> Float[Tensor, "b c h w"]:
        """The inputs of a few images on the model's device."""
        prepare = self.classifier.preprocess.prepare
        loaded = [prepare(self.images.load(i)[0], self.images.ids[i]) for i in indices]
        return torch.stack(loaded).to(self.classifier.device)

    def subset(self, indices: Sequence[int]) -> "GroundTruth":
        """The ground truth of the images at the given positions."""
        rows = list(indices)
        return replace(
            self,
            images=Subset(self.images, rows),
            targets=self.targets[rows],
            correct=self.correct[rows],
            masks=self.masks[rows],
        )

    def thin(self, per_class: int) -> "GroundTruth":
        """At most so many images per class, spread over those of the class, from another one on in each class.

        Images of a class often come in an order, such as that of the frames of a flower: few of each class, were they
        at the same places, would all be of one kind.
        """
        return self.subset(self.thin_rows(per_class))

    def thin_rows(self, per_class: int) -> list[int]:
        """The positions of the images of ``thin``."""
        members = [np.flatnonzero(self.targets == c) for c in np.unique(self.targets)]
        chosen = []
        for k, rows in enumerate(members):
            most = min(per_class, len(rows))
            steps = np.arange(most) + (k + 0.5) / len(members)
            chosen += rows[(steps * len(rows) / max(most, 1)).astype(int)].tolist()
        return sorted(chosen)

    def fingerprint(self) -> str:
        """A hash of model, images, targets and masks."""
        digest = hashlib.sha256(f"{self.classifier.sha256()} {self.images.fingerprint()}".encode())
        digest.update(self.targets.tobytes() + np.packbits(self.masks.numpy()).tobytes())
        return digest.hexdigest()


def find_ground_truth(
    classifier: Classifier,
    images: ImageCollection,
    masks: Callable[[int], Mask],
    per_class: int,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> GroundTruth:
    """Selects the images to score, and reads their masks.

    Images that cannot be decoded and masks that are empty where the network sees them are left out with a warning.

    Args:
        classifier: The model that is asked.
        images: All images, in files.
        masks: From the index of an image to its mask, see ``find_masks``.
        per_class: Images per true class at most, spread evenly over those that there are; at least 1.
        batch_size: Images per forward pass.
        progress: Called with (images done, images).

    Returns:
        The images with targets and masks.

    Raises:
        InputError: No image can be scored.
        UsageError: ``per_class`` is below 1.
    """
    if per_class < 1:
        raise UsageError(f"per_class is {per_class}, but at least one image per class is needed")
    indices = select_per_class(images, per_class)
    scored, done = _Scored(masks), 0
    skipped: list[tuple[str, str]] = []
    with classifier.evaluation(), torch.no_grad():
        for batch in batches(images, indices, classifier.preprocess.prepare, batch_size):
            skipped += batch.skipped
            scored.add(classifier, batch)
            done += len(batch.indices) + len(batch.skipped)
            if progress:
                progress(done, len(indices))
    report_skipped(skipped, len(indices))
    report_empty([images.ids[index] for index in scored.empty], len(indices))
    if not scored.indices:
        reason = f"first: {skipped[0][1]}" if skipped else "all masks are empty"
        raise InputError(f"none of {len(indices)} images can be scored ({reason}): give images with masks")
    return scored.ground_truth(classifier, images)


def find_flower_truth(
    classifier: Classifier,
    flowers: ImageCollection,
    per_class: int,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> GroundTruth:
    """The same for rendered flowers, whose masks lie beside them; see ``find_ground_truth``."""
    masks = find_masks(flowers)
    assert masks is not None, "flowers have masks"
    return find_ground_truth(classifier, flowers, masks, per_class, batch_size=batch_size, progress=progress)


def find_predicted(classifier: Classifier, images: ImageCollection, count: int, *, batch_size: int = 32) -> GroundTruth:
    """Selects images without masks; their targets are the predicted classes, and their masks are the whole images.

    Images that cannot be decoded are left out with a warning.

    Args:
        classifier: The model that is asked.
        images: All images, in files and without labels.
        count: Images at most, spread evenly.
        batch_size: Images per forward pass.

    Raises:
        InputError: None of the images can be decoded.
    """
    return find_ground_truth(classifier, images, lambda _: np.ones((1, 1), bool), count, batch_size=batch_size)


class _Scored:
    """The images with a mask that is not empty, collected batch by batch."""

    def __init__(self, masks: Callable[[int], Mask]):
        self.masks = masks
        self.indices: list[int] = []
        self.labels: list[int] = []
        self.predictions: list[int] = []
        self.cropped: list[Mask] = []
        self.empty: list[int] = []

    def add(self, classifier: Classifier, batch: Batch) -> None:
        if not batch.indices:
            return
        predictions = classifier.logits(batch.inputs.to(classifier.device)).argmax(dim=1).tolist()
        for index, label, prediction in zip(batch.indices, batch.labels, predictions, strict=True):
            mask = crop_mask(classifier.preprocess, self.masks(index))
            if not mask.any():
                self.empty.append(index)
                continue
            self.indices.append(index)
            self.labels.append(label)
            self.predictions.append(prediction)
            self.cropped.append(mask)

    def ground_truth(self, classifier: Classifier, images: ImageCollection) -> GroundTruth:
        labels, predictions = np.array(self.labels), np.array(self.predictions)
        targets = np.where(labels == UNLABELLED, predictions, labels)
        return GroundTruth(
            classifier=classifier,
            images=Subset(images, self.indices),
            targets=targets,
            correct=predictions == targets,
            masks=torch.from_numpy(np.stack(self.cropped)),
            labelled=bool((labels != UNLABELLED).any()),
        )


def select_per_class(images: ImageCollection, per_class: int) -> list[int]:
    """At most so many images of every label, spread evenly over those that there are.

    Args:
        images: Images in files.
        per_class: Images per label at most; of images without one as many as of all classes together.

    Returns:
        Their indices, in the order of the collection.
    """
    members: dict[int, list[int]] = {}
    for index, label in enumerate(_labels(images)):
        members.setdefault(label, []).append(index)
    most = {label: per_class * (max(1, len(images.class_names)) if label == UNLABELLED else 1) for label in members}
    return sorted(index for label, rows in members.items() for index in evenly_spaced(rows, most[label]))


def _labels(images: ImageCollection) -> Sequence[int]:
    """The class of every image without loading it."""
    if isinstance(images, Subset):
        labels = _labels(images.images)
        return [labels[index] for index in images.indices]
    assert isinstance(images, ImageFiles), "only files have masks"
    return images.labels
