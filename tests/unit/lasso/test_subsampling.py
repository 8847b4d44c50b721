"""Subsamples and correlations by their definitions."""

import numpy as np
import pytest

from vebi.lasso import Bound, make_problem, solve
from vebi.lasso.moments import accumulate
from vebi.lasso.scaling import SCALINGS
from vebi.lasso.subsampling import N_SUBSAMPLES, correlations, subsample_masks, subsample_selections


def parts_of(x, labels, count):
    return [
        accumulate([(f"part {k}", x[k::count], labels[k::count])], x.shape[1], labels.shape[1]) for k in range(count)
    ]


@pytest.mark.parametrize("parts", [2, 5, 20])
def test_subsamples_are_halves_and_come_in_pairs(parts):
    masks = subsample_masks(parts)
    assert masks.shape == (N_SUBSAMPLES, parts)
    assert set(masks.sum(axis=1)) <= {parts // 2, parts - parts // 2}
    assert (masks[::2] == ~masks[1::2]).all()
    assert (subsample_masks(parts) == masks).all()
    assert parts < 5 or (subsample_masks(parts, seed=1) != masks).any()
    assert subsample_masks(parts, 7).shape == (7, parts)


@pytest.mark.parametrize("signed", [False, True])
def test_what_a_subsample_selects_is_what_its_rows_select(signed):
    rng = np.random.default_rng(0)
    x, labels = rng.random((60, 8)), np.eye(2)[rng.integers(2, size=60)]
    steps = []
    selections = subsample_selections(
        parts_of(x, labels, 6), "plain", Bound(0.7), signed=signed, count=4, progress=lambda *step: steps.append(step)
    )
    assert selections.shape == (4, 2, 8)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for selected, mask in zip(selections, subsample_masks(6, 4), strict=True):
        rows = np.isin(np.arange(60) % 6, np.flatnonzero(mask))
        for j in range(2):
            part, label = x[rows], labels[rows, j]
            w = solve(part.T @ part, part.T @ label, label.sum(), 0.7, signed=signed).weights
            assert (selected[j] == (w != 0)).all()


def test_a_clear_feature_is_always_selected_and_noise_is_not():
    rng = np.random.default_rng(0)
    labels = np.eye(2)[rng.integers(2, size=200)]
    x = np.column_stack([labels[:, 0] + 0.1 * rng.random(200), rng.random((200, 20))])
    probabilities = subsample_selections(parts_of(x, labels, 20), "plain", Bound(0.8)).mean(axis=0)
    assert probabilities[0, 0] == 1
    assert probabilities[0, 1:].max() < 0.9


def test_correlations_are_pearsons():
    rng = np.random.default_rng(0)
    x = rng.random((50, 6))
    x[:, 3] = 2 * x[:, 0] + 1e-3 * rng.random(50)
    x[:, 4] = 0  # silent
    x[:, 5] = np.float32(0.25) * (1 + 1e-7 * rng.random(50))  # constant, up to the rounding of single precision
    expected = np.corrcoef(x[:, :4].T)
    for form in SCALINGS:
        pearson = correlations(make_problem(accumulate([("a", x, np.ones((50, 1)))], 6, 1), form), (3, 0, 5))
        np.testing.assert_allclose(pearson[0, :4], expected[3], atol=1e-9)
        np.testing.assert_allclose(pearson[1, :4], expected[0], atol=1e-9)
        assert (pearson[:, 4:] == 0).all()
        assert (pearson[2] == 0).all()
        assert pearson[0, 0] > 0.99
