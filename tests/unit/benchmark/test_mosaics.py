from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from vebi.benchmark.ground_truth import GroundTruth
from vebi.benchmark.mosaics import draw_mosaics, mosaic_scores, takes_larger
from vebi.data.collections import DatasetImages
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess


@pytest.fixture
def four():
    """Two images of each of four classes; every image is one constant, its number."""
    items = [(torch.full((3, 6, 6), float(n)), n // 2) for n in range(8)]
    classifier = Classifier(
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)), Preprocess(6, (0.5,) * 3, (0.5,) * 3)
    )
    targets = np.arange(8) // 2
    return GroundTruth(
        classifier,
        DatasetImages(items, tuple("abcd")),
        targets,
        np.ones(8, bool),
        torch.ones(8, 6, 6, dtype=torch.bool),
    )


def test_every_mosaic_has_four_classes_and_images_take_turns(four):
    drawn = draw_mosaics(four, 10, seed=0)
    assert len(drawn) == 10
    assert all(sorted(four.targets[list(mosaic)]) == [0, 1, 2, 3] for mosaic in drawn)
    assert Counter(row for mosaic in drawn for row in mosaic) == dict.fromkeys(range(8), 5)
    assert drawn == draw_mosaics(four, 10, seed=0) != draw_mosaics(four, 10, seed=1)
    assert len({tuple(four.targets[list(mosaic)]) for mosaic in drawn}) > 3  # classes take turns in the cells


def test_only_images_that_are_predicted_right_are_drawn(four):
    right = four.correct.copy()
    right[3] = False
    drawn = draw_mosaics(replace(four, correct=right), 6, seed=0)
    assert 3 not in {row for mosaic in drawn for row in mosaic}
    right[2] = False
    assert draw_mosaics(replace(four, correct=right), 6, seed=0) == []


def test_a_map_that_knows_the_cell_scores_one_and_one_that_does_not_a_quarter(four):
    drawn = draw_mosaics(four, 7, seed=0)

    def knows(images, targets):
        """Marks the pixels whose value belongs to the class asked for."""
        return (images[:, 0].round().long() // 2 == targets[:, None, None]).float()

    def blind(images, targets):
        return torch.ones(len(images), *images.shape[2:])

    def inverted(images, targets):
        return 1 - knows(images, targets)

    for batch_size in (1, 4, 64):
        assert mosaic_scores(knows, four, drawn, True, batch_size=batch_size).tolist() == [1.0] * 7
    np.testing.assert_allclose(mosaic_scores(blind, four, drawn, True), 0.25)
    assert mosaic_scores(inverted, four, drawn, True).tolist() == [0.0] * 7
    # signed maps: what speaks against does not count
    assert mosaic_scores(lambda x, t: knows(x, t) - 5 * inverted(x, t), four, drawn, True).tolist() == [1.0] * 7


def test_mosaics_are_twice_as_large_or_scaled_down(four):
    seen = []

    def watch(images, targets):
        seen.append(tuple(images.shape))
        return torch.ones(len(images), *images.shape[2:])

    drawn = draw_mosaics(four, 2, seed=0)
    mosaic_scores(watch, four, drawn, True, batch_size=64)
    mosaic_scores(watch, four, drawn, False, batch_size=64)
    assert seen == [(8, 3, 12, 12), (8, 3, 6, 6)]


def test_images_of_odd_size_cannot_be_halved(four):
    odd = replace(four, masks=torch.ones(8, 7, 7, dtype=torch.bool))
    assert draw_mosaics(odd, 3, seed=0, full_size=False) == []
    assert len(draw_mosaics(odd, 3, seed=0, full_size=True)) == 3


def test_a_network_that_takes_one_size_only_is_known(four, toy):
    assert takes_larger(four.classifier)
    assert takes_larger(toy)
    fixed = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(108, 4)), four.classifier.preprocess)
    assert not takes_larger(fixed)
