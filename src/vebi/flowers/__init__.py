"""Flowers with known ground truth: a generator of data sets after the an8Flower protocol, rendered by vebi."""

from .dataset import generate, load_dataset
from .variants import carrier_mask

__all__ = ["carrier_mask", "generate", "load_dataset"]
