"""Many images and features at once give what each gives alone."""

import numpy as np
import pytest
import torch
from PIL import Image

import vebi
from vebi.activations.layers import Feature
from vebi.activations.recorder import ActivationRecorder
from vebi.backprop import heatmaps
from vebi.backprop.feature_maps import batch_feature_maps
from vebi.backprop.rules import rule_backward, rule_gradients
from vebi.errors import ImageError, UsageError

FEATURES = [Feature("relu1", 2), Feature("relu", 3), Feature("relu1", 5), Feature("relu", 0), Feature("conv2", 1)]


def alone(classifier, image, feature, rule="guided", fix="centred"):
    """One feature of one image, by a forward and a backward pass of its own."""
    inputs = image[None].clone().requires_grad_()
    with ActivationRecorder(classifier.model, [feature.layer], lambda _, __, a: a.detach().clone()) as recorder:
        classifier.logits(inputs.clone())
    seed = torch.zeros_like(recorder.records[feature.layer])
    seed[0, feature.channel] = recorder.records[feature.layer][0, feature.channel]
    gradient = rule_backward([recorder.gradient_edges[feature.layer]], [seed], inputs, rule=rule, stride_fix=fix)
    return heatmaps.positive_norm(gradient)[0].numpy()


@pytest.mark.parametrize(("rule", "fix"), [("guided", "centred"), ("gradient", None), ("deconvnet", "nearest")])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_equal_to_single_images_and_features(toy, squares, rule, fix, batch_size):
    paths = sorted(squares.rglob("*.png"))[::11]
    maps = vebi.feature_maps(toy, paths, FEATURES, rule=rule, stride_fix=fix, batch_size=batch_size)
    assert maps.shape == (len(paths), len(FEATURES), 32, 32)
    assert maps.dtype == np.float32
    for n, path in enumerate(paths):
        image = toy.preprocess.prepare(Image.open(path).convert("RGB"))
        for k, feature in enumerate(FEATURES):
            assert maps[n, k] == pytest.approx(alone(toy, image, feature, rule, fix), rel=1e-3, abs=1e-5)
    assert maps.any(axis=(2, 3)).mean() > 0.5


def test_one_pass_per_feature_for_all_images_the_deepest_first(toy, monkeypatch):
    passes = []

    def watched(starts, seeds, ends, **options):
        passes.append([tuple(seed.shape) for seed in seeds])
        return rule_gradients(starts, seeds, ends, **options)

    monkeypatch.setattr("vebi.backprop.feature_maps.rule_gradients", watched)
    batch_feature_maps(toy, torch.randn(4, 3, 32, 32), FEATURES)
    assert passes == 3 * [[(4, 12, 8, 8)]] + 2 * [[(4, 8, 16, 16)]]


def test_a_folder_with_a_single_class_folder(toy, squares, tmp_path):
    """All images in a folder are taken, whatever its folders are called; labels do not matter."""
    (tmp_path / "anything").symlink_to(squares / "red")
    expected = vebi.feature_maps(toy, sorted((squares / "red").iterdir()), FEATURES[:1])
    np.testing.assert_array_equal(vebi.feature_maps(toy, tmp_path, FEATURES[:1]), expected)


def test_progress_and_bad_input(toy, squares, tmp_path):
    calls = []
    vebi.feature_maps(toy, squares / "red", FEATURES[:1], batch_size=10, progress=lambda *a: calls.append(a))
    assert calls == [(10, 24), (20, 24), (24, 24)]
    with pytest.raises(UsageError, match=r"relu1 has 8 channels.*relu1:8"):
        vebi.feature_maps(toy, squares / "red", [Feature("relu1", 8)])
    with pytest.raises(UsageError, match="features"):
        vebi.feature_maps(toy, squares / "red", [])
    with pytest.raises(UsageError, match="'lrp'"):
        vebi.feature_maps(toy, squares / "red", FEATURES, rule="lrp")
    (tmp_path / "bad.png").write_bytes(b"no")
    with pytest.raises(ImageError, match=r"bad\.png"):
        vebi.feature_maps(toy, [tmp_path / "bad.png"], FEATURES)
