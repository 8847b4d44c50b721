import warnings

import numpy as np
import pytest
import torch
from torch import nn

from vebi.datasets.flowers import optimization
from vebi.datasets.flowers.labelled_pixels import LabelledPixels
from vebi.datasets.flowers.optimization import _batches, fixed_threads, optimize
from vebi.datasets.flowers.training_settings import TrainingSettings
from vebi.errors import VebiWarning
from vebi.models.architectures import ARCHITECTURES
from vebi.models.preprocess import Preprocess

SETTINGS = TrainingSettings(
    "data", epochs=1, fold=0, seed=0, architecture="any", folds_by="rotation", augment=False, permuted_labels=False
)


@pytest.mark.parametrize(
    ("count", "sizes", "even_sizes"),
    [
        (1, [1], [1]),
        (64, [64], [64]),
        (65, [64, 1], [33, 32]),
        (128, [64, 64], [64, 64]),
        (193, [64, 64, 64, 1], [49, 48, 48, 48]),
    ],
)
def test_batches(count, sizes, even_sizes):
    order = np.random.default_rng(0).permutation(count)
    for even, expected in ((False, sizes), (True, even_sizes)):
        batches = _batches(order, even)
        assert [len(batch) for batch in batches] == expected
        assert np.array_equal(np.concatenate(batches), order)


def train_on(count, network, state):
    """Trains a network for an epoch on so many images of noise; returns the sizes of its batches."""
    sizes = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    pixels = torch.randint(0, 256, (count, 112, 112, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = LabelledPixels(pixels, torch.arange(count) % 3, Preprocess(112, (0.5,) * 3, (0.25,) * 3))
    optimize(network, data, SETTINGS, state, None)
    return sizes


@pytest.mark.parametrize(
    ("name", "expected"), [("flowernet", [64, 1]), ("flower-vgg", [33, 32]), ("flower-resnet", [33, 32])]
)
def test_no_batch_norm_takes_its_statistics_from_a_rest(name, expected, tmp_path):
    network = ARCHITECTURES[name](3)
    assert train_on(65, network, tmp_path / "state") == expected
    assert not network.training


def test_a_single_image_can_be_trained_on(tmp_path):
    network = ARCHITECTURES["flower-resnet"](3)
    assert train_on(1, network, tmp_path / "state") == [1]
    assert all(value.isfinite().all() for value in network.state_dict().values())
    assert all(part.num_batches_tracked == 1 for part in network.modules() if isinstance(part, nn.BatchNorm2d))


@pytest.mark.parametrize(
    ("name", "value", "threads"),
    [
        ("OMP_THREAD_LIMIT", "1", 1),
        ("OMP_THREAD_LIMIT", "2", 2),
        ("OMP_THREAD_LIMIT", "many", 2),
        ("OMP_DYNAMIC", " TRUE", 1),
        ("OMP_DYNAMIC", "false", 2),
        ("OMP_MAX_ACTIVE_LEVELS", "0", 1),
        ("OMP_MAX_ACTIVE_LEVELS", "1", 2),
    ],
)
def test_threads_that_openmp_may_not_give_are_not_asked_for(monkeypatch, name, value, threads):
    """They would be waited for without end, so nothing is computed here."""
    monkeypatch.setattr(optimization, "THREADS", 2)
    monkeypatch.setenv(name, value)
    before = torch.get_num_threads()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with fixed_threads():
            assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == before
    assert [(w.category, name in str(w.message)) for w in said] == [(VebiWarning, True)] * (threads == 1)
