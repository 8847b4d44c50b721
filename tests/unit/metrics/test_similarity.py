"""Rank correlation against scipy's, SSIM against scikit-image's and a literal transcription."""

import math
import re

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from vebi.errors import UsageError
from vebi.metrics.similarity import is_empty, rank_correlation, structural_similarity

#: Few distinct values, so that ties are common.
MAPS = arrays(np.float32, (3, 3, 4), elements=st.integers(-3, 3).map(float))
WHERE = arrays(np.bool_, (3, 3, 4))


def foreground(where):
    where = where.copy()
    where[:, 1, 1] |= ~where.any(axis=(1, 2))
    return where


# --- rank correlation -------------------------------------------------------------------------------------------------


def test_rank_correlation_by_hand():
    """Of 1 2 3 and 2 1 3, 1 - 6 (1 + 1 + 0) / (3 (9 - 1)) = 1/2; what is not in the foreground does not count."""
    one, other = torch.tensor([[[1.0, 20.0, 300.0, 7.0]]]), torch.tensor([[[2.0, 1.0, 3.0, -9.0]]])
    where = torch.tensor([[[True, True, True, False]]])
    assert rank_correlation(one, other, where).item() == pytest.approx(0.5)
    assert rank_correlation(one, other).item() == pytest.approx(0.4)  # ranks 1 3 4 2 and 3 2 4 1: d = 2 1 0 1


