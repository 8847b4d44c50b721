"""The pointing game against values worked out by hand and Quantus."""

import warnings

import numpy as np
import pytest
import torch

from vebi.metrics.pointing import pointing_game


def score(heat, mask):
    return pointing_game(torch.tensor([heat]).float(), torch.tensor([mask]).bool()).item()


def test_by_hand():
    mask = [[1, 0, 0], [1, 0, 0]]
    assert score([[9, 8, 8], [0, 8, 8]], mask) == 1
    assert score([[8, 9, 8], [8, 8, 8]], mask) == 0
    assert score([[9, 9, 0], [9, 0, 9]], mask) == 1 / 2  # two of four
    assert score([[0, 9, 0], [9, 9, 0]], mask) == pytest.approx(1 / 3)
    assert score([[0, 9, 0], [8, 0, 0]], mask) == 0  # beside the mask: no tolerance


def test_special_maps():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0, :3] = True
    perfect = mask.float()
    assert pointing_game(perfect, mask).item() == 1
    assert pointing_game(1 - perfect, mask).item() == 0
    for constant in (0.0, 0.7):
        assert pointing_game(torch.full((1, 4, 4), constant), mask).item() == 3 / 16
    assert pointing_game(torch.rand(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)).item() == 1


def test_against_quantus():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn
        quantus = pytest.importorskip("quantus", reason="compared with quantus, which is optional")
        reference = quantus.PointingGame(disable_warnings=True)
    rng = np.random.default_rng(0)
    maps = rng.permuted(np.tile(np.arange(30), (64, 1)), axis=1).reshape(64, 5, 6).astype(np.float32)
    masks = rng.random((64, 5, 6)) < 0.4
    masks[:, 0, 0] = True
    expected = np.array(reference.evaluate_batch(a_batch=maps[:, None], s_batch=masks[:, None]), float)
    assert 0 < expected.mean() < 1
    assert pointing_game(torch.from_numpy(maps), torch.from_numpy(masks)).tolist() == expected.tolist()
