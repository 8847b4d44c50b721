import numpy as np
import pytest

from vebi.datasets.flowers.placement import draw_placement

SQUARE = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])


@pytest.mark.parametrize(("spread", "share"), [(1.0, 0.2), (0.35, 0.52)])
def test_a_small_spread_prefers_the_borders_and_keeps_flowers_inside(spread, share):
    """The share of 500 positions that lies in the outer tenths on the left and on the right."""
    rng = np.random.default_rng(0)
    placements = [draw_placement(rng, SQUARE, scales=(0.6, 0.6), spread=spread) for _ in range(500)]
    corners = np.array([SQUARE @ placement.matrix().T + placement.shift for placement in placements])
    assert np.abs(corners).max() < 1
    left, right = corners[..., 0].min(axis=1) + 1, 1 - corners[..., 0].max(axis=1)
    position = (left - 0.02) / (left + right - 0.04)
    assert np.mean((position < 0.1) | (position > 0.9)) == pytest.approx(share, abs=0.05)
    assert np.mean(position) == pytest.approx(0.5, abs=0.05)