@settings(max_examples=100, deadline=None)
@given(one=MAPS, other=MAPS, where=WHERE)
def test_rank_correlation_is_that_of_scipy(one, other, where):
    where = foreground(where)
    scores = rank_correlation(*map(torch.from_numpy, (one, other, where)))
    for a, b, w, score in zip(one, other, where, scores.tolist(), strict=True):
        if np.ptp(a[w]) == 0 or np.ptp(b[w]) == 0:
            assert math.isnan(score)
        else:
            assert score == pytest.approx(spearmanr(a[w], b[w]).statistic, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(one=MAPS, other=MAPS, where=WHERE, factor=st.floats(1e-10, 1e10), order=st.permutations(range(3)))
def test_laws_of_rank_correlation(one, other, where, factor, order):
    one, other, where = map(torch.from_numpy, (one, other, foreground(where)))
    scores = rank_correlation(one, other, where)
    same = {"equal_nan": True}
    torch.testing.assert_close(rank_correlation(other, one, where), scores, **same)
    torch.testing.assert_close(rank_correlation(factor * one, other.double().exp(), where), scores, **same)
    torch.testing.assert_close(rank_correlation(one**3, -other, where), -scores, **same)
    torch.testing.assert_close(rank_correlation(one[order], other[order], where[order]), scores[order], **same)
    alone = torch.where(where, one, 99.0)
    torch.testing.assert_close(rank_correlation(alone, other, where), scores, **same)


# --- structural similarity --------------------------------------------------------------------------------------------


def literal_ssim(one, other):
    """Wang et al., eq. 13 to 16, pixel by pixel: local SSIM of maps in [0, 1], mirrored at their border."""
    one, other = ((m - m.min()) / (m.max() - m.min()) for m in (one, other))
    one, other = (np.pad(m, 5, mode="reflect") for m in (one, other))
    w = np.array([[math.exp(-(i * i + j * j) / (2 * 1.5**2)) for j in range(-5, 6)] for i in range(-5, 6)])
    w /= w.sum()
    scores = np.zeros((one.shape[0] - 10, one.shape[1] - 10))
    for i, j in np.ndindex(scores.shape):
        x, y = one[i : i + 11, j : j + 11], other[i : i + 11, j : j + 11]
        mx, my = (w * x).sum(), (w * y).sum()
        vx, vy, c = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (w * (x - mx) * (y - my)).sum()
        scores[i, j] = (2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    return scores


@pytest.fixture
def pairs():
    """Independent ones, similar ones, and opposite ones; a foreground for each."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 3, 16, 13))
    other[1] = one[1] + 0.5 * other[1]
    other[2] = -one[2]
    return one.astype(np.float32), other.astype(np.float32), rng.random(one.shape) < 0.3


def test_ssim_is_its_equation(pairs):
    one, other, where = pairs
    local = np.stack([literal_ssim(*pair) for pair in zip(one.astype(float), other.astype(float), strict=True)])
    one, other, mask = map(torch.from_numpy, pairs)
    expected = local.mean(axis=(1, 2))
    assert expected[1] > 0.5 > 0.1 > expected[0] > expected[2]
    np.testing.assert_allclose(structural_similarity(one, other), expected, atol=1e-6)
    expected = [values[w].mean() for values, w in zip(local, where, strict=True)]
    np.testing.assert_allclose(structural_similarity(one, other, mask), expected, atol=1e-6)


def test_ssim_is_that_of_scikit_image(pairs):
    metrics = pytest.importorskip("skimage.metrics", reason="compared with scikit-image, which is optional")
    one, other = ((m - m.min((1, 2), keepdims=True)) / np.ptp(m, (1, 2), keepdims=True) for m in pairs[:2])
    options = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [metrics.structural_similarity(*pair, **options) for pair in zip(one, other, strict=True)]
    inside = torch.zeros(one.shape, dtype=torch.bool)
    inside[:, 5:-5, 5:-5] = True  # scikit-image leaves out what a border changes
    one, other = map(torch.from_numpy, pairs[:2])
    np.testing.assert_allclose(structural_similarity(one, other, inside), expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), factor=st.floats(0.01, 100), offset=st.floats(-10, 10))
def test_laws_of_ssim(seed, factor, offset):
    one, other = torch.rand(2, 3, 12, 14, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    score = structural_similarity(one, other)
    assert ((score >= -1) & (score < 1)).all()
    torch.testing.assert_close(structural_similarity(other, one), score)
    torch.testing.assert_close(structural_similarity(factor * one + offset, other), score, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(structural_similarity(one, factor * one + offset), torch.ones(3))


# --- what both have in common -----------------------------------------------------------------------------------------

both = pytest.mark.parametrize("similarity", [rank_correlation, structural_similarity])


@both
def test_a_map_that_is_constant_where_it_counts_has_no_score(similarity):
    maps = torch.rand(4, 12, 12)
    where = torch.ones(4, 12, 12, dtype=torch.bool)
    others = maps.clone()
    others[1], others[2] = 0, 0.3
    where[3, :6] = False
    others[3, 6:] = 0.3  # varies in the background alone
    for pair in ((maps, others), (others, maps)):
        scores = similarity(*pair, where)
        assert scores.isnan().tolist() == [False, True, True, True]
        assert scores[0].item() == pytest.approx(1)
    assert similarity(others, others, where).isnan().tolist() == [False, True, True, True]


@both
def test_no_pairs_no_scores(similarity):
    assert similarity(torch.zeros(0, 12, 12), torch.zeros(0, 12, 12)).shape == (0,)


@both
def test_types_and_devices(similarity):
    one, other = (torch.rand(2, 12, 12).half() for _ in range(2))
    expected = similarity(one, other)
    assert expected.dtype == torch.float32
    with torch.device("meta"):  # where a tensor lands that is made without a device
        torch.testing.assert_close(similarity(one, other), expected)
    torch.testing.assert_close(similarity(one.double(), other.float()), expected)


@both
def test_what_is_refused(similarity):
    maps, where = torch.rand(2, 12, 12), torch.ones(2, 12, 12, dtype=torch.bool)
    broken, empty = maps.clone(), where.clone()
    broken[1, 2, 3] = torch.inf
    empty[1] = False
    for pair in ((maps, broken), (broken, maps)):
        with pytest.raises(UsageError, match=r"image 1\b.*not finite"):
            similarity(*pair)
    with pytest.raises(UsageError, match=r"mask.*image 1\b"):
        similarity(maps, maps, empty)
    jaxtyping.config.update("jaxtyping_disable", True)  # without the checks of shapes that only tests have
    try:
        for other, mask in ((maps[:1], None), (maps, where[:1])):
            with pytest.raises(UsageError, match=re.escape("(1, 12, 12)")):
                similarity(maps, other, mask)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_maps_smaller_than_a_window():
    with pytest.raises(UsageError, match=r"10 x 40\b.*11 x 11\b"):
        structural_similarity(torch.rand(1, 10, 40), torch.rand(1, 10, 40))


def test_empty_maps():
    maps = torch.zeros(4, 3, 3)
    maps[1], maps[2, 1, 1], maps[3, 0, 0] = 0.7, 1e-30, -1
    assert is_empty(maps).tolist() == [True, True, False, False]
    where = torch.zeros(4, 3, 3, dtype=torch.bool)
    where[:, 0] = True
    assert is_empty(maps, where).tolist() == [True, True, True, False]
    with pytest.raises(UsageError, match="image 2 is empty"):
        is_empty(maps, where & (torch.arange(4) != 2)[:, None, None])
    with pytest.raises(UsageError, match="not finite"):
        is_empty(maps / 0)
