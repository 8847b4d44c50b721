"""What a caller in Python gets wrong is one sentence; numbers of other libraries are numbers."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import vebi

pytestmark = pytest.mark.usefixtures("without_checks_of_types")


def load_toy(**options):
    """As vebi.load_classifier does, of a network that is never made: what is wrong is said before."""
    return vebi.load_classifier("no.py:build", **options)


WRONG = {
    "a network for a classifier": (
        lambda c, i, d: vebi.interpret(c.model, d),
        "the classifier is a ToyNet, .*vebi.Classifier",
    ),
    "a path for a classifier": (
        lambda c, i, d: vebi.interpret("net.pt", d),
        "the classifier is a str, .*load_classifier",
    ),
    "a network for its layers": (lambda c, i, d: vebi.list_layers(c.model), "the classifier is a ToyNet"),
    "a network for an audit": (lambda c, i, d: vebi.audit_backward(c.model), "the classifier is a ToyNet"),
    "a classifier to explain": (
        lambda c, i, d: vebi.explain(c, d),
        "the interpretation is a Classifier, .*vebi.interpret",
    ),
    "a classifier to explain all": (lambda c, i, d: vebi.explain_each(c, d), "the interpretation is a Classifier"),
    "a classifier to report": (lambda c, i, d: vebi.write_report(c, "x.html"), "the interpretation is a Classifier"),
    "text for a batch size": (
        lambda c, i, d: vebi.interpret(c, d, batch_size="4"),
        "batch_size is '4', .* whole number",
    ),
    "half a feature": (lambda c, i, d: vebi.interpret(c, d, features_per_class=2.5), "features_per_class is 2.5"),
    "yes many features": (lambda c, i, d: vebi.interpret(c, d, features_per_class=True), "features_per_class is True"),
    "a list for mu": (lambda c, i, d: vebi.interpret(c, d, mu=[1]), r"mu is \[1\]"),
    "a number for a layer": (lambda c, i, d: vebi.interpret(c, d, layers=3), "a layer is an int"),
    "a text for a descriptor": (
        lambda c, i, d: vebi.interpret(c, d, descriptor="log"),
        "descriptor is a str, .*Descriptor",
    ),
    "a number for a folder": (
        lambda c, i, d: vebi.interpret(c, d, out=3),
        "out is an int, but the path of a run folder",
    ),
    "half a heatmap": (lambda c, i, d: vebi.explain(i, d, max_features=2.5), "max_features is 2.5"),
    "a text for a recipe": (lambda c, i, d: vebi.explain(i, d, recipe="paper"), "recipe is a str, .*vebi.Recipe"),
    "a text for a size": (lambda c, i, d: vebi.Preprocess("32", (0.5,) * 3, (0.5,) * 3), "size is '32'"),
    "nothing for a mean": (lambda c, i, d: vebi.Preprocess(32, None, (0.5,) * 3), "mean is None"),
    "a text for names": (
        lambda c, i, d: vebi.Classifier(c.model, c.preprocess, "red"),
        "class_names is a str, .*list",
    ),
    "a function for a network": (
        lambda c, i, d: vebi.Classifier(len, c.preprocess),
        "model is a builtin_function_or_method",
    ),
    "a dictionary": (lambda c, i, d: vebi.Classifier(c.model, {"size": 32}), "preprocess is a dict"),
    "arrays to score": (
        lambda c, i, d: vebi.metrics.auc_iou(np.ones((2, 4, 4)), np.ones((2, 4, 4))),
        "maps is a ndarray",
    ),
    "bytes for names": (
        lambda c, i, d: vebi.Classifier(c.model, c.preprocess, b"rgb"),
        "class_names is a bytes",
    ),
    "numbers for names": (
        lambda c, i, d: vebi.Classifier(c.model, c.preprocess, [1, 2, 3]),
        r"class_names\[0\] is an int",
    ),
    "a number for names": (lambda c, i, d: vebi.Classifier(c.model, c.preprocess, 5), "class_names is an int"),
    "a text for ids": (
        lambda c, i, d: vebi.Classifier(c.model, c.preprocess, ("a", "b", "c"), class_ids="abc"),
        "class_ids is a str",
    ),
    "a text for names to load": (lambda c, i, d: load_toy(class_names="rgb"), "class_names is a str"),
    "a dictionary for names": (
        lambda c, i, d: load_toy(class_names={0: "blue", 1: "green", 2: "red"}),
        "class_names is a dict",
    ),
    "a set for names": (lambda c, i, d: load_toy(class_names={"blue", "green", "red"}), "class_names is a set"),
    "a number for ids": (lambda c, i, d: load_toy(class_ids=5), "class_ids is an int"),
    "part of a pixel": (lambda c, i, d: load_toy(size=32.7), "size is 32.7"),
    "no end of pixels": (lambda c, i, d: load_toy(size=float("inf")), "size is inf"),
    "a column below 0": (lambda c, i, d: i.feature(-1), "column is -1"),
    "half a column": (lambda c, i, d: i.feature(1.5), "column is 1.5"),
    "a text for a column": (lambda c, i, d: i.feature("3"), "column is '3'"),
    "no to a unit norm": (lambda c, i, d: vebi.Descriptor(unit_norm="no"), "unit_norm is 'no'"),
    "1 for true": (lambda c, i, d: vebi.Descriptor(unit_norm=1), "unit_norm is 1, .*True"),
    "a list for a scaling": (lambda c, i, d: vebi.Descriptor(scaling=["log"]), r"scaling is \['log'\]"),
    "no to a fix": (lambda c, i, d: vebi.Recipe(pool_fix="no"), "pool_fix is 'no'"),
    "no to a contrast": (lambda c, i, d: vebi.Recipe(contrast="no"), "contrast is 'no'"),
    "no to stability": (lambda c, i, d: vebi.interpret(c, d, stability="no"), "stability is 'no'"),
    "a list for labels": (lambda c, i, d: vebi.interpret(c, d, labels=["true"]), r"labels is \['true'\]"),
    "a network for maps": (
        lambda c, i, d: vebi.feature_maps(c.model, d, [vebi.Feature("relu1", 0)]),
        "the classifier is a ToyNet",
    ),
    "a text for features": (lambda c, i, d: vebi.feature_maps(c, d, "relu1:0"), "one of the features is a str, .*list"),
    "pairs for features": (
        lambda c, i, d: vebi.feature_maps(c, d, [("relu1", 0)]),
        "one of the features is a tuple, .*Feature",
    ),
    "one feature": (lambda c, i, d: vebi.feature_maps(c, d, vebi.Feature("relu1", 0)), "features is a Feature, .*list"),
    "no features": (lambda c, i, d: vebi.feature_maps(c, d, []), "features is empty"),
    "a real number for a channel": (
        lambda c, i, d: vebi.feature_maps(c, d, [vebi.Feature("relu1", 1.0)]),
        "the channel of relu1:1.0 is 1.0, .* whole number",
    ),
    "a number for a layer of a feature": (
        lambda c, i, d: vebi.feature_maps(c, d, [vebi.Feature(5, 1)]),
        "the layer of 5:1 is an int",
    ),
    "a classifier to assess": (lambda c, i, d: vebi.assess(c, d), "the interpretation is a Classifier"),
    "a number for a run": (lambda c, i, d: vebi.load(5), "folder is an int, .*path"),
    "a number to save in": (lambda c, i, d: i.save(5), "folder is an int, .*path"),
    "a number for progress": (lambda c, i, d: vebi.interpret(c, d, progress=5), "progress is an int, .*function"),
    "a text for the progress of many": (
        lambda c, i, d: vebi.explain_each(i, d, progress="x"),
        "progress is a str, .*function",
    ),
    "a number for a page": (lambda c, i, d: vebi.write_report(i, 5), "out is an int, .*html"),
    "a number of classes to show": (
        lambda c, i, d: vebi.write_report(i, "x.html", class_names=5),
        "class_names is an int",
    ),
    "a number of images": (lambda c, i, d: vebi.write_gallery(i, 5, "x"), "images is an int, .*paths"),
    "numbers for images": (lambda c, i, d: vebi.write_gallery(i, [5], "x"), "one of the images is an int, .*paths"),
    "a number for a gallery": (lambda c, i, d: vebi.write_gallery(i, d, 5), "out is an int, .*folder"),
    "a number for other maps": (
        lambda c, i, d: vebi.write_gallery(i, d, "x", others=5),
        "others is an int, .*function",
    ),
    "a number for weights": (lambda c, i, d: load_toy(weights=5), "weights is an int, .*path"),
    "a state dict for weights": (
        lambda c, i, d: load_toy(weights=c.model.state_dict()),
        "weights is an OrderedDict, .*vebi.Classifier",
    ),
    "a number for names of data": (lambda c, i, d: vebi.open_images(d, 5), "class_names is an int"),
    "numbers for names of data": (lambda c, i, d: vebi.open_images(d, [1, 2, 3]), r"class_names\[0\] is an int"),
    "a set for names of data": (lambda c, i, d: vebi.open_images(d, {"red"}), "class_names is a set"),
    "one map": (lambda c, i, d: vebi.metrics.relevance_mass(torch.ones(4, 4), torch.ones(4, 4)), r"shape \(4, 4\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_one_sentence(name, toy, interpreted_once, squares):
    call, fact = WRONG[name]
    with pytest.raises(vebi.UsageError, match=fact):
        call(toy, interpreted_once, squares)


@pytest.mark.parametrize("number", [np.int64, np.uint8, torch.tensor])
def test_whole_numbers_of_other_libraries(toy, squares, tmp_path, number):
    found = vebi.interpret(toy, squares, features_per_class=number(2), batch_size=number(8), out=tmp_path)
    assert vebi.load(tmp_path).settings.features_per_class == 2
    assert len(vebi.explain(found, squares / "red" / "00.png", max_features=number(1)).evidence) == 1


@pytest.mark.parametrize("number", [np.float32, np.array, torch.tensor])
def test_real_numbers_of_other_libraries(toy, squares, tmp_path, number):
    vebi.interpret(toy, squares, mu=number(1.5), out=tmp_path)
    assert vebi.load(tmp_path).mu == 1.5


def test_arrays_in_a_preprocessing_and_for_names(toy, squares, tmp_path):
    preprocess = vebi.Preprocess(np.int64(32), np.full(3, 0.5), torch.full((3,), 0.25))
    assert preprocess == toy.preprocess
    classifier = vebi.Classifier(toy.model, preprocess, np.array(["blue", "green", "red"]))
    vebi.interpret(classifier, squares, mu=1.5, out=tmp_path)
    assert vebi.load(tmp_path, toy).class_names == ("blue", "green", "red")


def test_a_run_is_not_damaged_by_the_network_that_is_given(toy, interpreted_once, tmp_path):
    interpreted_once.save(tmp_path / "run")
    with pytest.raises(vebi.UsageError, match=r"the classifier is a ToyNet, .*vebi.Classifier"):
        vebi.load(tmp_path / "run", toy.model)


@pytest.mark.parametrize("kind", [str, Path, lambda path: [path]])
def test_a_gallery_of_one_path(interpreted_once, squares, tmp_path, kind):
    assert len(vebi.write_gallery(interpreted_once, kind(squares / "red" / "00.png"), tmp_path / "out")) == 1


def test_an_array_of_classes_to_show(interpreted_once, squares, tmp_path):
    names = np.array(["red", "blue"])
    assert vebi.write_report(interpreted_once, tmp_path / "x.html", images=squares, class_names=names).looked_at == 72


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda images: pickle.loads(pickle.dumps(images))])
def test_a_data_set_can_be_copied_and_sent(copied):
    images = vebi.open_images([(np.full((4, 4, 3), 7, np.uint8), 1)], ["a", "b"])
    images = copied(images)  # our own
    assert images.class_names == ("a", "b")
    assert images.load(0)[1] == 1


def test_truth_of_numpy(toy, squares, tmp_path):
    descriptor = vebi.Descriptor(unit_norm=np.bool_(True))
    vebi.interpret(toy, squares, descriptor=descriptor, stability=np.bool_(False), out=tmp_path)
    assert vebi.load(tmp_path, toy).descriptor == vebi.Descriptor(unit_norm=True)


@pytest.mark.parametrize("default", ["float64", "bfloat16", "device"])
def test_defaults_of_torch_do_not_matter(toy, squares, interpreted_once, default, tmp_path):
    path = squares / "red" / "00.png"
    expected = vebi.explain(interpreted_once, path)
    try:
        if default == "device":
            torch.set_default_device("meta")
        else:
            torch.set_default_dtype(getattr(torch, default))
        classifier = vebi.Classifier(toy.model, toy.preprocess, toy.class_names)
        vebi.interpret(classifier, squares, mu=1.5, out=tmp_path)
        found = vebi.load(tmp_path, classifier)
        explained = vebi.explain(found, path)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    np.testing.assert_allclose(found.weights, interpreted_once.weights, atol=1e-9)
    np.testing.assert_allclose(explained.combined_map(), expected.combined_map(), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*(near chance|never predicted|every weight):vebi.errors.VebiWarning")
def test_items_that_raise_are_skipped_and_named_unless_strict(toy):
    class Images:
        def __len__(self):
            return 12

        def __getitem__(self, index):
            if index == 4:
                raise RuntimeError("a bad day")
            return np.full((32, 32, 3), 20 * index, np.uint8), index % 3

    with pytest.warns(vebi.VebiWarning, match=r"1 of 12 images could not be decoded .*item 4 .*a bad day"):
        vebi.interpret(toy, Images(), mu=1.5)
    with pytest.raises(vebi.ImageError, match="item 4 of the data set cannot be loaded"):
        vebi.interpret(toy, Images(), mu=1.5, strict=True)


def test_errors_can_be_sent_to_another_process():
    for error in (vebi.MissingExtraError("a", "b", "c"), vebi.RunError("x"), vebi.UsageError("y")):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)  # our own
