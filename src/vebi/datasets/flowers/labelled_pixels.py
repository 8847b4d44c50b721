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
        mean, std = torch.tensor(self.preprocess.mean), torch.tensor(self.preprocess.std)
        return ((self.pixels[indices].float() / 255 - mean) / std).permute(0, 3, 1, 2)


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


def permute_labels(pixels: LabelledPixels, seed: int) -> LabelledPixels:
    """The same images, each with the label of another one drawn at random."""
    order = np.random.default_rng([seed, len(pixels.labels)]).permutation(len(pixels.labels))
    return replace(pixels, labels=pixels.labels[torch.from_numpy(order)])
