"""Paired comparisons: by hand, in simulation, and at their limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vebi.benchmark.statistics import fold_means, holm, paired_p, ratio_interval
from vebi.errors import UsageError


def folds(*values):
    return [np.array(fold, float) for fold in values]


def simulated(rng, sizes=(80, 40)):
    """Scores of two methods on images that differ in difficulty; the ratio of their expectations is 5 / 4."""
    ours, theirs = [], []
    for fold, size in enumerate(sizes):
        easy = (1 + fold) * rng.gamma(2, 0.1, size)  # mean 0.2, 0.4
        ours.append(5 * easy * rng.uniform(0.8, 1.2, size))
        theirs.append(4 * easy * rng.uniform(0.8, 1.2, size))
    return ours, theirs


def test_fold_means():
    assert fold_means(folds([1, 2, 6], [4])).tolist() == [3, 4]
    thirds = [np.full(3000, 1 / 3, np.float32)]
    assert fold_means(thirds).dtype == np.float64
    assert fold_means(thirds)[0] == pytest.approx(1 / 3)


def test_ratio_by_hand():
    # folds count alike, whatever their size: (3 + 5) / 2 over (1 + 3) / 2, not 14 / 6 over 6 / 4
    ratio, low, high = ratio_interval(folds([2, 3, 4], [5]), folds([1, 1, 1], [3]))
    assert ratio == pytest.approx(4 / 2)
    assert low <= ratio <= high
    # the first fold's mean is drawn from 2 to 4, the second's stays
    assert (low, high) == pytest.approx(((2 + 1 / 3 + 5) / 4, (4 - 1 / 3 + 5) / 4), abs=0.1)


def test_images_are_drawn_within_their_folds():
    assert ratio_interval(folds([3, 3], [9, 9, 9]), folds([1, 1], [2, 2, 2])) == pytest.approx((4, 4, 4))


def test_both_methods_get_the_same_images():
    _, theirs = simulated(np.random.default_rng(0))
    assert ratio_interval([2 * fold for fold in theirs], theirs) == pytest.approx((2, 2, 2))


def test_the_interval_of_a_mean_is_that_of_theory():
    scores = np.random.default_rng(0).normal(10, 1, 400)
    ratio, low, high = ratio_interval([scores], [np.ones(400)], draws=4000)
    width = 1.96 * scores.std() / 20
    assert (low, high) == pytest.approx((ratio - width, ratio + width), abs=0.01)
    _, low, high = ratio_interval([scores], [np.ones(400)], draws=4000, level=0.5)
    width = 0.674 * scores.std() / 20
    assert (low, high) == pytest.approx((ratio - width, ratio + width), abs=0.01)


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(300):
        _, low, high = ratio_interval(*simulated(rng), draws=300, seed=seed)
        covered += low <= 5 / 4 <= high
    assert 0.91 <= covered / 300 <= 0.985


def test_pairing_matters():
    rng = np.random.default_rng(2)
    ours, theirs = simulated(rng, (300, 300))
    _, low, high = ratio_interval(ours, theirs)
    _, lowest, highest = ratio_interval([rng.permutation(fold) for fold in ours], theirs)
    assert 3 * (high - low) < highest - lowest


def test_the_seed_decides():
    pair = simulated(np.random.default_rng(3))
    assert ratio_interval(*pair, seed=5) == ratio_interval(*pair, seed=5) != ratio_interval(*pair, seed=6)


def test_nothing_to_divide_by():
    subset, none = folds([1, 2], [3]), folds([0, 0], [0])
    assert ratio_interval(subset, none) == (math.inf, math.inf, math.inf)
    assert all(math.isnan(value) for value in ratio_interval(none, none))
    assert ratio_interval(none, subset) == (0, 0, 0)
    # a draw in four finds nothing but zeros below
    ratio, low, high = ratio_interval(folds([1, 1]), folds([1, 0]))
    assert (ratio, low, high) == (2, 1, math.inf)
    # or on both sides: then nobody can say where the draws end
    ratio, low, high = ratio_interval(folds([1, 0]), folds([1, 0]))
    assert ratio == 1
    assert math.isnan(low)
    assert math.isnan(high)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20), st.integers(1, 5), st.floats(0.1, 0.99))
def test_interval_laws(values, draws, level):
    ours, theirs = [np.array(values)], [np.array(values[::-1])]
    ratio, low, high = ratio_interval(ours, theirs, draws=draws, level=level)
    assert ratio == pytest.approx(1)
    assert low <= high
    scaled = ratio_interval([2 * ours[0]], theirs, draws=draws, level=level)
    assert scaled == pytest.approx((2 * ratio, 2 * low, 2 * high))


def test_wilcoxon_by_hand():
    # differences 1, 2, 3, 4, -5: the rank sums are 10 and 5; of the 32 signs, 10 give a sum of at most 5
    ours, theirs = folds([2, 4, 6], [8, 1]), folds([1, 2, 3], [4, 6])
    assert paired_p(ours, theirs) == pytest.approx(2 * 10 / 32)
    assert paired_p(theirs, ours) == pytest.approx(2 * 10 / 32)
    # all five on one side: 1 of 32 a side
    assert paired_p(folds([2, 4, 6], [8, 11]), theirs) == pytest.approx(2 / 32)


def test_wilcoxon_at_its_limits():
    _, theirs = simulated(np.random.default_rng(4))
    assert paired_p(theirs, theirs) == 1
    assert paired_p(folds([1]), folds([2])) == 1
    assert paired_p(folds([1, 1, 1, 2]), folds([1, 1, 1, 1])) == 1
    ours, theirs = simulated(np.random.default_rng(5), (300, 300))
    assert paired_p(ours, theirs) < 1e-10


def test_wilcoxon_of_no_difference_is_uniform():
    rng = np.random.default_rng(6)
    p_values = [paired_p([rng.normal(size=60)], [rng.normal(size=60)]) for _ in range(300)]
    assert 0.02 < np.mean(np.array(p_values) <= 0.05) < 0.09
    assert 0.4 < np.mean(p_values) < 0.6


def test_holm_by_hand():
    # sorted: 4 x 0.005, 3 x 0.01, 2 x 0.03, then 0.04, which may not fall below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
    assert holm([0.01, 0.01, 0.01]) == pytest.approx([0.03, 0.03, 0.03])
    assert holm([0.0, 1.0]) == [0, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_laws(p_values):
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1, len(p_values) * p)
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
    assert sorted(holm(p_values[::-1])) == pytest.approx(sorted(adjusted))


@pytest.mark.parametrize("compare", [ratio_interval, paired_p])
@pytest.mark.parametrize(
    ("ours", "theirs", "facts"),
    [
        (
            folds([1, 2]),
            folds([1]),
            r"^folds of 2 images .* 1 images",
        ),
        (folds([1], [2, 3]), folds([1, 2], [3]), r"^folds of 1, 2 images .* 2, 1 images"),
        (folds([1], [2]), folds([1]), r"^folds of 1, 1 images .* 1 images"),
        (folds([1]), [], r"^folds of 1 images .* no images"),
        (folds([1], []), folds([1], []), r"^fold 1 "),
        ([], [], r"^no fold"),
    ],
)
def test_what_cannot_be_compared(compare, ours, theirs, facts):
    with pytest.raises(UsageError, match=facts):
        compare(ours, theirs)


def test_bad_settings():
    with pytest.raises(UsageError, match=r"^no fold"):
        fold_means([])
    for bad in ({"draws": 0}, {"level": 0}, {"level": 1}, {"level": math.nan}):
        with pytest.raises(UsageError, match="at least 1 draw"):
            ratio_interval(folds([1]), folds([1]), **bad)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(UsageError, match=r"^a p-value is .*\[0, 1\]"):
            holm([0.5, bad])
