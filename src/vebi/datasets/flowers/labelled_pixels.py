"""Images of a data set in memory, with their labels, as training needs them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vebi.data.collections import ImageCollection
from vebi.data.loader import batches, report_skipped
from vebi.errors import InputError
from vebi.models.preprocess import Preprocess


@dataclass(frozen=True, eq=False)
class LabelledPixels:
    """Images in memory: ``pixels`` N x H x W x 3 uint8, a quarter of what float inputs need, and N ``labels``."""

    pixels: Tensor
    labels: Tensor
    preprocess: Preprocess

    def inputs(self, indices: Tensor | slice) -> Tensor:
        """The network's inputs of some images, N x 3 x H x W; channels last in memory, which is fast."""
        return self._normalise(self.pixels[indices])

    def varied_inputs(self, indices: Tensor, rng: np.random.Generator) -> Tensor:
        """The same of images that are mirrored half of the time and shifted by up to 1/14 of their sides.

        What a shift leaves open shows the image mirrored at its border.
        """
        count, sides = len(indices), self.pixels.shape[1:3]
        rows, columns = (
            _shifted(side, torch.from_numpy(rng.integers(-(side // 14), side // 14 + 1, count))) for side in sides
        )
        mirrored = torch.from_numpy(rng.random(count) < 0.5)
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        return self._normalise(self.pixels[indices[:, None, None], rows[:, :, None], columns[:, None, :]])

    def _normalise(self, pixels: Tensor) -> Tensor:
        mean, std = torch.tensor(self.preprocess.mean), torch.tensor(self.preprocess.std)
        return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def load_pixels(images: ImageCollection, indices: Sequence[int], preprocess: Preprocess) -> LabelledPixels:
    """Images in memory. Warns of those that cannot be decoded; InputError where none can."""

    def to_pixels(image: Image.Image | Tensor, _: str) -> Tensor:
        assert isinstance(image, Image.Image)  # it comes from a file
        return torch.from_numpy(preprocess.pixels(image))

    pixels, labels, skipped = [], [], []
    for batch in batches(images, indices, to_pixels, 256):
        pixels.append(batch.inputs)
        labels += batch.labels
        skipped += batch.skipped
    report_skipped(skipped, len(indices))
    if not labels:
        raise InputError("no image could be decoded: check the data")
    return LabelledPixels(torch.cat([p for p in pixels if p.numel()]), torch.tensor(labels), preprocess)


def _shifted(side: int, shifts: Tensor) -> Tensor:
    """Where each of ``side`` pixels comes from under each of N shifts, N x side, mirrored at both ends."""
    positions = (torch.arange(side) + shifts[:, None]).abs()
    return (side - 1) - ((side - 1) - positions).abs()


def permute_labels(pixels: LabelledPixels, seed: int) -> LabelledPixels:
    """The same images, each with the label of another one drawn at random."""
    order = np.random.default_rng([seed, len(pixels.labels)]).permutation(len(pixels.labels))
    return replace(pixels, labels=pixels.labels[torch.from_numpy(order)])
