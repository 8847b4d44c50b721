"""Whatever is done with a model, and wherever it fails, the model is left as it was found."""

import itertools
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import no_path
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from vebi.activations.descriptors import Descriptor, describe
from vebi.activations.layers import Feature, choose_layers, list_layers
from vebi.activations.recorder import Recorder
from vebi.activations.table import tabulate
from vebi.backprop.receptive_field import receptive_fields
from vebi.data.sources import open_images
from vebi.explanation.explain import explain, explanations
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import Interpretation
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

SIZE = 10
LAYERS = (("block.act", 4), ("block.act#2", 4), ("silu", 4))


class Failure(Exception):
    """Of the kind that nobody expects."""


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.norm(self.conv(self.act(x)))
        y += x
        return self.act(y)


class BrittleGradient(torch.autograd.Function):
    """Passes everything on; the backward pass fails where ``Net.brittle`` says so."""

    @staticmethod
    def forward(ctx, x, net):
        ctx.net = net
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        if ctx.net.brittle:
            raise ctx.net.brittle
        return g, None


class Net(nn.Module):
    """Statistics that training mode would change, a dropout, modules used twice and in place."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.block = Block()
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 3)
        self.brittle = None

    def forward(self, x):
        x = self.block(self.norm(self.conv(BrittleGradient.apply(x, self))))
        return self.head(self.drop(F.silu(x).mean((2, 3))))


def fail_at(net, place, error):
    """Raises ``error`` at the n-th of the moments at which some module is entered or left, and counts them."""
    moments = itertools.count(1)

    def moment():
        if next(moments) == place:
            raise error

    def wrapped(forward):
        def run(*inputs):
            moment()
            output = forward(*inputs)
            moment()
            return output

        return run

    for part in net.modules():
        part.forward = wrapped(part.forward)


@pytest.fixture
def study():
    """A network in the middle of its training, as a user may have it: parts in different modes, one frozen, gradients
    of the last step, hooks of every kind; a classifier, an interpretation of it and six pictures."""
    torch.manual_seed(0)
    net = Net().train()
    net.block.norm.eval()
    net.conv.bias.requires_grad_(False)
    for p in net.head.parameters():
        p.grad = torch.randn_like(p)
    net.conv.register_forward_pre_hook(lambda *_: None)
    net.conv.register_forward_hook(lambda *_: None)
    net.head.register_full_backward_pre_hook(lambda *_: None)
    net.head.register_full_backward_hook(lambda *_: None)
    net.block.register_state_dict_post_hook(lambda *_: None)
    net.head.weight.register_hook(lambda g: None)
    classifier = Classifier(net, Preprocess(SIZE, (0.5,) * 3, (0.5,) * 3), ("a", "b", "c"))
    found = Interpretation(
        classes=classifier.class_names,
        features=tuple(Feature(name, c) for name, channels in LAYERS for c in range(channels)),
        columns=tuple(range(12)),
        weights=np.ones((3, 12)),
        mu=1.0,
        gaps=np.zeros(3),
        layers=LAYERS,
        descriptor=Descriptor(),
        exemplars=(),
        path=no_path(3),
        stability=None,
        provenance={},
        classifier=classifier,
    )
    pictures = np.random.default_rng(0).integers(0, 255, (6, SIZE, SIZE, 3), dtype=np.uint8)
    return classifier, found, pictures


# --- what there is to change ------------------------------------------------------------------------------------------


def bits(tensor):
    return None if tensor is None else (tensor.dtype, tuple(tensor.shape), tensor.detach().numpy().tobytes())


def of_tensor(tensor):
    hooks = tuple(tensor._backward_hooks or ()), tuple(getattr(tensor, "_post_accumulate_grad_hooks", None) or ())
    return (
        id(tensor),
        bits(tensor),
        tensor.requires_grad,
        tensor.is_inference(),
        id(tensor.grad),
        bits(tensor.grad),
        hooks,
    )


def of_part(part):
    hooks = {
        name: list(value.items()) for name, value in vars(part).items() if "hook" in name and hasattr(value, "items")
    }
    others = {name: id(value) for name, value in vars(part).items() if name not in hooks and name != "training"}
    return type(part), part.training, hooks, others


def everything(net):
    """All that a model is, and all of PyTorch's state that a call could leave changed; random numbers as well."""
    return {
        "parts": {name: of_part(part) for name, part in net.named_modules()},
        "parameters": {name: of_tensor(p) for name, p in net.named_parameters()},
        "buffers": {name: of_tensor(b) for name, b in net.named_buffers()},
        "hooks of all modules": [
            list(value)
            for name, value in vars(nn.modules.module).items()
            if name.startswith("_global") and hasattr(value, "items")
        ],
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dispatch modes": _get_current_dispatch_mode_stack(),
        "function modes": torch.overrides._get_current_function_mode_stack(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "random": (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),
    }


@contextmanager
def left_as_found(net):
    before = everything(net)
    yield
    after = everything(net)
    for name in before:
        assert after[name] == before[name], name


# --- what is done -----------------------------------------------------------------------------------------------------

NAMES = [name for name, _ in LAYERS]


def do_tabulate(classifier, pictures, folder):
    images = open_images([(picture, 0) for picture in pictures], classifier.class_names)
    layers = [layer for layer in choose_layers(classifier) if layer.name in NAMES]
    tabulate(classifier, images, layers, folder, batch_size=4, shard_size=6)


OPERATIONS = {
    "list_layers": lambda classifier, found, pictures, folder: list_layers(classifier),
    "receptive_fields": lambda classifier, found, pictures, folder: receptive_fields(classifier, NAMES),
    "tabulate": lambda classifier, found, pictures, folder: do_tabulate(classifier, pictures, folder),
    "interpret": lambda classifier, found, pictures, folder: interpret(
        classifier,
        [(picture, i % 3) for i, picture in enumerate(pictures)],
        labels="true",
        mu=0.5,
        stability=False,  # it does not see the model
        out=folder,
    ),
    "explain": lambda classifier, found, pictures, folder: explain(found, list(pictures), batch_size=4),
}
GRADIENTS = ("receptive_fields", "interpret", "explain")  # these go backward through the network

quiet = pytest.mark.filterwarnings("ignore::vebi.errors.VebiWarning")  # a network like this one is near chance


@quiet
@pytest.mark.parametrize("mode", ["gradients", "no gradients", "inference"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_after_success(study, tmp_path, name, mode):
    classifier, *_ = study
    modes = {"gradients": nullcontext, "no gradients": torch.no_grad, "inference": torch.inference_mode}
    with modes[mode](), left_as_found(classifier.module):
        OPERATIONS[name](*study, tmp_path / "run")


@quiet
@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt])
@pytest.mark.parametrize("name", OPERATIONS)
def test_after_an_error_in_any_module(study, tmp_path, name, error):
    """Every moment at which a module is entered or left, until the operation comes through."""
    classifier, *_ = study
    forwards = {part: part.forward for part in classifier.module.modules()}
    for place in itertools.count(1):
        for part, forward in forwards.items():
            part.forward = forward
        fail_at(classifier.module, place, error(place))
        with left_as_found(classifier.module):
            try:
                OPERATIONS[name](*study, tmp_path / str(place))
            except error as raised:
                assert raised.args == (place,)
            else:
                break
    assert place > 2 * len(forwards)  # at least one whole pass


@quiet
@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt])
@pytest.mark.parametrize("name", OPERATIONS)
def test_after_an_error_while_activations_are_kept(study, tmp_path, name, error, monkeypatch):
    classifier, *_ = study
    record = Recorder._record
    for place in itertools.count(1):
        calls = itertools.count(1)

        def brittle(recorder, *args, place=place, calls=calls):
            keep = recorder._keep

            def failing(*args):
                if next(calls) == place:
                    raise error(place)
                return keep(*args)

            recorder._keep = failing
            try:
                record(recorder, *args)
            finally:
                recorder._keep = keep

        monkeypatch.setattr(Recorder, "_record", brittle)
        with left_as_found(classifier.module):
            try:
                OPERATIONS[name](*study, tmp_path / str(place))
            except error as raised:
                assert raised.args == (place,)
            else:
                break
    assert place > len(LAYERS)


