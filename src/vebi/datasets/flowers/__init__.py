"""Flowers with known ground truth: a generator of data sets after the an8Flower protocol, rendered by vebi."""

from vebi.datasets.flowers.dataset import generate, load_dataset
from vebi.datasets.flowers.variants import carrier_mask

__all__ = ["carrier_mask", "generate", "load_dataset"]
