"""Networks, images and libraries for comparisons."""

import warnings
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import SIZE, import_torchvision, interpretation_of
from unit.methods.nets import Plain, classifier_of

from vebi.activations.layers import Feature
from vebi.methods.cam import GradCam


@pytest.fixture
def plain():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return classifier_of(Plain().eval())


def smooth(size, count=6):
    """Blobs and noise."""
    noise = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise[:, :, ::4, ::4], size, mode="bilinear") + noise / 4


@pytest.fixture
def images():
    return smooth(SIZE)


@pytest.fixture
def targets():
    """As many classes as there are, and one again."""
    return torch.tensor([3, 0, 4, 1, 2, 0])


@pytest.fixture
def interpretation(toy):
    """Of a copy of the toy network, with weights of our own: every class has features of both layers."""
    net = deepcopy(toy.model)
    net.zero_grad()
    layers = (("relu1", 8), ("relu", 12))
    features = tuple(Feature(name, c) for name, channels in layers for c in range(channels))
    weights = np.random.default_rng(0).random((3, 20)) * (np.arange(60).reshape(3, 20) % 3 != 0)
    weights[:, 8:] *= 3
    return interpretation_of(
        replace(toy, model=net),
        layers,
        features=features,
        columns=tuple(range(20)),
        weights=weights,
    )


@pytest.fixture(scope="session")
def resnet():
    """A random ResNet-18 with its Grad-CAM and images, in double precision: there no ReLU is in doubt for rounding.
    Its ReLUs are in place and used twice."""
    net = import_torchvision().models.resnet18(num_classes=6).eval()
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.3, 1.5, generator=chance)
            elif value.ndim == 1:  # biases, means, and the factors of batch norm
                value.normal_(0.6 if name.endswith("weight") else 0, 0.3, generator=chance)
            elif value.ndim:
                value.normal_(0, 1.4 * value[0].numel() ** -0.5, generator=chance)
    classifier = classifier_of(net, 64)
    grad_cam = GradCam(classifier)
    net.double()
    return SimpleNamespace(
        net=net,
        classifier=classifier,
        grad_cam=grad_cam,
        images=smooth(64, 3).double(),
        targets=torch.tensor([5, 0, 2]),
    )


@pytest.fixture(scope="session")
def captum():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn
        return pytest.importorskip("captum.attr", reason="compared with captum, which is optional")


@pytest.fixture(scope="session")
def cams():
    """pytorch-grad-cam, which imports torchvision."""
    import_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn
        return pytest.importorskip("pytorch_grad_cam", reason="compared with pytorch-grad-cam, which is optional")


@pytest.fixture(scope="session")
def crp():
    """zennit-crp and the composites of zennit, which imports torchvision."""
    import_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn
        attribution = pytest.importorskip("crp.attribution", reason="compared with zennit-crp, which is optional")
        return SimpleNamespace(attribution=attribution, composites=pytest.importorskip("zennit.composites"))
