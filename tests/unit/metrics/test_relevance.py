"""Relevance mass and rank accuracy against values worked out by hand, a count over all orders, and Quantus."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vebi.metrics.relevance import relevance_mass, relevance_rank

MASK = [[1, 0], [1, 0]]


def score(metric, heat, mask=MASK):
    return metric(torch.tensor([heat]).float(), torch.tensor([mask]).bool()).item()


def test_mass_by_hand():
    assert score(relevance_mass, [[4, 3], [2, 1]]) == pytest.approx(6 / 10)
    assert score(relevance_mass, [[0, 3], [2, 0]]) == pytest.approx(2 / 5)
    assert score(relevance_mass, [[0.5, 0], [0, 0]]) == 1


def test_rank_by_hand():
    assert score(relevance_rank, [[4, 3], [2, 1]]) == 1 / 2
    assert score(relevance_rank, [[4, 1], [2, 3]]) == 1 / 2
    assert score(relevance_rank, [[4, 1], [3, 2]]) == 1
    assert score(relevance_rank, [[1, 4], [2, 3]]) == 0
    # one of two pixels is a hit, the other drawn from a hit and a miss
    assert score(relevance_rank, [[4, 2], [2, 1]]) == pytest.approx((1 + 1 / 2) / 2)
    # one of two pixels is a miss, the other drawn from a hit and two misses, or two hits and a miss
    assert score(relevance_rank, [[2, 4, 2], [2, 0, 0]], [[1, 0, 0], [0, 1, 0]]) == pytest.approx(1 / 3 / 2)
    assert score(relevance_rank, [[2, 4, 2], [2, 0, 0]], [[1, 0, 0], [1, 0, 0]]) == pytest.approx(2 / 3 / 2)


def test_special_maps():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0, :3] = True
    perfect, full = mask.float(), torch.ones(1, 4, 4, dtype=torch.bool)
    for metric in (relevance_mass, relevance_rank):
        assert metric(perfect, mask).item() == 1
        assert metric(1 - perfect, mask).item() == 0
        assert metric(torch.full((1, 4, 4), 0.7), mask).item() == pytest.approx(3 / 16)
        assert metric(torch.rand(1, 4, 4), full).item() == 1
    assert relevance_mass(torch.zeros(1, 4, 4), mask).item() == 0
    assert relevance_rank(torch.zeros(1, 4, 4), mask).item() == pytest.approx(3 / 16)


def test_mass_of_values_whose_sum_overflows():
    maps, mask = torch.full((1, 4, 4), 3e38), torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0] = True
    assert relevance_mass(maps, mask).item() == 1 / 4
    assert relevance_mass(torch.full((1, 4, 4), 1e-40), mask).item() == 1 / 4


@settings(max_examples=40, deadline=None)
@given(
    heat=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    mask=st.lists(st.booleans(), min_size=6, max_size=6).filter(any),
)
def test_rank_of_tied_pixels_is_the_mean_over_all_orders(heat, mask):
    scores = []
    for order in itertools.permutations(range(6)):
        highest = sorted(order, key=lambda i: -heat[i])[: sum(mask)]  # stable: tied ones stay in the order drawn
        scores.append(np.mean([mask[i] for i in highest]))
    assert score(relevance_rank, [heat], [mask]) == pytest.approx(np.mean(scores))


@pytest.mark.parametrize(
    ("metric", "name"), [(relevance_mass, "RelevanceMassAccuracy"), (relevance_rank, "RelevanceRankAccuracy")]
)
def test_against_quantus(metric, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn
        quantus = pytest.importorskip("quantus", reason="compared with quantus, which is optional")
        reference = getattr(quantus, name)(disable_warnings=True)
    rng = np.random.default_rng(0)
    maps = rng.permuted(np.tile(np.arange(30), (64, 1)), axis=1).reshape(64, 5, 6).astype(np.float32)
    masks = rng.random((64, 5, 6)) < rng.uniform(0.1, 0.9, (64, 1, 1))
    masks[:, 0, 0] = True
    expected = np.asarray(reference.evaluate_batch(a_batch=maps[:, None], s_batch=masks[:, None]))
    assert expected.std() > 0.1
    np.testing.assert_allclose(metric(torch.from_numpy(maps), torch.from_numpy(masks)), expected, rtol=1e-6)
