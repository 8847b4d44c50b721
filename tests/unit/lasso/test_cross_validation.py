"""Held-out scores by their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from vebi.lasso.cross_validation import one_standard_error_index, r2, standard_error, stratified_parts
from vebi.lasso.moments import accumulate


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=200), st.integers(1, 20), st.integers(0, 9))
def test_every_part_has_its_share_of_every_label(labels, parts, seed):
    labels = np.array(labels)
    part_of_row = stratified_parts(labels, parts, seed)
    assert part_of_row.min() >= 0
    assert part_of_row.max() < parts
    for rows in (np.ones(len(labels), bool), *(labels == label for label in np.unique(labels))):
        counts = np.bincount(part_of_row[rows], minlength=parts)
        assert counts.max() - counts.min() <= 1
    assert (stratified_parts(labels, parts, seed) == part_of_row).all()


def test_parts_are_random():
    labels = np.zeros(60, np.int64)
    assert (stratified_parts(labels, 6, 0) != stratified_parts(labels, 6, 1)).any()
    assert (stratified_parts(labels, 6) != np.arange(60) % 6).any()


@pytest.mark.parametrize("seed", range(5))
def test_r2_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    x, labels = rng.random((30, 6)), np.eye(3)[rng.integers(3, size=30)]
    slopes, constants = rng.random((4, 6)) * (rng.random((4, 6)) < 0.5), rng.random(4) - 0.5
    moments = accumulate([("a", x, labels)], 6, 3)
    for j in range(3):
        expected = [r2_score(labels[:, j], x @ s + k) for s, k in zip(slopes, constants, strict=True)]
        np.testing.assert_allclose(r2(slopes, constants, moments, j), expected)


def test_rounding_takes_r2_to_no_more_than_1():
    for seed in range(200):
        x = np.random.default_rng(seed).random((30, 2))
        sums = accumulate([("a", x, x)], 2, 2)
        assert r2(np.eye(2), np.zeros(2), sums, 0).max() <= 1


def test_nothing_to_explain():
    x = np.random.default_rng(0).random((4, 2))
    sums = accumulate([("a", x, np.array([[1.0, 0.0]] * 4))], 2, 2)
    assert np.isnan(r2(np.ones((3, 2)), np.zeros(3), sums, 0)).all()  # all rows are of it
    assert np.isnan(r2(np.ones((3, 2)), np.zeros(3), sums, 1)).all()  # none is
    assert np.isnan(r2(np.ones((3, 2)), np.zeros(3), accumulate([], 2, 2), 0)).all()


def test_the_first_within_one_standard_error_of_the_best():
    scores = np.array([[0.1, 0.73, 0.80, 0.79], [0.1, 0.77, 0.84, 0.81], [0.1, 0.75, 0.70, 0.80]])
    assert standard_error(scores)[2] == pytest.approx(np.std([0.80, 0.84, 0.70], ddof=1) / 3**0.5)
    assert one_standard_error_index(scores) == 3  # the best is 0.80, give or take 0.006
    assert one_standard_error_index(scores - np.array([[0, 0, 0, 0.03]])) == 1  # the best is 0.78, give or take 0.042
    assert one_standard_error_index(np.array([[0.1, 0.2, 0.2]])) == 1  # one fold has no error
    assert one_standard_error_index(np.vstack([scores, np.full(4, np.nan)])) == one_standard_error_index(scores)
    assert one_standard_error_index(np.full((5, 4), np.nan)) == 0
