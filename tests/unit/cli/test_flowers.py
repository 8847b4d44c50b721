"""`vebi flowers` and `vebi train`: a data set, and a checkpoint that is a model by itself."""

import pytest
from cli_support import fails, json_of, vebi

pytestmark = pytest.mark.usefixtures("workspace")


def test_flowers_train_and_layers():
    """A data set of the smallest kind and a checkpoint; both are left alone by other settings."""
    flowers = ("flowers", "data", "--images-per-class", 5, "--size", 16, "--seed", 1)
    assert json_of(*flowers)["images_per_class"] == 5
    assert "6 classes of 5 images with masks are in data" in vebi(*flowers).err
    assert "seed 1, not 0" in fails(3, *flowers[:-2])
    train = ("train", "data", "--out", "network.safetensors", "--epochs", 1)
    result = json_of(*train)
    assert result["images"] == 24
    assert result["held_out"] == 6
    assert 0 <= result["accuracy"] <= 1
    outcome = vebi(*train)
    assert f"accuracy {result['accuracy']:.2%}" in outcome.err
    assert "6 held-out images" in outcome.err
    assert "network.safetensors" in fails(3, *train, "--seed", 1)
    assert "network.safetensors" in fails(3, *train, "--folds-by", "frame")
    assert json_of("layers", "network.safetensors")[0]["height"] == 56  # half of the 112 that the network takes
    other = ("train", "data", "--out", "other.safetensors", "--epochs", 1, "--architecture", "flower-vgg")
    assert json_of(*other, "--folds-by", "frame")["held_out"] == 6
    assert json_of("layers", "other.safetensors")[0]["height"] == 112
