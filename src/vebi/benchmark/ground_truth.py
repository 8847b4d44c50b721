"""The pictures that are scored: which class each belongs to, and the pixels that make it."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vebi.data.collections import UNKNOWN, Images, Subset, evenly
from vebi.data.loader import batches, report_skipped
from vebi.datasets.masks import Mask, cut_mask
from vebi.errors import InputError, UsageError, VebiWarning
from vebi.models.classifier import Classifier, evaluating
from vebi.progress import Progress


@dataclass(frozen=True)
class Truth:
    """Pictures with masks: ``targets`` are the classes asked for, the true ones where they are known, else the
    predicted ones; ``right`` says which are predicted as asked for; ``masks`` n x h x w at the network's resolution,
    all held in memory. ``labelled``: whether any true class is known."""

    classifier: Classifier = field(repr=False)
    pictures: Images = field(repr=False)
    targets: Int[np.ndarray, " n"] = field(repr=False)
    right: Bool[np.ndarray, " n"] = field(repr=False)
    masks: Bool[Tensor, "n h w"] = field(repr=False)
    labelled: bool = True

    def __len__(self) -> int:
        return len(self.targets)

    def batches(self, batch_size: int) -> Iterator[tuple[slice, Float[Tensor, "b c h w"], Int[Tensor, " b"]]]:
        """Where a batch is among the pictures, its inputs and its targets on the model's device."""
        place, device = 0, self.classifier.device
        prepare = self.classifier.preprocess.prepare
        for batch in batches(self.pictures, range(len(self)), prepare, batch_size, strict=True):
            here = slice(place, place := place + len(batch.indices))
            yield here, batch.inputs.to(device), torch.from_numpy(self.targets[here]).to(device)

    def inputs(self, indices: Sequence[int]) -> Float[Tensor, "b c h w"]:
        """The inputs of a few pictures on the model's device."""
        prepare = self.classifier.preprocess.prepare
        loaded = [prepare(self.pictures.load(i)[0], self.pictures.ids[i]) for i in indices]
        return torch.stack(loaded).to(self.classifier.device)

    def some(self, indices: Sequence[int]) -> "Truth":
        """The same of some of the pictures."""
        places = list(indices)
        return replace(
            self,
            pictures=Subset(self.pictures, places),
            targets=self.targets[places],
            right=self.right[places],
            masks=self.masks[places],
        )

    def fingerprint(self) -> str:
        """A hash of model, pictures, classes asked for and masks."""
        digest = hashlib.sha256(f"{self.classifier.hash()} {self.pictures.fingerprint()}".encode())
        digest.update(self.targets.tobytes() + np.packbits(self.masks.numpy()).tobytes())
        return digest.hexdigest()


def find_truth(
    classifier: Classifier,
    images: Images,
    masks: Callable[[int], Mask],
    per_class: int,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Truth:
    """Up to ``per_class`` pictures of every true class, spread evenly over those that there are.

    Pictures that cannot be decoded, and masks in which nothing is to be seen, are left out with a warning. Raises
    InputError where none is left, UsageError for ``per_class`` below 1.
    """
    if per_class < 1:
        raise UsageError(f"per_class is {per_class}, but at least one picture of a class is needed")
    indices = _spread(images, per_class)
    kept: list[tuple[int, int, int]] = []
    truth, skipped, empty, done = [], [], 0, 0
    with evaluating(classifier.module), torch.no_grad():
        for batch in batches(images, indices, classifier.preprocess.prepare, batch_size):
            skipped += batch.skipped
            done += len(batch.indices) + len(batch.skipped)
            if batch.indices:
                predicted = classifier.scores(batch.inputs.to(classifier.device)).argmax(dim=1).tolist()
                for index, label, guess in zip(batch.indices, batch.labels, predicted, strict=True):
                    mask = cut_mask(classifier.preprocess, masks(index))
                    if not mask.any():
                        empty += 1
                        continue
                    kept.append((index, label, guess))
                    truth.append(mask)
            if progress:
                progress(done, len(indices))
    report_skipped(skipped, len(indices))
    if empty:
        warnings.warn(
            f"{empty} of {len(indices)} masks are empty, their pictures are left out", VebiWarning, stacklevel=2
        )
    if not kept:
        reason = f"first: {skipped[0][1]}" if skipped else "all masks are empty"
        raise InputError(f"none of {len(indices)} pictures can be scored ({reason}): give pictures with masks")
    chosen, labels, guesses = map(np.array, zip(*kept, strict=True))
    targets = np.where(labels == UNKNOWN, guesses, labels)
    pictures, found = Subset(images, chosen.tolist()), torch.from_numpy(np.stack(truth))
    return Truth(classifier, pictures, targets, guesses == targets, found, bool((labels != UNKNOWN).any()))


def _spread(images: Images, per_class: int) -> list[int]:
    """Up to so many pictures of every label, in the order of the collection; of those without one as many as of all
    classes together."""
    members: dict[int, list[int]] = {}
    for index, label in enumerate(_labels(images)):
        members.setdefault(label, []).append(index)
    most = {label: per_class * (max(1, len(images.class_names)) if label == UNKNOWN else 1) for label in members}
    return sorted(index for label, some in members.items() for index in evenly(some, most[label]))


def _labels(images: Images) -> Sequence[int]:
    """The class of every picture without loading it. Only files have masks, and these know their classes."""
    if isinstance(images, Subset):
        inner = _labels(images.images)
        return [inner[index] for index in images.indices]
    return images.labels
