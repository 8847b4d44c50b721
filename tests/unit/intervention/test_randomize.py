"""Which parameters become random, that all others and the model itself stay, and how layers are counted."""

import math
from dataclasses import replace
from threading import Lock

import pytest
import torch
import torch.nn.functional as F
from support import import_torchvision
from torch import nn

from vebi.errors import ModelError, UsageError
from vebi.intervention.randomize import parameter_layers, randomized_copy
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

MODES = ("cascading", "independent")


def classifier_of(net, size=8):
    return Classifier(net, Preprocess(size, (0.5,) * 3, (0.25,) * 3))


def trained(net, by=5.0):
    """With values that no initialisation gives."""
    with torch.no_grad():
        for value in (*net.parameters(), *net.buffers()):
            if value.is_floating_point():
                value.add_(by + by * torch.rand(value.shape))
    return net.eval()


class Net(nn.Module):
    """Registered from the output to the input; with norms, a parameter of its own, and a layer that never runs."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.unused = nn.Linear(2, 2)
        self.norm2 = nn.BatchNorm2d(4, affine=False)
        self.conv2 = nn.Conv2d(4, 4, 3)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(x)))
        return self.head(F.relu(self.norm2(self.conv2(x))).mean(dim=(2, 3)))


@pytest.fixture
def net():
    return classifier_of(trained(Net()))


def changed(one, other):
    """Names of the parameters and buffers that differ."""
    before, after = one.model.state_dict(), other.model.state_dict()
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


HEAD = {"head.weight", "head.bias"}
SECOND = {"conv2.weight", "conv2.bias", "norm2.running_mean", "norm2.running_var"}
FIRST = {"conv1.weight", *(f"norm1.{name}" for name in ("weight", "bias", "running_mean", "running_var"))}


def test_layers_stand_in_the_order_in_which_they_run(toy):
    class Plain(Net):
        def __init__(self):
            super().__init__()
            del self.unused

    assert parameter_layers(classifier_of(Plain())) == ["conv1", "conv2", "head"]
    assert parameter_layers(toy) == ["conv1", "conv2", "linear"]


def test_what_does_not_run_belongs_to_what_runs_around_it(net):
    assert parameter_layers(net) == ["", "conv1", "conv2", "head"]
    assert changed(net, randomized_copy(net, last=4, mode="independent")) == {"unused.weight", "unused.bias"}


def test_cascading_and_independent(net):
    expected = [HEAD, SECOND, FIRST]
    for last in (1, 2, 3):
        cascading = changed(net, randomized_copy(net, last=last))
        assert cascading == set().union(*expected[:last])
        assert changed(net, randomized_copy(net, last=last, mode="independent")) == expected[last - 1]


def test_what_is_drawn_is_as_before_training(net):
    model = randomized_copy(net, last=3).model
    for layer, fan_in in ((model.conv1, 27), (model.conv2, 36), (model.head, 4)):
        bound = 1 / math.sqrt(fan_in)  # of PyTorch's uniform distribution; trained values are above 5
        assert layer.weight.abs().max() <= bound
        assert layer.weight.abs().max() > bound / 2
    assert (model.norm1.weight == 1).all()
    assert (model.norm1.bias == 0).all()
    for norm in (model.norm1, model.norm2):
        assert (norm.running_mean == 0).all()
        assert (norm.running_var == 1).all()


@pytest.mark.parametrize("mode", MODES)
def test_seeds(net, mode):
    one, same, other = (randomized_copy(net, last=3, mode=mode, seed=seed) for seed in (0, 0, 1))
    assert changed(one, same) == set()
    assert "conv1.weight" in changed(one, other)


def test_a_longer_cascade_adds_a_layer_and_nothing_else(net):
    copies = [randomized_copy(net, last=last) for last in (1, 2, 3)]
    assert changed(copies[0], copies[1]) == SECOND
    assert changed(copies[1], copies[2]) == FIRST


@pytest.mark.parametrize("mode", MODES)
def test_model_and_random_state_are_left_as_they_were(net, mode):
    net.model.conv2.weight.requires_grad_(False)
    net.model.train()
    net.model.head.eval()
    before, state = net.sha256(), torch.get_rng_state()
    copy = randomized_copy(net, last=4, mode=mode)
    assert net.sha256() == before != copy.sha256()
    assert torch.equal(torch.get_rng_state(), state)
    assert [p.requires_grad for p in copy.model.parameters()] == [p.requires_grad for p in net.model.parameters()]
    for model in (net.model, copy.model):
        assert (model.training, model.head.training, model.norm1.training) == (True, False, True)
        assert not any(part._forward_pre_hooks for part in model.modules())
    own = {p.data_ptr() for p in net.model.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in copy.model.parameters())
    with torch.no_grad():
        copy.model.conv1.weight.zero_()
    assert net.sha256() == before


class UnexpectedError(Exception):
    """Of the kind that nobody expects."""


class Brittle(nn.Linear):
    """Fails where the test says so."""

    fails = ""

    def forward(self, x):
        if self.fails == "forward":
            raise UnexpectedError
        return super().forward(x.flatten(1))

    def reset_parameters(self):
        if self.fails == "reset":
            raise UnexpectedError
        super().reset_parameters()


@pytest.mark.parametrize("place", ["forward", "reset"])
def test_after_an_error_too(place):
    classifier = classifier_of(nn.Sequential(nn.Conv2d(3, 2, 1), Brittle(128, 3)))
    classifier.model[1].fails = place
    before, state = classifier.sha256(), torch.get_rng_state()
    with pytest.raises(UnexpectedError if place == "reset" else ModelError):
        randomized_copy(classifier, last=2)
    assert classifier.sha256() == before
    assert torch.equal(torch.get_rng_state(), state)
    assert classifier.model.training
    assert not any(part._forward_pre_hooks for part in classifier.model.modules())


def test_a_network_that_cannot_be_copied():
    classifier = classifier_of(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)))
    classifier.model.lock = Lock()
    with pytest.raises(ModelError, match=r"TypeError.*lock.*deepcopy"):
        randomized_copy(classifier, last=1)


def test_the_copy_names_no_file(net):
    loaded = replace(net, class_names=("a", "b", "c"), spec="network.py:build", weights="network.safetensors")
    copy = randomized_copy(loaded, last=1)
    assert (copy.spec, copy.weights) == (None, None)
    assert (copy.class_names, copy.preprocess) == (loaded.class_names, loaded.preprocess)


class Scale(nn.Module):
    """A layer without ``reset_parameters``."""

    def __init__(self):
        super().__init__()
        self.factors = nn.Parameter(torch.arange(1.0, 193))

    def forward(self, x):
        return x.flatten(1) * self.factors


def test_values_are_permuted_where_nothing_resets_them():
    classifier = classifier_of(nn.Sequential(Scale(), nn.Linear(192, 3)))
    factors = randomized_copy(classifier, last=2, mode="independent").model[0].factors
    assert not torch.equal(factors, classifier.model[0].factors)
    assert torch.equal(factors.detach().sort().values, classifier.model[0].factors.detach())


class WeightStandardised(nn.Linear):
    """Its ``reset_parameters`` knows nothing of the parameter that counts."""

    def __init__(self):
        super().__init__(192, 3)
        self.direction = nn.Parameter(torch.randn(3, 192))

    def forward(self, x):
        return F.linear(x.flatten(1), self.direction, self.bias)


def test_parameters_that_a_reset_leaves_alone_are_permuted():
    classifier = classifier_of(WeightStandardised())
    copy = randomized_copy(classifier, last=1)
    assert changed(classifier, copy) == {"weight", "bias", "direction"}
    one, other = (c.model.direction.detach().flatten().sort().values for c in (classifier, copy))
    assert torch.equal(one, other)


class Resetting(nn.Module):
    """Resets all that is inside it."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(192, 4)
        self.gain = nn.Parameter(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        self.second = nn.Linear(4, 3)

    def reset_parameters(self):
        self.first.reset_parameters()
        self.second.reset_parameters()

    def forward(self, x):
        return self.second(self.first(x.flatten(1)) * self.gain)


def test_a_layer_does_not_reset_those_inside_it():
    classifier = classifier_of(Resetting())
    assert parameter_layers(classifier) == ["", "first", "second"]
    assert changed(classifier, randomized_copy(classifier, last=3, mode="independent")) == {"gain"}


class Reused(nn.Module):
    """The first layer runs again at the end; one weight belongs to two layers."""

    def __init__(self):
        super().__init__()
        self.flat = nn.Flatten()
        self.a, self.b, self.c = nn.Linear(192, 192), nn.Linear(192, 192), nn.Linear(192, 192)
        self.c.weight = self.b.weight

    def forward(self, x):
        return self.a(self.c(self.b(self.a(self.flat(x)))))


def test_a_layer_that_runs_twice_stands_where_it_runs_last():
    classifier = classifier_of(Reused())
    assert parameter_layers(classifier) == ["b", "c", "a"]
    copy = randomized_copy(classifier, last=2, mode="independent")
    assert changed(classifier, copy) == {"b.weight", "c.weight", "c.bias"}
    assert copy.model.b.weight is copy.model.c.weight


def test_a_norm_before_any_layer_is_one():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(192, 3))
    classifier = classifier_of(trained(net))
    assert parameter_layers(classifier) == ["0", "3"]
    names = {f"{i}.{name}" for i in (0, 1) for name in ("weight", "bias", "running_mean", "running_var")}
    assert changed(classifier, randomized_copy(classifier, last=2, mode="independent")) == names


