"""Squares with masks, a toy model that was interpreted on them, and a benchmark on tiny flowers."""

import pytest

from vebi.activations.descriptors import Descriptor
from vebi.benchmark.ground_truth import find_ground_truth
from vebi.data.sources import open_images
from vebi.datasets.masks import find_masks
from vebi.interpretation.fit import interpret
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


@pytest.fixture(scope="session")
def interpreted(toy_module, squares):
    toy = Classifier(toy_module, Preprocess(32, toy_module.mean, toy_module.std), toy_module.class_names)
    return interpret(toy, squares, mu=1.0, descriptor=Descriptor.paper())


@pytest.fixture(scope="session")
def truth(interpreted, squares, masks):
    """Four images of each of the three classes."""
    images = open_images(squares, interpreted.class_names)
    return find_ground_truth(interpreted.classifier, images, find_masks(images, masks), 4)
