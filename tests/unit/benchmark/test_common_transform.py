"""What the one transform for all methods keeps and drops, and Otsu's threshold written out."""

import numpy as np

from vebi.backprop.heatmaps import rescale
from vebi.benchmark.common_transform import common_transform


def blob(size=56):
    y, x = np.mgrid[:size, :size]
    return (((y - 20) ** 2 + (x - 30) ** 2) < 100).astype(np.float32)


def test_the_common_transform_keeps_a_clean_region_and_drops_a_faint_ground():
    rng = np.random.default_rng(0)
    clean = blob()
    noisy = clean * rng.random((56, 56), np.float32) + 0.2 * rng.random((56, 56), np.float32)
    found = common_transform(np.stack([clean, noisy]))
    inside = clean > 0
    assert found.dtype == np.float32
    assert found.min() == 0
    assert found.max() == 1
    for one in found:
        assert one[inside].mean() > 0.9
        assert one[~inside].mean() < 0.05


def test_the_common_transform_ignores_scale_offset_and_company():
    rng = np.random.default_rng(1)
    maps = rng.random((3, 40, 40))
    found = common_transform(maps)
    np.testing.assert_allclose(common_transform(5 * maps + 2), found, atol=1e-6)
    for one, alone in zip(maps, found, strict=True):
        np.testing.assert_allclose(common_transform(one[None])[0], alone)
    assert not common_transform(np.full((1, 40, 40), 0.7)).any()
    assert not common_transform(np.zeros((1, 40, 40))).any()


def test_the_threshold_of_the_common_transform_is_otsus():
    """Literally: the threshold between 256 bins that leaves the largest variance between the two sides."""
    from scipy.ndimage import gaussian_filter

    one = np.random.default_rng(2).gamma(0.5, size=(56, 56))
    blurred = rescale(gaussian_filter(one, 1.0))
    counts, edges = np.histogram(blurred, 256, (0, 1))
    centres, best = (edges[:-1] + edges[1:]) / 2, (-1.0, 0.0)
    for k in range(1, 256):
        low, high = counts[:k].sum(), counts[k:].sum()
        if low and high:
            means = (counts[:k] * centres[:k]).sum() / low, (counts[k:] * centres[k:]).sum() / high
            best = max(best, (low * high * (means[1] - means[0]) ** 2, edges[k]))
    expected = rescale(1 / (1 + np.exp((best[1] - blurred) / 0.05)))
    np.testing.assert_allclose(common_transform(one[None])[0], expected, atol=1e-6)
