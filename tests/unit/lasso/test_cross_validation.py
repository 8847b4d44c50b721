"""Held-out scores by their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from vebi.lasso.cross_validation import deal, explained_variance, standard_error, within_one_error
from vebi.lasso.gram import sum_up


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=200), st.integers(1, 20), st.integers(0, 9))
def test_every_part_has_its_share_of_every_label(labels, parts, seed):
    labels = np.array(labels)
    of = deal(labels, parts, seed)
    assert of.min() >= 0 and of.max() < parts
    for some in (np.ones(len(labels), bool), *(labels == label for label in np.unique(labels))):
        counts = np.bincount(of[some], minlength=parts)
        assert counts.max() - counts.min() <= 1
    assert (deal(labels, parts, seed) == of).all()


def test_rows_are_dealt_by_chance():
    labels = np.zeros(60, np.int64)
    assert (deal(labels, 6, 0) != deal(labels, 6, 1)).any() and (deal(labels, 6) != np.arange(60) % 6).any()


@pytest.mark.parametrize("seed", range(5))
def test_explained_variance_is_scikit_learns_r2(seed):
    rng = np.random.default_rng(seed)
    x, labels = rng.random((30, 6)), np.eye(3)[rng.integers(3, size=30)]
    weights = rng.random((4, 6)) * (rng.random((4, 6)) < 0.5)
    sums = sum_up([("a", x, labels)], 6, 3)
    for j in range(3):
        expected = [r2_score(labels[:, j], x @ w) for w in weights]
        np.testing.assert_allclose(explained_variance(weights, sums, j), expected)


def test_nothing_to_explain():
    x = np.random.default_rng(0).random((4, 2))
    sums = sum_up([("a", x, np.array([[1.0, 0.0]] * 4))], 2, 2)
    assert np.isnan(explained_variance(np.ones((3, 2)), sums, 0)).all()  # all rows are of it
    assert np.isnan(explained_variance(np.ones((3, 2)), sums, 1)).all()  # none is
    assert np.isnan(explained_variance(np.ones((3, 2)), sum_up([], 2, 2), 0)).all()


def test_the_first_within_one_standard_error_of_the_best():
    scores = np.array([[0.1, 0.73, 0.80, 0.79], [0.1, 0.77, 0.84, 0.81], [0.1, 0.75, 0.70, 0.80]])
    assert standard_error(scores)[2] == pytest.approx(np.std([0.80, 0.84, 0.70], ddof=1) / 3**0.5)
    assert within_one_error(scores) == 3  # the best is 0.80, give or take 0.006
    assert within_one_error(scores - np.array([[0, 0, 0, 0.03]])) == 1  # the best is 0.78, give or take 0.042
    assert within_one_error(np.array([[0.1, 0.2, 0.2]])) == 1  # one fold has no error
    assert within_one_error(np.vstack([scores, np.full(4, np.nan)])) == within_one_error(scores)
    assert within_one_error(np.full((5, 4), np.nan)) == 0
