"""Many pictures and features at once give what each gives alone."""

import numpy as np
import pytest
import torch
from PIL import Image

import vebi
from vebi.activations.layers import Feature
from vebi.activations.recorder import Recorder
from vebi.backprop import heatmaps
from vebi.backprop.feature_maps import lead_back
from vebi.backprop.rules import pull_back
from vebi.errors import ImageError, UsageError

FEATURES = [Feature("relu1", 2), Feature("relu", 3), Feature("relu1", 5), Feature("relu", 0), Feature("conv2", 1)]


def alone(classifier, picture, feature, rule="guided", fix="centred"):
    """One feature of one picture, by a forward and a backward pass of its own."""
    inputs = picture[None].clone().requires_grad_()
    with Recorder(classifier.module, [feature.layer], lambda _, __, a: a.detach().clone()) as recorder:
        classifier.scores(inputs.clone())
    seed = torch.zeros_like(recorder.kept[feature.layer])
    seed[0, feature.channel] = recorder.kept[feature.layer][0, feature.channel]
    gradient = pull_back([recorder.edges[feature.layer]], [seed], inputs, rule=rule, stride_fix=fix)
    return heatmaps.from_gradient(gradient)[0].numpy()


@pytest.mark.parametrize(("rule", "fix"), [("guided", "centred"), ("gradient", None), ("deconvnet", "nearest")])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_equal_to_single_pictures_and_features(toy, squares, rule, fix, batch_size):
    paths = sorted(squares.rglob("*.png"))[::11]
    maps = vebi.feature_maps(toy, paths, FEATURES, rule=rule, stride_fix=fix, batch_size=batch_size)
    assert maps.shape == (len(paths), len(FEATURES), 32, 32) and maps.dtype == np.float32
    for n, path in enumerate(paths):
        picture = toy.preprocess.prepare(Image.open(path).convert("RGB"))
        for k, feature in enumerate(FEATURES):
            assert maps[n, k] == pytest.approx(alone(toy, picture, feature, rule, fix), rel=1e-3, abs=1e-5)
    assert maps.any(axis=(2, 3)).mean() > 0.5


def test_one_pass_a_feature_for_all_pictures_the_deepest_first(toy, monkeypatch):
    passes = []
    whole = pull_back

    def watched(starts, seeds, inputs, **options):
        passes.append([tuple(seed.shape) for seed in seeds])
        return whole(starts, seeds, inputs, **options)

    monkeypatch.setattr("vebi.backprop.feature_maps.pull_back", watched)
    lead_back(toy, torch.randn(4, 3, 32, 32), FEATURES)
    assert passes == 3 * [[(4, 12, 8, 8)]] + 2 * [[(4, 8, 16, 16)]]


def test_progress_and_bad_input(toy, squares, tmp_path):
    told = []
    vebi.feature_maps(toy, squares / "red", FEATURES[:1], batch_size=10, progress=lambda *a: told.append(a))
    assert told == [(10, 24), (20, 24), (24, 24)]
    with pytest.raises(UsageError, match="relu1 has 8 channels, so there is no relu1:8"):
        vebi.feature_maps(toy, squares / "red", [Feature("relu1", 8)])
    with pytest.raises(UsageError, match="no features are given"):
        vebi.feature_maps(toy, squares / "red", [])
    with pytest.raises(UsageError, match="the backward rule is 'lrp'"):
        vebi.feature_maps(toy, squares / "red", FEATURES, rule="lrp")
    (tmp_path / "bad.png").write_bytes(b"no")
    with pytest.raises(ImageError, match="bad.png"):
        vebi.feature_maps(toy, [tmp_path / "bad.png"], FEATURES)
