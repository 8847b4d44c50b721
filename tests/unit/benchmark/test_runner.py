from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from vebi.benchmark.methods import Method, all_methods, built_in, own_method
from vebi.benchmark.runner import hold
from vebi.errors import ModelError, UsageError, VebiWarning


class Counting:
    """A method that counts the pictures that it was asked for."""

    def __init__(self, value=1.0):
        self.pictures, self.value = 0, value

    def __repr__(self):
        return f"Counting({self.value})"

    def __call__(self, images, targets):
        self.pictures += len(images)
        return images.mean(dim=1) * self.value


def test_every_built_in_method_takes_part(interpreted, truth, tmp_path):
    methods = built_in()
    found = hold(interpreted, truth, methods, tmp_path, mosaics=4)
    assert list(found.scores) == [m.name for m in methods] and len(set(found.scores)) == len(methods)
    assert (found.pictures, found.mosaics, found.right) == (12, 0, 1.0)  # three classes make no mosaic of four
    assert found.covered == pytest.approx(float(truth.masks.float().mean()))
    better = {name: scores["raw.relevance_mass"].mean() for name, scores in found.scores.items()}
    assert better["vebi"] > found.covered  # it marks the squares rather than anything


def test_what_was_scored_is_not_scored_again(interpreted, truth, tmp_path):
    counting = Counting()
    method = Method("counting", "counting", lambda i: counting)
    first = hold(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.pictures == 12
    again = hold(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.pictures == 12
    for name, values in first.scores["counting"].items():
        np.testing.assert_array_equal(again.scores["counting"][name], values)


def test_other_pictures_settings_or_weights_are_scored_anew(interpreted, truth, tmp_path):
    counting = Counting()
    method = Method("counting", "counting", lambda i: counting)
    hold(interpreted, truth, [method], tmp_path, mosaics=0)
    hold(interpreted, truth.some(range(6)), [method], tmp_path, mosaics=0)
    assert counting.pictures == 18
    hold(replace(interpreted, weights=interpreted.weights * 2), truth.some(range(6)), [method], tmp_path, mosaics=0)
    assert counting.pictures == 24
    counting.value = 2.0
    hold(replace(interpreted, weights=interpreted.weights * 2), truth.some(range(6)), [method], tmp_path, mosaics=0)
    assert counting.pictures == 30


def test_damaged_scores_are_made_again(interpreted, truth, tmp_path):
    counting = Counting()
    method = Method("counting", "counting", lambda i: counting)
    hold(interpreted, truth, [method], tmp_path, mosaics=0)
    path = tmp_path / "counting.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    hold(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.pictures == 24
    save_file({"raw.auc_iou": np.zeros(12)}, path)  # whole, but not ours
    hold(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.pictures == 36


def test_scores_of_other_code_are_made_again(interpreted, truth, tmp_path, monkeypatch):
    counting = Counting()
    method = Method("counting", "counting", lambda i: counting)
    hold(interpreted, truth, [method], tmp_path, mosaics=0)
    monkeypatch.setattr("vebi.provenance.source", lambda: "another state")
    hold(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.pictures == 24


def test_what_the_network_has_no_place_for_is_left_out_with_a_note(interpreted, truth, tmp_path):
    def nowhere(interpretation):
        raise UsageError("there is no such layer")

    fine = Method("fine", "fine", lambda i: Counting())
    with pytest.warns(VebiWarning, match="grad-cam is left out: there is no such layer"):
        found = hold(interpreted, truth, [fine, Method("grad-cam", "Grad-CAM", nowhere)], tmp_path, mosaics=0)
    assert list(found.scores) == ["fine"]
    with pytest.raises(UsageError, match="no such layer"):
        hold(interpreted, truth, [fine, Method("grad-cam", "", nowhere, needed=True)], tmp_path, mosaics=0)


def test_an_error_says_whose_it_is_and_keeps_what_was_scored(interpreted, truth, tmp_path):
    fine = Counting()

    def broken(images, targets):
        raise RuntimeError("mine")

    methods = [
        Method("fine", "fine", lambda i: fine),
        Method("broken", "broken", lambda i: broken, key="a user's"),
    ]
    with pytest.raises(ModelError, match="^broken stopped with RuntimeError: mine$"):
        hold(interpreted, truth, methods, tmp_path, mosaics=0)
    hold(interpreted, truth, methods[:1], tmp_path, mosaics=0)
    assert fine.pictures == 12
    wrong = Method("wrong", "wrong", lambda i: lambda images, targets: torch.zeros(1))
    with pytest.raises(ModelError, match="^wrong: a method gave an array of shape"):
        hold(interpreted, truth, [wrong], tmp_path, mosaics=0)
    with pytest.raises(UsageError, match="mosaics is -1"):
        hold(interpreted, truth, methods[:1], tmp_path, mosaics=-1)


def test_a_method_of_a_users_file(interpreted, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "def a_brighter_one(classifier):\n    assert classifier.class_names\n    return lambda x, t: x.mean(dim=1)\n"
        "def nothing(classifier):\n    pass\ndef raises(classifier):\n    raise ValueError('no')\n"
    )
    method = own_method(f"{file}:a_brighter_one")
    assert (method.name, method.title) == ("a-brighter-one", "a brighter one")
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(method.make(interpreted)(x, torch.zeros(2).long()), x.mean(dim=1))
    before = method.key
    file.write_text(file.read_text() + "# changed\n")
    assert own_method(f"{file}:a_brighter_one").key != before
    with pytest.raises(UsageError, match="returned a NoneType"):
        own_method(f"{file}:nothing").make(interpreted)
    with pytest.raises(ModelError, match="stopped with ValueError: no"):
        own_method(f"{file}:raises").make(interpreted)
    with pytest.raises(ModelError, match="does not exist"):
        own_method(f"{tmp_path}/none.py:f")
    with pytest.raises(UsageError, match="give FILE.py:FUNCTION"):
        own_method("captum")
    file.write_text("def grad_cam(classifier):\n    pass\n")
    with pytest.raises(UsageError, match="two methods are called 'grad-cam'"):
        all_methods([f"{file}:grad_cam"])


def test_the_layer_of_class_activation_maps_can_be_named(interpreted):
    made = {m.name: m.make(interpreted) for m in built_in("relu1")}
    assert made["grad-cam"].layer == made["guided-grad-cam"].cam.layer == made["layer-cam"].layer == "relu1"
    found = {m.name: m.make(interpreted) for m in built_in()}
    assert found["grad-cam"].layer == "relu" != made["grad-cam"].layer