@quiet
@pytest.mark.parametrize("hook", ["register_forward_pre_hook", "register_forward_hook"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_after_an_error_while_hooks_are_set(study, tmp_path, name, hook, monkeypatch):
    """The hooks that are set already go, too."""
    classifier, *_ = study
    register = getattr(nn.Module, hook)
    for place in (1, 2, 5):
        calls = itertools.count(1)

        def brittle(part, *args, place=place, calls=calls, **kwargs):
            if next(calls) == place:
                raise KeyboardInterrupt
            return register(part, *args, **kwargs)

        with monkeypatch.context() as patched, left_as_found(classifier.module):
            patched.setattr(nn.Module, hook, brittle)
            with pytest.raises(KeyboardInterrupt):
                OPERATIONS[name](*study, tmp_path / str(place))


@quiet
@pytest.mark.parametrize("error", [Failure("backward"), KeyboardInterrupt("backward")], ids=["error", "interrupt"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_after_an_error_in_the_backward_pass(study, tmp_path, name, error):
    classifier, *_ = study
    classifier.module.brittle = error
    with left_as_found(classifier.module):
        with pytest.raises(type(error), match="backward"):
            OPERATIONS[name](*study, tmp_path / "run")


@quiet
@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt])
@pytest.mark.parametrize("name", GRADIENTS)
def test_after_an_error_in_place_of_a_backward_pass(study, tmp_path, name, error, monkeypatch):
    """The first, the second, ... of them, until the operation comes through."""
    classifier, *_ = study
    grad = torch.autograd.grad
    for place in itertools.count(1):
        calls = itertools.count(1)

        def brittle(*args, place=place, calls=calls, **kwargs):
            if next(calls) == place:
                raise error(place)
            return grad(*args, **kwargs)

        monkeypatch.setattr(torch.autograd, "grad", brittle)
        with left_as_found(classifier.module):
            try:
                OPERATIONS[name](*study, tmp_path / str(place))
            except error as raised:
                assert raised.args == (place,)
            else:
                break
    assert place > 2


@quiet
def test_the_errors_of_vebi_itself(study):
    """Scores that are refused, layers that do not exist or do not run."""
    classifier, found, pictures = study
    layers = choose_layers(classifier)
    for wrong in (torch.zeros(4), torch.full((4, 3), float("nan"))):
        classifier.module.head.forward = lambda x, wrong=wrong: wrong
        for name in OPERATIONS:
            with left_as_found(classifier.module), pytest.raises(Exception, match="scores"):
                OPERATIONS[name](classifier, found, pictures, None)
        del classifier.module.head.forward
    with left_as_found(classifier.module), pytest.raises(Exception, match="no layer is called"):
        choose_layers(classifier, ["elsewhere"])
    with left_as_found(classifier.module), pytest.raises(Exception, match="did not run"):
        receptive_fields(classifier, ["elsewhere"])
    classifier.module.eval()
    with left_as_found(classifier.module):
        describe(classifier, layers, torch.zeros(4, 3, SIZE, SIZE), Descriptor())


def test_between_two_explanations_and_after_the_last_that_was_asked_for(study):
    """A generator that waits holds nothing: the model can be trained in the meantime."""
    classifier, found, pictures = study
    with left_as_found(classifier.module):
        waiting = explanations(found, list(pictures), batch_size=1)
        next(waiting)
        with left_as_found(classifier.module):
            next(waiting)
        waiting.close()
    waiting = explanations(found, list(pictures), batch_size=1)
    next(waiting)
    classifier.module(torch.randn(4, 3, SIZE, SIZE)).sum().backward()
    assert classifier.module.training and next(waiting).evidence


@quiet
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_model_still_learns_as_before(study, tmp_path, name):
    """One step of training with and without the operation before it, bit by bit."""
    classifier, *_ = study
    inputs = torch.randn(4, 3, SIZE, SIZE)

    def step():
        state = {key: value.clone() for key, value in classifier.module.state_dict().items()}
        torch.manual_seed(1)
        classifier.module.zero_grad()
        classifier.module(inputs).square().sum().backward()
        found = [bits(p.grad) for p in classifier.module.parameters()]
        classifier.module.load_state_dict(state)
        return found

    before = step()
    OPERATIONS[name](*study, tmp_path / "run")
    assert step() == before and any(before)
