"""Networks that cannot be looked into are refused by what they are; those of torch.export can be."""

import warnings

import pytest
import torch
from support import ToyNet
from torch import nn
from torch.utils.checkpoint import checkpoint

from vebi.activations.layers import choose_layers
from vebi.errors import ModelError
from vebi.methods import GradCam, Gradient, GuidedBackprop
from vebi.models.classifier import Classifier
from vebi.models.load import load_classifier
from vebi.models.network_kind import check_finite
from vebi.models.preprocess import Preprocess

PREPROCESS = Preprocess(32, (0.5,) * 3, (0.25,) * 3)


def with_part(name, part):
    network = ToyNet()
    setattr(network, name, part)
    return network


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.eye(3).to_sparse())


class Masked(nn.Module):
    """A mask, as that of attention."""

    def __init__(self, persistent, masked=-torch.inf):
        super().__init__()
        self.register_buffer("mask", torch.full((3, 3), masked).triu(1), persistent=persistent)

    def forward(self, x):
        return x.relu()


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantisation of torch itself is deprecated
        return torch.ao.quantization.quantize_dynamic(ToyNet(), {nn.Linear}, dtype=torch.qint8)


REFUSED = {
    "lazy convolution": (lambda: with_part("conv1", nn.LazyConv2d(8, 3)), "is lazy, and conv1.weight"),
    "lazy norm": (lambda: with_part("relu1", nn.LazyBatchNorm2d()), "is lazy, and relu1.weight"),
    "meta": (lambda: ToyNet().to("meta"), "conv1.weight, .* meta device and have no values: load"),
    "sparse": (lambda: with_part("relu1", Sparse()), "the weights relu1.weight are sparse"),
    "quantised": (quantised, "is quantised"),
    "traced": (lambda: torch.jit.trace(ToyNet().eval(), torch.zeros(2, 3, 32, 32)), "scripted or traced"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:Lazy modules|`torch.jit")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_looked_into_is_refused(name, tmp_path, monkeypatch):
    make, sentence = REFUSED[name]
    with pytest.raises(ModelError, match=sentence):
        Classifier(make(), PREPROCESS, ToyNet.class_names)
    (tmp_path / "net.py").write_text("import builtins\ndef build():\n    return builtins.made_here")
    monkeypatch.setattr("builtins.made_here", make(), raising=False)
    with pytest.raises(ModelError, match=sentence):
        load_classifier(f"{tmp_path}/net.py:build", size=32, mean=[0.5] * 3, std=[0.25] * 3)


def nested(depth):
    part = nn.Identity()
    for _ in range(depth):
        part = nn.Sequential(part)
    return with_part("relu1", part)


def holding_itself():
    network = ToyNet()
    network.relu1.add_module("me", network)
    return network


def stopping():
    network = ToyNet()
    network._register_state_dict_hook(lambda *_: 1 / 0)
    return network


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: nested(1500), "RecursionError.*nest its modules less deep"),
        (lambda: nested(600), "RecursionError.*nest its modules less deep"),
        (holding_itself, "RecursionError.*let none hold itself"),
        (stopping, "ZeroDivisionError: division by zero.*leave .* state_dict as"),
    ],
    ids=range(4),
)
def test_parts_that_cannot_be_listed_are_said(make, sentence, tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text("import builtins\ndef build():\n    return builtins.made_here")
    monkeypatch.setattr("builtins.made_here", make(), raising=False)
    with pytest.raises(ModelError, match=sentence):
        load_classifier(f"{tmp_path}/net.py:build", size=32, mean=[0.5] * 3, std=[0.25] * 3)
    with pytest.raises(ModelError, match=r"RecursionError|ZeroDivisionError"):
        Classifier(make(), PREPROCESS, ToyNet.class_names).probe()


def test_lazy_parts_that_have_seen_an_image_are_as_any():
    network = with_part("linear", nn.LazyLinear(3))
    network(torch.zeros(1, 3, 32, 32))
    assert Classifier(network, PREPROCESS, ToyNet.class_names).probe().classes == 3


def test_a_mask_of_minus_infinity_is_no_broken_weight():
    for persistent in (False, True):
        check_finite(with_part("relu1", Masked(persistent)))


@pytest.mark.parametrize("masked", [torch.nan, torch.inf])
def test_a_buffer_that_holds_anything_else_that_is_not_finite_is_one(masked):
    with pytest.raises(ModelError, match=r"NaN or infinity in relu1\.mask"):
        check_finite(with_part("relu1", Masked(True, masked)))
    check_finite(with_part("relu1", Masked(False, masked)))  # made anew with the network, and not stored


def test_what_torch_export_made_is_explained_as_the_network():
    network = ToyNet().eval()
    batch = {"x": {0: torch.export.Dim("n")}}
    exported = torch.export.export(network, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=batch).module()
    one, other = (Classifier(module, PREPROCESS, ToyNet.class_names) for module in (network, exported))
    assert one.probe().scores == pytest.approx(other.probe().scores)
    assert [layer.kind for layer in choose_layers(other)] == [layer.kind for layer in choose_layers(one)]


class Ends(ToyNet):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, x):
        return self.change(super().forward(x))


def stops(kind):
    def stop(_):
        raise kind

    return stop


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x.to_sparse(), "scores are torch.sparse_coo, but a dense tensor"),
        (lambda x: x.to_sparse_csr(), "scores are torch.sparse_csr, but a dense tensor"),
        (stops(GeneratorExit), "the model fails .*GeneratorExit"),
        (stops(SystemExit(0)), "the model fails .*SystemExit"),
        (stops(BaseException("own")), "the model fails .*BaseException: own"),
        (stops(StopIteration), "the model fails .*StopIteration"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_whatever_ends_a_model_is_one_sentence(change, sentence):
    with pytest.raises(ModelError, match=sentence):
        Classifier(Ends(change), PREPROCESS, ToyNet.class_names).probe()


class Modes(ToyNet):
    """A network whose own ``eval``, ``train`` or ``to`` does what a test says."""

    def __init__(self, **methods):
        super().__init__()
        vars(self).update(methods)


def quits():
    raise SystemExit(0)


@pytest.mark.parametrize("name", ["eval", "train", "to"])
def test_what_a_method_of_a_network_returns_does_not_matter(spec, name):
    body = f"class Own(Net):\n        def {name}(self, *a): super().{name}(*a)\n    return Own()"
    network = load_classifier(spec(body))
    assert type(network.model).__name__ == "Own"
    assert not any(part.training for part in network.model.modules())


@pytest.mark.parametrize(
    ("methods", "fact"),
    [
        ({"eval": lambda: 1 / 0}, "ZeroDivisionError"),
        ({"eval": quits}, "SystemExit"),
        ({"eval": 3}, "TypeError"),
        ({"train": lambda: None}, "TypeError"),
    ],
)
def test_a_network_that_cannot_be_put_into_evaluation_mode(methods, fact):
    network = Classifier(Modes(**methods), PREPROCESS, ToyNet.class_names)
    with pytest.raises(ModelError, match=f"the model cannot be put into evaluation mode .*{fact}.*: leave eval"):
        network.probe()


def test_weights_of_inference_mode(spec):
    """They are loaded outside of it; no gradient leads to those that were made in it."""
    with torch.inference_mode():
        made, network = load_classifier(spec()), ToyNet()
    assert made.probe().classes == 2
    with pytest.raises(ModelError, match=r"conv1\.weight.* torch\.inference_mode"):
        Classifier(network, PREPROCESS, ToyNet.class_names)


class Breaks(torch.autograd.Function):
    """What has no way back."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        raise ZeroDivisionError("mine")


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("change", [Breaks.apply, lambda x: checkpoint(torch.clone, x, use_reentrant=True)])
def test_whatever_ends_a_backward_pass_is_one_sentence(change):
    network = Classifier(Ends(change), PREPROCESS, ToyNet.class_names)
    images, targets = torch.zeros(1, 3, 32, 32), torch.tensor([0])
    for explain in (GradCam(network), Gradient(network), GuidedBackprop(network)):
        with pytest.raises(ModelError, match=r"^no backward pass leads through the model \(.*: take out what"):
            explain(images, targets)


def test_an_interruption_is_no_error_of_the_model():
    with pytest.raises(KeyboardInterrupt):
        Classifier(Ends(stops(KeyboardInterrupt)), PREPROCESS, ToyNet.class_names).probe()
