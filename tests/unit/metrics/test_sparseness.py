"""The Gini index against values worked out by hand and a literal transcription."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vebi.errors import UsageError
from vebi.metrics.sparseness import gini_index

MAPS = arrays(np.float32, (3, 3, 4), elements=st.integers(-8, 8).map(float))


def literal(values):
    """Hurley and Rickard, table I: 1 - 2 sum_k (c_k / |c|_1) (N - k + 1/2) / N."""
    c = sorted(abs(float(v)) for v in values)
    n, total = len(c), sum(c)
    return 1 - 2 * sum(c[k - 1] / total * (n - k + 0.5) / n for k in range(1, n + 1)) if total else float("nan")


def test_by_hand():
    """Of 1 and 3 the lower half has a quarter of the sum: the Lorenz curve is 1/4 below the diagonal at the half."""
    maps = torch.tensor([[[1.0, 3.0]], [[3.0, -1.0]], [[0.0, 2.0]], [[2.0, 2.0]], [[0.0, 0.0]]])
    assert gini_index(maps).tolist() == pytest.approx([0.25, 0.25, 0.5, 0, np.nan], nan_ok=True)


def test_one_pixel_and_all_pixels():
    point = torch.zeros(1, 10, 10)
    point[0, 3, 4] = 1e-30
    assert gini_index(point).item() == pytest.approx(0.99)
    assert gini_index(torch.full((1, 10, 10), 0.1)).item() == 0
    assert gini_index(torch.full((1, 300, 300), 3e38)).item() == 0
    assert gini_index(torch.zeros(0, 4, 4)).shape == (0,)


@settings(max_examples=60, deadline=None)
@given(maps=MAPS, factor=st.floats(1e-30, 1e30), pixels=st.permutations(range(12)))
def test_laws(maps, factor, pixels):
    expected = torch.tensor([literal(values.flat) for values in maps])
    maps = torch.from_numpy(maps)
    scores = gini_index(maps)
    torch.testing.assert_close(scores, expected, equal_nan=True, atol=1e-6, rtol=1e-6)
    assert ((scores >= 0) & (scores <= 1 - 1 / 12 + 1e-6) | maps.flatten(1).eq(0).all(dim=1)).all()
    torch.testing.assert_close(gini_index(factor * maps), scores, equal_nan=True)
    torch.testing.assert_close(gini_index(maps.flatten(1)[:, pixels].view_as(maps)), scores, equal_nan=True)


def test_adding_the_same_everywhere_makes_a_map_less_sparse():
    maps = torch.rand(5, 6, 7)
    assert (gini_index(maps + 0.1) < gini_index(maps)).all()


def test_values_that_are_not_finite():
    with pytest.raises(UsageError, match=r"image 1\b"):
        gini_index(torch.tensor([[[1.0]], [[float("nan")]]]))
