"""How networks end, whether the scores of an image are its own, and in which precision they are computed."""

import re
import threading
import warnings
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import SIZE, ToyNet
from torch import nn

import vebi
from vebi.activations.descriptors import describe
from vebi.activations.layers import choose_layers
from vebi.errors import ModelError, VebiWarning
from vebi.explanation.explain import explain
from vebi.interpretation.fit import interpret
from vebi.interpretation.result import load
from vebi.models.classifier import Classifier
from vebi.models.preprocess import Preprocess
from vebi.models.probe import are_same


class Ends(nn.Module):
    """A network and a function of its scores."""

    def __init__(self, network, end):
        super().__init__()
        self.network, self.end = network, end

    def forward(self, x):
        return self.end(self.network(x))


def ending_in(toy, end):
    return replace(toy, model=Ends(toy.model, end).eval())


def attend(x):
    """A gate of softmax and sigmoid, which is not the end."""
    return x * x.softmax(dim=1) + x.sigmoid()


SOFTMAX = {
    "function": lambda x: F.softmax(x, dim=1),
    "method": lambda x: x.softmax(-1),
    "torch": lambda x: torch.softmax(x, 1),
    "module": nn.Softmax(dim=1),
    "keyword": lambda x: torch.softmax(input=x, dim=1),
    "overload": lambda x: torch.ops.aten.softmax.int(x, 1),
    "inner operator": lambda x: torch.ops.aten._softmax.default(x, 1, False),
    "two dimensions more": lambda x: nn.Softmax2d()(x[:, :, None, None]).flatten(1),
    "in double precision": lambda x: F.softmax(x, dim=1, dtype=torch.float64).float(),
    "logarithm": lambda x: F.log_softmax(x, dim=1),
    "module of the logarithm": nn.LogSoftmax(dim=1),
}
SIGMOID = {
    "function": torch.sigmoid,
    "method": lambda x: x.sigmoid(),
    "module": nn.Sigmoid(),
    "in place": lambda x: x.sigmoid_(),
    "special": torch.special.expit,
    "logarithm": F.logsigmoid,
}


@pytest.mark.parametrize("name", SOFTMAX)
def test_a_final_softmax_is_taken_off(toy, name):
    ended, inputs = ending_in(toy, SOFTMAX[name]), 8 * torch.randn(3, 3, SIZE, SIZE)
    assert ended.probe().ending == "softmax"
    scores = ended.logits(inputs)
    assert torch.equal(scores, toy.logits(inputs))
    outputs = ended.model(inputs)
    outputs = outputs if outputs.min() >= 0 else outputs.exp()
    torch.testing.assert_close(ended.probabilities(scores), outputs)


@pytest.mark.parametrize("name", SIGMOID)
def test_a_final_sigmoid_is_taken_off_and_its_probabilities_are_kept(toy, name):
    ended, inputs = ending_in(toy, SIGMOID[name]), 8 * torch.randn(3, 3, SIZE, SIZE)
    assert ended.probe().ending == "sigmoid"
    scores = ended.logits(inputs)
    assert torch.equal(scores, toy.logits(inputs))
    outputs = ended.model(inputs)
    torch.testing.assert_close(ended.probabilities(scores), outputs if outputs.min() >= 0 else outputs.exp())


@pytest.mark.parametrize("end", [*SOFTMAX.values(), *SIGMOID.values()])
def test_gradients_are_those_of_the_scores(toy, end):
    def gradient(classifier):
        inputs = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0), requires_grad=True)
        return torch.autograd.grad(classifier.logits(inputs)[:, 1].sum(), inputs)[0]

    assert torch.equal(gradient(ending_in(toy, end)), gradient(toy))


@pytest.mark.parametrize(
    "end", [lambda x: x, attend, lambda x: 3 * x.sigmoid(), lambda x: x.softmax(dim=1) - x, F.relu6], ids=range(5)
)
def test_what_is_no_final_softmax_or_sigmoid_is_left_alone(toy, end):
    ended, inputs = ending_in(toy, end), torch.randn(2, 3, SIZE, SIZE)
    assert ended.probe().ending == "scores"
    assert torch.equal(ended.logits(inputs), end(toy.model(inputs)))


