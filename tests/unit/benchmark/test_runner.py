from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from vebi.benchmark.built_in_methods import all_methods, built_in_methods
from vebi.benchmark.methods import Method, user_method
from vebi.benchmark.runner import score_methods
from vebi.errors import ModelError, UsageError, VebiWarning


class Counting:
    """A method that counts the images that it was asked for."""

    def __init__(self, value=1.0):
        self.images, self.value = 0, value

    def __repr__(self):
        return f"Counting({self.value})"

    def __call__(self, images, targets):
        self.images += len(images)
        return images.mean(dim=1) * self.value


def test_every_built_in_method_takes_part(interpreted, truth, tmp_path):
    methods = built_in_methods()
    scored = score_methods(interpreted, truth, methods, tmp_path, mosaics=4)
    assert list(scored.scores) == [m.name for m in methods]
    assert len(set(scored.scores)) == len(methods)
    assert (scored.images, scored.mosaics, scored.correct) == (12, 0, 1.0)  # three classes make no mosaic of four
    assert scored.mask_share == pytest.approx(float(truth.masks.float().mean()))
    better = {name: scores["raw.relevance_mass"].mean() for name, scores in scored.scores.items()}
    assert better["vebi"] > scored.mask_share  # it marks the squares rather than anything


def test_what_was_scored_is_not_scored_again(interpreted, truth, tmp_path):
    counting = Counting()
    method = Method("counting", "counting", lambda i: counting)
    first = score_methods(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.images == 12
    second = score_methods(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.images == 12
    for name, values in first.scores["counting"].items():
        np.testing.assert_array_equal(second.scores["counting"][name], values)


def test_other_images_settings_or_weights_are_scored_anew(interpreted, truth, tmp_path):
    counting = Counting()
    method = Method("counting", "counting", lambda i: counting)
    score_methods(interpreted, truth, [method], tmp_path, mosaics=0)
    score_methods(interpreted, truth.subset(range(6)), [method], tmp_path, mosaics=0)
    assert counting.images == 18
    score_methods(
        replace(interpreted, weights=interpreted.weights * 2), truth.subset(range(6)), [method], tmp_path, mosaics=0
    )
    assert counting.images == 24
    counting.value = 2.0
    score_methods(
        replace(interpreted, weights=interpreted.weights * 2), truth.subset(range(6)), [method], tmp_path, mosaics=0
    )
    assert counting.images == 30


def test_damaged_scores_are_made_again(interpreted, truth, tmp_path):
    counting = Counting()
    method = Method("counting", "counting", lambda i: counting)
    score_methods(interpreted, truth, [method], tmp_path, mosaics=0)
    path = tmp_path / "counting.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    score_methods(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.images == 24
    save_file({"raw.auc_iou": np.zeros(12)}, path)  # whole, but not ours
    score_methods(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.images == 36


def test_scores_of_other_code_are_made_again(interpreted, truth, tmp_path, monkeypatch):
    counting = Counting()
    method = Method("counting", "counting", lambda i: counting)
    score_methods(interpreted, truth, [method], tmp_path, mosaics=0)
    monkeypatch.setattr("vebi.provenance.code_sha256", lambda *_: "another state")
    score_methods(interpreted, truth, [method], tmp_path, mosaics=0)
    assert counting.images == 24


def test_what_the_network_has_no_place_for_is_left_out_with_a_note(interpreted, truth, tmp_path):
    def nowhere(interpretation):
        raise UsageError("there is no such layer")

    fine = Method("fine", "fine", lambda i: Counting())
    with pytest.warns(VebiWarning, match="^grad-cam .*: there is no such layer$"):
        scored = score_methods(interpreted, truth, [fine, Method("grad-cam", "Grad-CAM", nowhere)], tmp_path, mosaics=0)
    assert list(scored.scores) == ["fine"]
    with pytest.raises(UsageError, match="no such layer"):
        score_methods(interpreted, truth, [fine, Method("grad-cam", "", nowhere, needed=True)], tmp_path, mosaics=0)


def test_an_error_says_whose_it_is_and_keeps_what_was_scored(interpreted, truth, tmp_path):
    fine = Counting()

    def broken(images, targets):
        raise RuntimeError("mine")

    methods = [
        Method("fine", "fine", lambda i: fine),
        Method("broken", "broken", lambda i: broken, key="a user's"),
    ]
    with pytest.raises(ModelError, match=r"^broken .*RuntimeError: mine$"):
        score_methods(interpreted, truth, methods, tmp_path, mosaics=0)
    score_methods(interpreted, truth, methods[:1], tmp_path, mosaics=0)
    assert fine.images == 12
    wrong = Method("wrong", "wrong", lambda i: lambda images, targets: torch.zeros(1))
    with pytest.raises(ModelError, match=r"^wrong: .*shape \(1,\)"):
        score_methods(interpreted, truth, [wrong], tmp_path, mosaics=0)
    with pytest.raises(UsageError, match="mosaics is -1"):
        score_methods(interpreted, truth, methods[:1], tmp_path, mosaics=-1)


def test_a_method_of_a_users_file(interpreted, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "def a_brighter_one(classifier):\n    assert classifier.class_names\n    return lambda x, t: x.mean(dim=1)\n"
        "def nothing(classifier):\n    pass\ndef raises(classifier):\n    raise ValueError('no')\n"
    )
    method = user_method(f"{file}:a_brighter_one")
    assert (method.name, method.title) == ("a-brighter-one", "a brighter one")
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(method.make(interpreted)(x, torch.zeros(2).long()), x.mean(dim=1))
    before = method.key
    file.write_text(file.read_text() + "# changed\n")
    assert user_method(f"{file}:a_brighter_one").key != before
    with pytest.raises(UsageError, match=r"mine\.py:nothing .*NoneType"):
        user_method(f"{file}:nothing").make(interpreted)
    with pytest.raises(ModelError, match="ValueError: no"):
        user_method(f"{file}:raises").make(interpreted)
    with pytest.raises(ModelError, match=r"none\.py"):
        user_method(f"{tmp_path}/none.py:f")
    with pytest.raises(UsageError, match=r"'captum'.*FILE\.py:FUNCTION"):
        user_method("captum")
    file.write_text("def grad_cam(classifier):\n    pass\n")
    with pytest.raises(UsageError, match="'grad-cam'"):
        all_methods([f"{file}:grad_cam"])


def test_the_layer_of_class_activation_maps_can_be_named(interpreted):
    in_relu1 = {m.name: m.make(interpreted) for m in built_in_methods("relu1")}
    assert in_relu1["grad-cam"].layer == in_relu1["guided-grad-cam"].cam.layer == in_relu1["layer-cam"].layer == "relu1"
    by_default = {m.name: m.make(interpreted) for m in built_in_methods()}
    assert by_default["grad-cam"].layer == "relu" != in_relu1["grad-cam"].layer
