"""The reference networks by name, and as the networks of checkpoints."""

import inspect

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vebi.errors import ModelError, UsageError
from vebi.models.architectures import ARCHITECTURES, find_architecture
from vebi.models.flower_resnet import FlowerResNet
from vebi.models.load import load_classifier
from vebi.models.preprocess import Preprocess
from vebi.models.weights import save_checkpoint

NAMES = ("flowernet", "flower-resnet", "flower-vgg")


def write(path, name, size=112):
    torch.manual_seed(0)
    network = find_architecture(name)(3).eval()
    save_checkpoint(path, network, f"vebi:{name}", Preprocess(size, (0.4,) * 3, (0.2,) * 3), "xyz", {})
    return network


def test_names():
    assert tuple(ARCHITECTURES) == NAMES
    assert find_architecture("flower-resnet") is FlowerResNet
    with pytest.raises(UsageError, match=r"'resnet18'.*flowernet, flower-resnet, flower-vgg"):
        find_architecture("resnet18")


@pytest.mark.parametrize("name", NAMES)
def test_each_says_its_preprocessing_and_ends_in_a_linear_layer(name):
    network = ARCHITECTURES[name](5)
    assert (network.mean, network.std, network.size) == ((0.5,) * 3, (0.25,) * 3, 112)
    assert list(inspect.signature(ARCHITECTURES[name]).parameters) == ["n_classes"]
    assert isinstance(network.linear, nn.Linear)
    assert network.linear.out_features == 5  # by its bias the number of classes of a file of weights is known


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_may_name_it(name, tmp_path):
    path, images = tmp_path / "c.safetensors", torch.randn(2, 3, 112, 112)
    network = write(path, name)
    classifier = load_classifier(path)
    assert (classifier.spec, classifier.class_names) == (f"vebi:{name}", ("x", "y", "z"))
    assert classifier.preprocess == Preprocess(112, (0.4,) * 3, (0.2,) * 3)
    assert torch.equal(classifier.logits(images), network(images))
    assert load_classifier(f"vebi:{name}", path).sha256() == classifier.sha256()


@pytest.mark.parametrize("name", NAMES)
def test_it_needs_weights_of_its_own(name, tmp_path):
    with pytest.raises(ModelError, match=f"vebi:{name} .*`vebi train`"):
        load_classifier(f"vebi:{name}")
    other = NAMES[(NAMES.index(name) + 1) % 3]
    save_file(ARCHITECTURES[other](3).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"w\.safetensors does not fit the network"):
        load_classifier(f"vebi:{name}", tmp_path / "w.safetensors")


def test_a_size_that_a_network_cannot_take_is_said(tmp_path):
    write(tmp_path / "c.safetensors", "flower-vgg")
    with pytest.raises(ModelError, match=r"\(1, 3, 64, 64\).*check size"):
        load_classifier(tmp_path / "c.safetensors", size=64)


@pytest.mark.parametrize("model", ["vebi:architectures", "vebi:../flowernet", "vebi:network.py:build", "vebi:"])
def test_no_other_name_leads_to_code(checkpoint, tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.py").write_text("raise SystemExit('executed')\n")
    with pytest.raises(UsageError, match="names no model"):
        load_classifier(checkpoint(tmp_path / "c.safetensors", model=model))
