"""Whatever is done with a model, and wherever it fails, the model is left as it was found."""

import itertools
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import interpretation_of
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from vebi.activations.descriptors import describe
from vebi.activations.layers import Feature, choose_layers, list_layers
from vebi.activations.recorder import ActivationRecorder
from vebi.activations.table import tabulate
from vebi.backprop.receptive_field import receptive_fields
from vebi.data.sources import open_images
from vebi.errors import ModelError
from vebi.explanation.explain import explain_each
from vebi.interpretation.fit import interpret
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess

SIZE = 10
LAYERS = (("block.act", 4), ("block.act#2", 4), ("silu", 4))


class UnexpectedError(Exception):
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


def fail_at(net, n, error):
    """Raises ``error`` at the n-th of the moments at which some module is entered or left, and counts them."""
    moments = itertools.count(1)

    def moment():
        if next(moments) == n:
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
    of the last step, hooks of every kind; a classifier, an interpretation of it and six images."""
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
    found = interpretation_of(
        classifier,
        LAYERS,
        features=tuple(Feature(name, c) for name, channels in LAYERS for c in range(channels)),
        columns=tuple(range(12)),
        weights=np.ones((3, 12)),
    )
    images = np.random.default_rng(0).integers(0, 255, (6, SIZE, SIZE, 3), dtype=np.uint8)
    return classifier, found, images


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


def do_tabulate(classifier, images, folder):
    images = open_images([(image, 0) for image in images], classifier.class_names)
    layers = [layer for layer in choose_layers(classifier) if layer.name in NAMES]
    tabulate(classifier, images, layers, folder, batch_size=4, shard_size=6)


OPERATIONS = {
    "list_layers": lambda classifier, found, images, folder: list_layers(classifier),
    "receptive_fields": lambda classifier, found, images, folder: receptive_fields(classifier, NAMES),
    "tabulate": lambda classifier, found, images, folder: do_tabulate(classifier, images, folder),
    "interpret": lambda classifier, found, images, folder: interpret(
        classifier,
        [(image, i % 3) for i, image in enumerate(images)],
        labels="true",
        features_per_class=2,
        stability=False,  # it does not see the model
        out=folder,
    ),
    "explain": lambda classifier, found, images, folder: list(explain_each(found, list(images), batch_size=4)),
}


def raised_by(operation, error, *args):
    """The error that an operation ends in, or the one that it says it ends in; None where it comes through."""
    try:
        operation(*args)
    except error as raised:
        return raised
    except ModelError as raised:
        return raised.__cause__
    return None


GRADIENTS = ("receptive_fields", "interpret", "explain")  # these go backward through the network

quiet = pytest.mark.filterwarnings("ignore::vebi.errors.VebiWarning")  # a network like this one is near chance


@quiet
@pytest.mark.parametrize("mode", ["gradients", "no gradients", "inference"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_after_success(study, tmp_path, name, mode):
    classifier, *_ = study
    modes = {"gradients": nullcontext, "no gradients": torch.no_grad, "inference": torch.inference_mode}
    with modes[mode](), left_as_found(classifier.model):
        OPERATIONS[name](*study, tmp_path / "run")


@quiet
@pytest.mark.parametrize("error", [UnexpectedError, KeyboardInterrupt])
@pytest.mark.parametrize("name", OPERATIONS)
def test_after_an_error_in_any_module(study, tmp_path, name, error):
    """Every moment at which a module is entered or left, until the operation comes through."""
    classifier, *_ = study
    forwards = {part: part.forward for part in classifier.model.modules()}
    for n in itertools.count(1):
        for part, forward in forwards.items():
            part.forward = forward
        fail_at(classifier.model, n, error(n))
        with left_as_found(classifier.model):
            raised = raised_by(OPERATIONS[name], error, *study, tmp_path / str(n))
        if raised is None:
            break
        assert raised.args == (n,)
    assert n > 2 * len(forwards)  # at least one whole pass


@quiet
@pytest.mark.parametrize("error", [UnexpectedError, KeyboardInterrupt])
@pytest.mark.parametrize("name", OPERATIONS)
def test_after_an_error_while_activations_are_kept(study, tmp_path, name, error, monkeypatch):
    classifier, *_ = study
    record = ActivationRecorder._record
    for n in itertools.count(1):
        calls = itertools.count(1)

        def brittle(recorder, *args, n=n, calls=calls):
            keep = recorder._keep

            def failing(*args):
                if next(calls) == n:
                    raise error(n)
                return keep(*args)

            recorder._keep = failing
            try:
                record(recorder, *args)
            finally:
                recorder._keep = keep

        monkeypatch.setattr(ActivationRecorder, "_record", brittle)
        with left_as_found(classifier.model):
            raised = raised_by(OPERATIONS[name], error, *study, tmp_path / str(n))
        if raised is None:
            break
        assert raised.args == (n,)
    assert n > len(LAYERS)


@quiet
@pytest.mark.parametrize("hook", ["register_forward_pre_hook", "register_forward_hook"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_after_an_error_while_hooks_are_set(study, tmp_path, name, hook, monkeypatch):
    """The hooks that are set already go, too."""
    classifier, *_ = study
    register = getattr(nn.Module, hook)
    for n in (1, 2, 5):
        calls = itertools.count(1)

        def brittle(part, *args, n=n, calls=calls, **kwargs):
            if next(calls) == n:
                raise KeyboardInterrupt
            return register(part, *args, **kwargs)

        with monkeypatch.context() as patched, left_as_found(classifier.model):
            patched.setattr(nn.Module, hook, brittle)
            with pytest.raises(KeyboardInterrupt):
                OPERATIONS[name](*study, tmp_path / str(n))


@quiet
@pytest.mark.parametrize(
    "error", [UnexpectedError("backward"), KeyboardInterrupt("backward")], ids=["error", "interrupt"]
)
@pytest.mark.parametrize("name", GRADIENTS)
def test_after_an_error_in_the_backward_pass(study, tmp_path, name, error):
    classifier, *_ = study
    classifier.model.brittle = error
    with left_as_found(classifier.model):
        raised = raised_by(OPERATIONS[name], type(error), *study, tmp_path / "run")
    assert raised.args == error.args


@quiet
@pytest.mark.parametrize("error", [UnexpectedError, KeyboardInterrupt])
@pytest.mark.parametrize("name", GRADIENTS)
def test_after_an_error_in_place_of_a_backward_pass(study, tmp_path, name, error, monkeypatch):
    """The first, the second, ... of them, until the operation comes through."""
    classifier, *_ = study
    grad = torch.autograd.grad
    for n in itertools.count(1):
        calls = itertools.count(1)

        def brittle(*args, n=n, calls=calls, **kwargs):
            if next(calls) == n:
                raise error(n)
            return grad(*args, **kwargs)

        monkeypatch.setattr(torch.autograd, "grad", brittle)
        with left_as_found(classifier.model):
            raised = raised_by(OPERATIONS[name], error, *study, tmp_path / str(n))
        if raised is None:
            break
        assert raised.args == (n,)
    assert n > 2


@quiet
def test_the_errors_of_vebi_itself(study):
    """Scores that are refused, layers that do not exist or do not run."""
    classifier, found, images = study
    layers = choose_layers(classifier)
    for wrong in (torch.zeros(4), torch.full((4, 3), float("nan"))):
        classifier.model.head.forward = lambda x, wrong=wrong: wrong
        for name in OPERATIONS:
            with left_as_found(classifier.model), pytest.raises(Exception, match="scores"):
                OPERATIONS[name](classifier, found, images, None)
        del classifier.model.head.forward
    with left_as_found(classifier.model), pytest.raises(Exception, match="no layer is called"):
        choose_layers(classifier, ["elsewhere"])
    with left_as_found(classifier.model), pytest.raises(Exception, match="did not run"):
        receptive_fields(classifier, ["elsewhere"])
    classifier.model.eval()
    with left_as_found(classifier.model):
        describe(classifier, layers, torch.zeros(4, 3, SIZE, SIZE))


def test_between_two_explanations_and_after_the_last_that_was_asked_for(study):
    """A generator that waits holds nothing: the model can be trained in the meantime."""
    classifier, found, images = study
    with left_as_found(classifier.model):
        waiting = explain_each(found, list(images), batch_size=1)
        next(waiting)
        with left_as_found(classifier.model):
            next(waiting)
        waiting.close()
    waiting = explain_each(found, list(images), batch_size=1)
    next(waiting)
    classifier.model(torch.randn(4, 3, SIZE, SIZE)).sum().backward()
    assert classifier.model.training
    assert next(waiting).evidence


@quiet
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_model_still_learns_as_before(study, tmp_path, name):
    """One step of training with and without the operation before it, bit by bit."""
    classifier, *_ = study
    inputs = torch.randn(4, 3, SIZE, SIZE)

    def step():
        state = {key: value.clone() for key, value in classifier.model.state_dict().items()}
        torch.manual_seed(1)
        classifier.model.zero_grad()
        classifier.model(inputs).square().sum().backward()
        found = [bits(p.grad) for p in classifier.model.parameters()]
        classifier.model.load_state_dict(state)
        return found

    before = step()
    OPERATIONS[name](*study, tmp_path / "run")
    assert step() == before
    assert any(before)