@pytest.mark.parametrize(
    "end",
    [
        lambda x: (x.softmax(dim=1) + (x / 2).softmax(dim=1)) / 2,
        lambda x: x.exp() / x.exp().sum(dim=1, keepdim=True),
        lambda x: torch.vmap(lambda one: one.softmax(dim=0))(x),
        lambda x: (99 * x).softmax(dim=1).clamp(1e-6, 1),
        lambda x: (x / 9).softmax(dim=1).round(decimals=4),
    ],
    ids=["ensemble", "by hand", "vmap", "clamped", "rounded"],
)
def test_probabilities_that_no_softmax_gave_are_kept(toy, end):
    ended, inputs = ending_in(toy, end), torch.randn(2, 3, SIZE, SIZE)
    (note,) = ended.probe().notes
    assert note.startswith("the model gives probabilities, and no softmax at its end can be taken off")
    torch.testing.assert_close(ended.probabilities(ended.logits(inputs)), ended.model(inputs), rtol=0, atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sure", [1, 99])
def test_a_final_softmax_that_is_rounded_to_half_precision_is_taken_off(toy, dtype, sure):
    ended = ending_in(toy, lambda x: (sure * x).softmax(dim=1, dtype=torch.float32).to(dtype))
    inputs = torch.randn(2, 3, SIZE, SIZE)
    assert ended.probe().ending == "softmax"
    assert torch.equal(ended.logits(inputs), sure * toy.logits(inputs))


@pytest.mark.parametrize(
    "end",
    [
        lambda x: 1 / (1 + (-x / 5).exp()),
        lambda x: ((x / 50).tanh() + 1) / 2,
        F.hardsigmoid,
        lambda x: x.clamp(0, 1),
    ],
)
def test_a_sigmoid_by_hand_is_said(toy, end):
    (note,) = ending_in(toy, end).probe().notes
    assert note.startswith("all class scores are from 0 to 1, as probabilities are")


def test_an_ending_is_said_and_explanations_are_those_of_the_scores(toy, squares):
    ended = ending_in(toy, nn.Softmax(dim=1))
    with pytest.warns(VebiWarning, match="^the model ends in a softmax: class scores are what it is given"):
        one = interpret(ended, squares, mu=1.5)
    other = interpret(toy, squares, mu=1.5)
    assert (one.weights == other.weights).all()
    path = squares / "red" / "00.png"
    explained, expected = explain(one, path), explain(other, path)
    assert explained.probability == expected.probability
    assert (explained.combined_map() == expected.combined_map()).all()


# --- scores of an image that are not its own -------------------------------------------------------------------------


class TrainsItself(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm.train()(x)


RESTLESS = {
    "functional dropout": (
        lambda x: F.dropout(x, 0.5, training=True),
        "no part of it is in training mode, so its code",
    ),
    "batch norm without statistics": (nn.BatchNorm2d(3, track_running_stats=False), "network.0, a BatchNorm2d"),
    "train() in forward": (TrainsItself(), "network.0.norm, a BatchNorm2d"),
    "mean over the batch": (lambda x: x - x.mean(dim=0), "no part of it"),
    "softmax over the batch": (lambda x: x.softmax(dim=0), "no part of it"),
    "noise": (lambda x: x + torch.randn_like(x), "no part of it"),
}


class First(nn.Module):
    """A function or a module, and then a network."""

    def __init__(self, first, network):
        super().__init__()
        self.network = nn.ModuleList([first, network] if isinstance(first, nn.Module) else [network])
        self.first = first if not isinstance(first, nn.Module) else None

    def forward(self, x):
        return self.network[-1]((self.first or self.network[0])(x))


@pytest.mark.parametrize("name", RESTLESS)
def test_scores_that_depend_on_neighbours_or_chance_are_refused(toy, squares, name):
    torch.manual_seed(0)
    first, culprit = RESTLESS[name]
    classifier = replace(toy, model=First(first, toy.model).eval())
    for use in (classifier.probe, lambda: vebi.list_layers(classifier), lambda: interpret(classifier, squares)):
        with pytest.raises(ModelError, match=f"^the class scores of an image change by .*{culprit}.*eval"):
            use()


def test_a_small_change_is_said(toy):
    spread = toy.logits(torch.randn(8, 3, SIZE, SIZE)).std()
    (note,) = ending_in(toy, lambda x: x + 0.003 * spread * len(x)).probe().notes
    assert re.match(r"the class scores of an image change by \d\.\d% of their spread with the images beside it$", note)


# --- other code with the same weights --------------------------------------------------------------------------------


class Changed(ToyNet):
    def forward(self, x):
        x = F.max_pool2d(self.relu1(self.conv1(x)), 3, 2, 1)
        return self.linear(F.relu(self.conv2(x)).mean(dim=(2, 3)))


def test_changed_code_is_noticed_and_rounding_is_not(toy, squares, tmp_path):
    interpret(toy, squares, mu=1.5, out=tmp_path)
    network = Changed()
    network.load_state_dict(toy.model.state_dict())
    changed = Classifier(network.eval(), toy.preprocess, toy.class_names)
    assert changed.sha256() == toy.sha256()
    with pytest.raises(vebi.RunError, match="has the weights of the run, but gives other class scores: its code"):
        load(tmp_path, changed)
    (tmp_path / "interpretation.json").unlink()
    with pytest.raises(vebi.RunError, match="model-scores"):
        interpret(changed, squares, mu=1.5, out=tmp_path)
    rounded = replace(toy, model=Ends(toy.model, lambda x: x * (1 + 1e-4)))
    assert are_same(rounded.probe().scores, toy.probe().scores)
    assert not are_same(changed.probe().scores, toy.probe().scores)


class WithOneMore(ToyNet):
    def forward(self, x):
        x = F.relu(F.max_pool2d(self.relu1(self.conv1(x)), 2))  # of what is positive: the same scores
        return self.linear(F.relu(self.conv2(x)).mean(dim=(2, 3)))


def leaky():
    network = ToyNet()
    network.relu1 = nn.LeakyReLU(1e-6)
    return network


@pytest.mark.parametrize("make", [WithOneMore, leaky])
def test_changed_activation_functions_are_noticed_by_what_they_are(toy, squares, tmp_path, make):
    interpret(toy, squares, mu=1.5, out=tmp_path)
    network = make()
    network.load_state_dict(toy.model.state_dict())
    changed = Classifier(network.eval(), toy.preprocess, toy.class_names)
    assert are_same(changed.probe().scores, toy.probe().scores)
    with pytest.raises(vebi.RunError, match="has the weights of the run, but has other activation functions: its code"):
        load(tmp_path, changed)
    (tmp_path / "interpretation.json").unlink()
    with pytest.raises(vebi.RunError, match="model-activations"):
        interpret(changed, squares, mu=1.5, out=tmp_path)


def test_a_network_that_is_changed_in_place_is_probed_again(toy):
    classifier = replace(toy, model=leaky().eval())
    before = classifier.probe().scores
    classifier.model.relu1.negative_slope = 0.9
    assert not are_same(classifier.probe().scores, before)
    classifier.model.relu1 = nn.LeakyReLU(1e-6)
    assert classifier.probe().scores == before


def test_a_thread_that_changes_the_mode_is_noticed(toy):
    classifier = replace(toy, model=deepcopy(toy.model))

    def explain_meanwhile():
        with classifier.evaluation():
            thread = threading.Thread(target=classifier.model.train)
            thread.start()
            thread.join()
            classifier.logits(classifier.zero_input())

    with pytest.raises(ModelError, match="was put into training mode while it was worked with"):
        explain_meanwhile()


class Counting(ToyNet):
    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x):
        self.passes += 1
        return super().forward(x)


def test_what_a_forward_pass_changes_is_no_weight(toy, squares, tmp_path):
    def counting():
        network = Counting()
        network.load_state_dict(toy.model.state_dict(), strict=False)
        return Classifier(network.eval(), toy.preprocess, toy.class_names)

    assert counting().probe().notes == ("a forward pass changes passes: not counted among the weights",)
    with pytest.warns(VebiWarning, match="passes"):
        interpret(counting(), squares, mu=1.5, out=tmp_path)
    assert explain(load(tmp_path, counting()), squares / "red" / "00.png").prediction == "red"


@pytest.mark.parametrize("draw", [lambda: torch.rand(1), lambda: np.random.rand()])
def test_networks_that_draw_random_numbers_are_said(toy, draw):
    """However seldom these change anything."""
    (note,) = ending_in(toy, lambda x: x if float(draw()) < 2 else -x).probe().notes
    assert note.startswith("the model draws random numbers in evaluation mode")
    assert toy.probe().notes == ()


def test_weights_that_change_are_probed_again(toy):
    network = ToyNet()
    network.load_state_dict(toy.model.state_dict())
    classifier = replace(toy, model=network)
    before = classifier.probe()
    assert classifier.probe() is before
    with torch.no_grad():
        network.linear.bias += torch.tensor([1.0, 0, 0])
    assert not are_same(classifier.probe().scores, before.scores)


# --- precision -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_networks_of_other_precision(toy, squares, dtype):
    network = ToyNet().to(dtype)
    network.load_state_dict(toy.model.state_dict())
    classifier = replace(toy, model=network.eval())
    inputs = torch.randn(3, 3, SIZE, SIZE)
    layers = choose_layers(classifier)
    shares, scores = describe(classifier, layers, inputs)
    expected, expected_scores = describe(toy, layers, inputs)
    tolerance = {torch.float64: 1e-5, torch.bfloat16: 0.03, torch.float16: 4e-3}[dtype]
    assert abs(shares - expected).max() < tolerance
    torch.testing.assert_close(scores.float(), expected_scores, atol=tolerance * 10, rtol=tolerance)
    explanation = explain(interpret(classifier, squares, mu=1.5), squares / "red" / "00.png")
    assert explanation.prediction == "red"
    assert explanation.evidence[0].heatmap.dtype == "float32"
    assert explanation.evidence[0].heatmap.max() > 0


def test_heatmaps_of_large_activations_in_half_precision_do_not_overflow(toy, squares):
    network = ToyNet()
    network.load_state_dict(toy.model.state_dict())
    with torch.no_grad():
        for parameter in network.conv1.parameters():
            parameter *= 100
        network.linear.weight /= 100
    wide, half = (replace(toy, model=deepcopy(network).to(dtype).eval()) for dtype in (torch.float32, torch.float16))
    features, images = [vebi.Feature("relu1", k) for k in range(8)], [squares / "red" / "00.png"]
    expected, maps = (vebi.feature_maps(classifier, images, features) for classifier in (wide, half))
    assert expected.max() > 1e5
    np.testing.assert_allclose(maps, expected, atol=0.02 * expected.max())


def test_squares_of_half_precision_do_not_overflow(toy):
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    network[0].weight.data *= 2000
    network[4].weight.data *= 1e-3
    classifier = replace(toy, model=network.half().eval())
    shares, _ = describe(classifier, choose_layers(classifier), 5 * torch.randn(2, 3, SIZE, SIZE))
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_around_the_library_changes_nothing(toy, squares, dtype):
    path = squares / "red" / "00.png"
    found = interpret(toy, squares, mu=1.5)
    expected = explain(found, path)
    with torch.autocast("cpu", dtype=dtype):
        inside = interpret(toy, squares, mu=1.5)
        explained = explain(inside, path)
        assert torch.is_autocast_enabled("cpu")
    assert (inside.weights == found.weights).all()
    assert (explained.combined_map() == expected.combined_map()).all()
    assert explained.probability == expected.probability


# --- threads ---------------------------------------------------------------------------------------------------------


def test_threads_that_explain_with_one_classifier_and_run_the_model_meanwhile(toy, squares):
    toy.model.train()  # every explanation has to find it in evaluation mode, and to leave it as it was
    try:
        found = interpret(toy, squares, mu=1.5)
        paths = [squares / name / f"{k:02d}.png" for name in toy.class_names for k in range(4)]
        expected = {path: explain(found, path) for path in paths}
        wrong, stop = [], threading.Event()

        def run():
            while not stop.is_set():
                toy.model(torch.randn(1, 3, SIZE, SIZE))

        def compare():
            for _ in range(3):
                for path in paths:
                    one, other = explain(found, path), expected[path]
                    if (one.combined_map() != other.combined_map()).any() or one.evidence[0].feature != other.evidence[
                        0
                    ].feature:
                        wrong.append(path)

        threads = [threading.Thread(target=compare) for _ in range(4)] + [threading.Thread(target=run)]
        errors = []
        threading.excepthook = lambda given: errors.append(given.exc_value)
        for thread in threads:
            thread.start()
        for thread in threads[:4]:
            thread.join()
        stop.set()
        threads[4].join()
        assert (errors, wrong) == ([], [])
        assert all(part.training for part in toy.model.modules())
    finally:
        threading.excepthook = threading.__excepthook__
        toy.model.eval()


# --- what a forward pass does wrong ----------------------------------------------------------------------------------


def fail(error):
    def end(_):
        raise error

    return end


class WordlessError(Exception):
    def __str__(self):
        raise TypeError("no text")


class Hungry(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x.clone()

    @staticmethod
    def backward(_, gradient):
        return gradient + torch.empty(10**14)


def test_memory_that_runs_out_in_a_backward_pass_is_no_fault_of_the_model(toy, squares):
    found = interpret(ending_in(toy, Hungry.apply), squares, mu=1.5)
    with pytest.raises(vebi.VebiError, match=r"runs out of memory .*take a smaller batch") as raised:
        explain(found, squares / "red" / "00.png")
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    ("end", "fact"),
    [
        (fail(ValueError("no luck")), r"fails on an input of shape \(1, 3, 32, 32\) \(ValueError: no luck\)"),
        (fail(SystemExit(0)), r"fails .*\(SystemExit: 0\)"),
        (fail(RecursionError("too deep")), r"RecursionError"),
        (fail(torch.OutOfMemoryError("CUDA out of memory")), r"runs out of memory .*take a smaller batch"),
        (fail(WordlessError()), r"\(WordlessError: a WordlessError without a text\)"),
        (lambda _: torch.empty(10**14), r"runs out of memory .*take a smaller batch"),
        (lambda x: x.to(torch.complex64), r"class scores are complex64, but real numbers are needed"),
        (lambda x: x.to(torch.float8_e4m3fn), r"class scores are float8_e4m3fn, but numbers of 16 bits or more"),
        (lambda x: torch.nested.nested_tensor(list(x)), r"class scores are a nested tensor, but one row per image"),
        (lambda x: x.to("meta"), r"class scores are on the meta device, but numbers are needed"),
        (lambda x: x.to_sparse(), r"class scores are torch.sparse_coo, but a dense tensor is needed"),
        (lambda x: x.to_sparse_csr(), r"class scores are torch.sparse_csr, but a dense tensor is needed"),
        (lambda x: x > 0, r"class scores are bool"),
        (lambda x: (100 * x).long(), r"class scores are int64"),
        (lambda x: x * 1e39, r"class scores \(float32\) hold NaN or infinity"),
    ],
    ids=range(15),
)
@pytest.mark.filterwarnings("ignore:Sparse CSR|The PyTorch API of nested")
def test_one_sentence_for_what_cannot_be_used(toy, end, fact):
    with pytest.raises(vebi.VebiError, match=fact):
        ending_in(toy, end).logits(torch.randn(1, 3, SIZE, SIZE))


def test_a_fixed_number_of_images(toy):
    with pytest.raises(ModelError, match=r"\(2, 3, 32, 32\).*whether it takes any number of images"):
        ending_in(toy, lambda x: x.view(1, 3)).probe()


def test_detached_scores_give_no_explanation(toy, squares):
    found = interpret(ending_in(toy, lambda x: x.detach()), squares, mu=1.5)
    with pytest.raises(ModelError, match="no gradient leads from the model's class scores to the image, it detaches"):
        explain(found, squares / "red" / "00.png")


def test_a_probe_leaves_random_numbers_and_warnings_alone(toy):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replace(toy).probe()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_preprocessing_of_one_channel():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    classifier = Classifier(network.eval(), Preprocess(8, (0.5,), (0.5,)))
    assert len(classifier.probe().scores) == 6
