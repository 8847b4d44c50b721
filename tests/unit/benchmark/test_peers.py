"""LRP of zennit-crp on the reference networks, as benchmarks/peers.py has it."""

import copy
from pathlib import Path

import pytest
import torch
from support import load_script
from torch import nn

import vebi
from vebi.models.architectures import ARCHITECTURES

pytest.importorskip("crp.attribution", reason="zennit-crp is not installed")
PEERS = Path(__file__).parents[3] / "benchmarks" / "peers.py"


@pytest.fixture(params=ARCHITECTURES)
def classifier(request):
    torch.manual_seed(0)
    network = ARCHITECTURES[request.param](3)
    for _ in range(3):  # statistics of batch normalisation
        network(torch.randn(8, 3, 112, 112))
    for part in network.modules():
        if isinstance(part, nn.Linear | nn.Conv2d) and part.bias is not None:
            nn.init.zeros_(part.bias)
    return vebi.Classifier(network.eval(), vebi.Preprocess(112, network.mean, network.std), ("a", "b", "c"))


def test_relevance_is_of_the_target_and_the_network_stays_as_it_is(classifier, monkeypatch):
    images, parameters = torch.randn(2, 3, 112, 112), copy.deepcopy(classifier.model.state_dict())
    lrp = load_script(PEERS, "peers", monkeypatch).lrp(classifier)
    first, second = lrp(images, torch.tensor([0, 0])), lrp(images, torch.tensor([1, 1]))
    assert first.shape == (2, 112, 112)
    assert first.isfinite().all()
    assert first.abs().sum() > 0
    assert not torch.allclose(first, second)
    assert all(torch.equal(value, parameters[name]) for name, value in classifier.model.state_dict().items())
    assert all(parameter.requires_grad for parameter in classifier.model.parameters())


@pytest.mark.parametrize("name", ["flowernet", "flower-resnet"])
def test_a_mean_as_a_module_leaves_the_scores(name, monkeypatch):
    torch.manual_seed(0)
    network = ARCHITECTURES[name](3).eval()
    images = torch.randn(2, 3, 112, 112)
    changed = load_script(PEERS, "peers", monkeypatch)._with_mean_as_module(copy.deepcopy(network))
    assert torch.allclose(changed(images), network(images), atol=1e-6)
