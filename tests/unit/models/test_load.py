"""Which preprocessing and class names a loaded classifier has, and what cannot be loaded."""

import inspect

import pytest
import torch

from vebi.errors import ModelError, UsageError
from vebi.models.load import find_device, load_classifier
from vebi.models.preprocess import Preprocess
from vebi.models.weights import read_note


def test_a_network_has_its_own_preprocessing(spec):
    classifier = load_classifier(spec())
    assert classifier.preprocess == Preprocess(8, (0.5,) * 3, (0.25,) * 3)
    assert classifier.class_names == ("a", "b")
    assert not classifier.model.training


def test_arguments_come_before_attributes(spec):
    classifier = load_classifier(spec(), mean=[0.1, 0.2, 0.3], std=[1, 2, 3], size=9, resize=10, class_names=["c", "d"])
    assert classifier.preprocess == Preprocess(9, (0.1, 0.2, 0.3), (1, 2, 3), 10)
    assert classifier.class_names == ("c", "d")


def test_arguments_come_before_the_checkpoint_and_that_before_attributes(checkpoint, tmp_path):
    path = checkpoint(tmp_path / "c.safetensors")
    stored = load_classifier(path)
    assert stored.preprocess == Preprocess(64, (0.5,) * 3, (0.2,) * 3)  # FlowerNet itself says 112 and 0.25
    assert stored.class_names == ("x", "y", "z")
    assert (stored.spec, stored.weights) == ("vebi:flowernet", str(path))
    assert load_classifier(path, size=72, class_names=["1", "2", "3"]).preprocess.size == 72
    assert load_classifier("vebi:flowernet", path).sha256() == stored.sha256()
    assert read_note(path) == {"seed": 1}


def test_resize_belongs_to_the_size_it_was_made_for(spec):
    body = "net = Net(); net.resize = 10; return net"
    assert load_classifier(spec(body)).preprocess.resize == 10
    assert load_classifier(spec(body), size=16).preprocess.resize is None


def test_interpolation_belongs_to_the_size_it_was_made_for(spec):
    body = "net = Net(); net.interpolation = 'bicubic'; return net"
    assert load_classifier(spec(body)).preprocess.interpolation == "bicubic"
    assert load_classifier(spec(body), size=16).preprocess.interpolation == "bilinear"
    assert load_classifier(spec(body), interpolation="nearest").preprocess.interpolation == "nearest"


def test_what_nobody_says_is_asked_for(spec):
    body = "net = Net(); net.mean = net.size = None; return net"
    with pytest.raises(UsageError, match="mean, size"):
        load_classifier(spec(body))
    assert load_classifier(spec(body), mean=[0, 0, 0], size=8).preprocess.mean == (0, 0, 0)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ("net = Net(); net.conv.bias.data[0] = torch.inf; return net", r"NaN.* conv\.bias"),
        ("net = Net(); net.forward = lambda x: (x,); return net", "tuple"),
        ("net = Net(); net.forward = lambda x: x; return net", r"\(1, 3, 8, 8\)"),
        ("net = Net(); net.conv = nn.Conv2d(1, 2, 3); return net", r"\(1, 3, 8, 8\)"),
        ("net = Net(); net.mean = 'a'; return net", "mean='a'"),
        ("net = Net(); net.size = (8, 8); return net", r"size=\(8, 8\)"),
        ("net = Net(); net.class_names = 3; return net", "class names"),
    ],
)
def test_networks_that_cannot_be_used(spec, body, facts):
    with pytest.raises(ModelError, match=facts):
        load_classifier(spec(body))


def test_a_network_is_no_spec():
    load = inspect.unwrap(load_classifier)  # without the checks of types, which would refuse it first
    with pytest.raises(
        UsageError, match=r"a Linear.* vebi\.Classifier\(network, vebi\.Preprocess\(\.\.\.\), class_names\)"
    ):
        load(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "mps", "CPU"])
def test_a_device_that_is_not_there(name):
    with pytest.raises(UsageError, match=f"{name!r}.* cpu"):
        find_device(name)


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert find_device("auto") == find_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto") == torch.device("cuda")
    assert find_device(torch.device("cpu")) == torch.device("cpu")
    assert find_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UsageError, match=r"'cuda:2'.*cuda:0, cuda:1"):
        find_device("cuda:2")
