"""Comparisons of two methods over networks: by hand, in simulation, and at their limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from vebi.benchmark import statistics
from vebi.benchmark.statistics import compare, fold_means
from vebi.errors import UsageError

NAN = math.nan


def folds(*values):
    return [np.array(scores, float) for scores in values]


def simulated(rng, networks, images=60, spread=0.1):
    """Scores of two methods on networks that favour one or the other; the ratio of their expectations is 5 / 4."""
    ours, theirs = [], []
    for favour in rng.normal(0, spread, networks):
        easy = rng.gamma(2, 0.1, images)
        ours.append(5 * easy * rng.uniform(0.8, 1.2, images) * (1 + favour))
        theirs.append(4 * easy * rng.uniform(0.8, 1.2, images))
    return ours, theirs


def covered(rng, networks, **options):
    """How often an interval has the true ratio in it."""
    comparisons = [compare(*simulated(rng, networks, **options), draws=4000) for _ in range(200)]
    return np.mean([comparison.low <= 5 / 4 <= comparison.high for comparison in comparisons])


def ends(comparison):
    return comparison.low, comparison.high


def test_fold_means():
    assert fold_means(folds([1, 2, 6], [4])).tolist() == [3, 4]
    assert fold_means(folds([1, NAN, 6], [4])).tolist() == [3.5, 4]
    thirds = [np.full(3000, 1 / 3, np.float32)]
    assert fold_means(thirds).dtype == np.float64
    assert fold_means(thirds)[0] == pytest.approx(1 / 3)


def test_ratio_by_hand():
    # networks count alike, whatever their number of images: (3 + 5) / 2 over (1 + 3) / 2, not 14 / 6 over 6 / 4
    assert compare(folds([2, 3, 4], [5]), folds([1, 1, 1], [3])).ratio == pytest.approx(2)


def test_a_literal_bootstrap_has_the_same_distribution():
    ours, theirs = simulated(np.random.default_rng(0), 5, images=12)
    rng, drawn = np.random.default_rng(1), []
    for _ in range(20_000):
        sums = np.zeros(2)
        for network in rng.integers(5, size=5):
            images = rng.integers(12, size=12)
            sums += [ours[network][images].mean(), theirs[network][images].mean()]
        drawn.append(sums[0] / sums[1])
    for level in (0.5, 0.8):
        tail = norm.cdf(math.sqrt(5 / 4) * t.ppf((1 - level) / 2, 4))
        expected = np.quantile(drawn, [tail, 1 - tail])
        assert ends(compare(ours, theirs, level=level, draws=20_000)) == pytest.approx(expected, abs=0.005)


def test_networks_are_resampled():
    # without any spread over images the draws are those of the networks: 16 of 4^4 are all of one kind
    ours, theirs = folds([1] * 9, [1] * 9, [2] * 9, [2] * 9), folds(*[[1] * 9] * 4)
    comparison = compare(ours, theirs)
    assert ends(comparison) == pytest.approx((1, 2))
    beyond = 2 * t.cdf(norm.ppf(1 / 16) * math.sqrt(3 / 4), 3)  # one draw in 16 has no network above 1
    assert comparison.p == pytest.approx(beyond, rel=0.1)


def test_images_are_resampled_within_their_networks():
    # either network has 4 in whatever image
    assert ends(compare(folds([3, 3], [9] * 3), folds([1, 1], [3] * 3), level=0.5)) == pytest.approx((3, 3))
    # networks that do not differ, with images that do
    low, high = ends(compare(folds(*[[0, 2]] * 6), folds(*[[1, 1]] * 6), level=0.5))
    assert low < 1 < high


def test_both_methods_get_the_same_draw():
    _, theirs = simulated(np.random.default_rng(0), 5)
    assert ends(compare([2 * scores for scores in theirs], theirs)) == (2, 2)
    same = compare(theirs, theirs)
    assert (*ends(same), same.p) == (1, 1, 1)


def test_the_interval_of_one_network_is_that_of_its_images():
    scores = np.random.default_rng(0).normal(10, 1, 400)
    for level, z in ((0.95, 1.96), (0.5, 0.674)):
        width = z * scores.std() / 20
        comparison = compare([scores], [np.ones(400)], level=level)
        assert ends(comparison) == pytest.approx((scores.mean() - width, scores.mean() + width), abs=0.01)


@pytest.mark.parametrize("networks", [6, 10])
def test_the_interval_covers_other_networks(networks):
    assert 0.9 <= covered(np.random.default_rng(networks), networks) <= 0.99


def test_the_interval_of_one_network_covers_its_images_alone():
    rng = np.random.default_rng(1)
    assert 0.9 <= covered(rng, 1, spread=0) <= 0.99
    assert covered(rng, 1, spread=0.1) < 0.5


def test_without_a_difference_p_is_uniform():
    rng, p_values = np.random.default_rng(2), []
    for _ in range(200):
        ours, theirs = simulated(rng, 6)
        p_values.append(compare([0.8 * scores for scores in ours], theirs, draws=4000).p)
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.1
    assert 0.4 < np.mean(p_values) < 0.6


def test_two_or_three_networks_do_not_show_anything():
    for networks in (2, 3):
        ours, theirs = simulated(np.random.default_rng(3), networks, spread=0)
        comparison = compare(ours, theirs)
        assert ends(comparison) == (0, math.inf)
        # all draws are above 1: the p-value of one of 10,000
        assert comparison.p == pytest.approx(
            2 * t.cdf(norm.ppf(1e-4) * math.sqrt((networks - 1) / networks), networks - 1)
        )
        assert comparison.p > 0.05


def test_the_p_value_of_one_network_by_hand():
    # one image of four is 8 times as good, the others are a little worse: draws without it are below 1
    comparison = compare(folds([8, 0.9, 0.9, 0.9]), folds([1, 1, 1, 1]))
    assert comparison.p == pytest.approx(2 * 0.75**4, rel=0.05)
    assert compare(folds([2, 4]), folds([1, 2])).p == pytest.approx(2 / 10_000)


def test_images_that_only_one_method_was_scored_on_do_not_count():
    ours, theirs = folds([1, 2, 90], [3, 80, 5]), folds([1, 1, NAN], [2, NAN, 2])
    assert compare(ours, theirs) == compare(folds([1, 2], [3, 5]), folds([1, 1], [2, 2]))
    assert compare(ours, theirs).ratio == pytest.approx(5.5 / 3)


def test_the_seed_decides():
    pair = simulated(np.random.default_rng(3), 6)
    assert compare(*pair, seed=5) == compare(*pair, seed=5) != compare(*pair, seed=6)


def test_many_images_are_drawn_in_blocks(monkeypatch):
    pair = simulated(np.random.default_rng(4), 6)
    at_once = compare(*pair)
    monkeypatch.setattr(statistics, "_BLOCK", 360 * 3000)  # four blocks, the last one smaller
    in_blocks = compare(*pair)
    assert in_blocks != at_once
    assert ends(in_blocks) == pytest.approx(ends(at_once), rel=0.05)
    monkeypatch.setattr(statistics, "_BLOCK", 1)  # draw by draw
    assert compare(*pair, draws=50).ratio == at_once.ratio


def test_nothing_to_divide_by():
    subset, none = folds([1, 2]), folds([0, 0])
    assert (compare(subset, none).ratio, *ends(compare(subset, none))) == (math.inf,) * 3
    assert (compare(none, subset).ratio, *ends(compare(none, subset))) == (0, 0, 0)
    undefined = compare(none, none)
    assert math.isnan(undefined.ratio)
    assert (*ends(undefined), undefined.p) == (0, math.inf, 1)
    # a draw in four finds nothing but zeros below
    comparison = compare(folds([1, 1]), folds([1, 0]))
    assert (comparison.ratio, *ends(comparison)) == (2, 1, math.inf)
    # or on both sides: that counts for either end
    comparison = compare(folds([1, 0]), folds([1, 0]))
    assert (comparison.ratio, *ends(comparison), comparison.p) == (1, 0, math.inf, 1)


scores = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)
networks = st.lists(st.lists(st.tuples(scores, scores), min_size=1, max_size=6), min_size=1, max_size=7)
levels = st.sampled_from([(0.95, 0.05), (0.9, 0.1), (0.99, 0.01), (0.5, 0.5), (0.8, 0.2), (0.998, 0.002)])


@settings(max_examples=300, deadline=None)
@given(networks, st.sampled_from([1, 2, 5, 40, 1000]), levels, st.floats(1, 3))
def test_p_and_interval_say_the_same(networks, draws, level, factor):
    ours = folds(*[[factor * a for a, _ in images] for images in networks])
    theirs = folds(*[[b for _, b in images] for images in networks])
    level, alpha = level
    comparison = compare(ours, theirs, draws=draws, level=level)
    assert comparison.low <= comparison.high
    assert 0 < comparison.p <= 1
    assert (comparison.p < alpha) == (comparison.low > 1 or comparison.high < 1)
    # p is where the interval just touches 1
    for tip, excluded in ((1e-9, False), (-1e-9, True)):
        if 0 < 1 - comparison.p + tip < 1:
            tipped = compare(ours, theirs, draws=draws, level=1 - comparison.p + tip)
            assert (tipped.low > 1 or tipped.high < 1) == excluded


@pytest.mark.parametrize(
    ("ours", "theirs", "facts"),
    [
        (folds([1, 2]), folds([1]), r"^networks with 2 images .* 1 images"),
        (folds([1], [2, 3]), folds([1, 2], [3]), r"^networks with 1, 2 images .* 2, 1 images"),
        (folds([1], [2]), folds([1]), r"^networks with 1, 1 images .* 1 images"),
        (folds([1]), [], r"^networks with 1 images .* no images"),
        (folds([1], []), folds([1], []), r"^network 1 "),
        (folds([1], [NAN]), folds([1], [2]), r"^network 1 "),
        (folds([1, NAN], [2]), folds([NAN, 1], [2]), r"^network 0 .* both"),
        ([], [], r"^no network"),
    ],
)
def test_what_cannot_be_compared(ours, theirs, facts):
    with pytest.raises(UsageError, match=facts):
        compare(ours, theirs)


def test_bad_settings():
    with pytest.raises(UsageError, match=r"^no network"):
        fold_means([])
    for bad in ({"draws": 0}, {"level": 0}, {"level": 1}, {"level": math.nan}):
        with pytest.raises(UsageError, match="at least 1 draw"):
            compare(folds([1]), folds([1]), **bad)


def test_a_ratio_to_next_to_nothing_is_infinite():
    comparison = compare(folds([0.25]), folds([2e-311]))
    assert comparison.ratio == math.inf