class Attention(nn.Module):
    """Its ``out_proj`` has parameters and never runs: the attention around it uses them."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.lists = nn.ParameterList([torch.rand(8), torch.rand(8)])
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = x.flatten(2) + self.lists[0].repeat(8) * self.lists[1].repeat(8)
        x = x.view(len(x), -1, 8)
        return self.head(self.norm(self.attention(x, x, x)[0]).mean(dim=1))


def test_attention():
    classifier = classifier_of(trained(Attention()))
    assert parameter_layers(classifier) == ["", "attention", "head"]
    names = {"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"}
    expected = {f"attention.{name}" for name in names} | {"norm.weight", "norm.bias"}
    assert changed(classifier, randomized_copy(classifier, last=2, mode="independent")) == expected
    assert changed(classifier, randomized_copy(classifier, last=3, mode="independent")) == {"lists.0", "lists.1"}


def resnet(models):
    return models.resnet18(num_classes=3)


def transformer(models):
    return models.VisionTransformer(32, 16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=3)


@pytest.mark.parametrize(
    ("make", "count", "end"),
    [
        (resnet, 21, ["layer4.1.conv2", "fc"]),
        (transformer, 10, ["encoder.layers.encoder_layer_1.mlp.3", "heads.head"]),
    ],
)
def test_networks_of_torchvision(make, count, end):
    """Of a whole cascade no trained value is left, and the first step after the head takes a norm along."""
    classifier = classifier_of(trained(make(import_torchvision().models), 0.01), size=32)
    names = parameter_layers(classifier)
    assert len(names) == count
    assert names[-2:] == end
    values = {name for name, value in classifier.model.state_dict().items() if value.is_floating_point()}
    assert changed(classifier, randomized_copy(classifier, last=count)) == values
    second = changed(classifier, randomized_copy(classifier, last=2, mode="independent"))
    assert {name.rpartition(".")[0] for name in second} == {
        end[0],
        "layer4.1.bn2" if make is resnet else "encoder.ln",
    }


@pytest.mark.parametrize(("last", "fact"), [(0, "last is 0.* 4"), (5, "last is 5.* 4")])
def test_layers_that_are_not_there(net, last, fact):
    with pytest.raises(UsageError, match=fact):
        randomized_copy(net, last=last)


def test_another_mode(net):
    with pytest.raises(UsageError, match=r"'all'.*cascading.*independent"):
        randomized_copy(net, last=1, mode="all")


def test_the_scores_change(toy):
    """What is asked of a sanity check: the network no longer tells the classes apart as it did."""
    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = toy.logits(images)
        for mode in MODES:
            for last in (1, 2, 3):
                after = randomized_copy(toy, last=last, mode=mode).logits(images)
                assert (after - before).abs().max() > 0.1
