"""Average precision against values worked out by hand and scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score

from vebi.metrics.precision import average_precision


def score(heat, mask):
    return average_precision(torch.tensor([heat]).float(), torch.tensor([mask]).bool()).item()


def test_by_hand():
    mask = [[1, 0], [1, 0]]
    # by rank: hit, miss, hit, miss: precision 1/1 and 2/3 at the hits
    assert score([[4, 3], [2, 1]], mask) == pytest.approx((1 + 2 / 3) / 2)
    # miss, hit, then a hit and a miss tied: 1/2 and 2/4
    assert score([[3, 4], [1, 1]], mask) == pytest.approx((1 / 2 + 2 / 4) / 2)
    # the first hit tied with a miss: both of them at 1/2, the last at 2/3
    assert score([[4, 4], [2, 1]], mask) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_special_maps():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0, :3] = True
    perfect = mask.float()
    assert average_precision(perfect, mask).item() == 1
    assert average_precision(perfect * torch.rand(1, 4, 4).clamp(min=0.1), mask).item() == 1  # in any order
    for uninformative in (torch.zeros(1, 4, 4), torch.full((1, 4, 4), 0.7), 1 - perfect):
        assert average_precision(uninformative, mask).item() == pytest.approx(3 / 16)
    assert average_precision(torch.rand(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)).item() == 1
    # zeros outside do not mix with zeros inside: one hit at 1, then the other two among all 16
    partly = torch.zeros(1, 4, 4)
    partly[0, 0, 0] = 5
    assert average_precision(partly, mask).item() == pytest.approx((1 + 2 * 3 / 16) / 3)


@settings(max_examples=100, deadline=None)
@given(
    heat=arrays(np.float32, (2, 4, 5), elements=st.one_of(st.integers(0, 4), st.floats(0, 100, width=32))),
    mask=arrays(np.bool_, (2, 4, 5)),
)
def test_against_scikit_learn(heat, mask):
    mask[:, 2, 1] = True
    got = average_precision(torch.from_numpy(heat), torch.from_numpy(mask))
    expected = [average_precision_score(m.ravel(), h.ravel()) for h, m in zip(heat, mask, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_large_map_against_scikit_learn():
    rng = np.random.default_rng(0)
    heat = rng.integers(0, 5000, (2, 224, 224)).astype(np.float32)
    mask = rng.random((2, 224, 224)) < heat / 5000
    got = average_precision(torch.from_numpy(heat), torch.from_numpy(mask))
    expected = [average_precision_score(m.ravel(), h.ravel()) for h, m in zip(heat, mask, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
