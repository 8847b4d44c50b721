"""Everything runs on each reference network: ReLUs as modules, in place and as functions; means and flat heads."""

from itertools import combinations

import pytest
import torch
from PIL import Image

import vebi
from vebi.datasets.flowers.training import train
from vebi.methods import GradCam, GradCamPlusPlus, LayerCam
from vebi.methods.cam import activations_and_gradients
from vebi.models.architectures import ARCHITECTURES

#: The activation functions with their channels and positions per side, the layer of a class activation map, and the
#: operations that are under the rule or routed.
NETWORKS = {
    "flowernet": (
        [("relu1", 32, 56), ("relu2", 48, 28), ("relu3", 64, 14), ("relu4", 64, 7)],
        "relu4",
        {*(f"relu in relu{k}" for k in (1, 2, 3, 4)), *(f"max_pool2d_with_indices in pool{k}" for k in (1, 2, 3))},
    ),
    "flower-resnet": (
        [
            ("relu", 24, 56),
            *(("block1.relu", 32, 28), ("block1.relu#2", 32, 28)),
            *(("block2.relu", 48, 14), ("block2.relu#2", 48, 14)),
            *(("block3.relu", 64, 7), ("block3.relu#2", 64, 7)),
        ],
        "block3",
        {"relu in the network itself", *(f"relu in block{k}, 2 times" for k in (1, 2, 3))},
    ),
    "flower-vgg": (
        [
            *(("features.2", 16, 112), ("features.6", 32, 56), ("features.10", 48, 28)),
            *(("features.14", 64, 14), ("features.17", 64, 14), ("relu", 64, 1)),
        ],
        "features.17",
        {
            *(f"relu in {name}" for name in ("features.2", "features.6", "features.10", "features.14", "features.17")),
            *(f"max_pool2d_with_indices in features.{k}" for k in (3, 7, 11, 18)),
            "relu in relu",
        },
    ),
}
each = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture(scope="module")
def classifiers(squares, tmp_path_factory):
    """Of each architecture one that tells the squares apart."""
    folder = tmp_path_factory.mktemp("reference")
    for name in ARCHITECTURES:
        assert train(squares, folder / f"{name}.safetensors", epochs=20, architecture=name).accuracy > 0.9
    return {name: vebi.load_classifier(folder / f"{name}.safetensors") for name in ARCHITECTURES}


@pytest.fixture
def images(classifiers, squares):
    """One of each class, as inputs; their targets are 0, 1 and 2."""
    prepare = classifiers["flowernet"].preprocess.prepare
    return torch.stack([prepare(Image.open(squares / name / "00.png"), name) for name in ("blue", "green", "red")])


TARGETS = torch.arange(3)


def test_all_are_here():
    assert list(NETWORKS) == list(ARCHITECTURES)


@each
def test_layers(name, classifiers):
    layers = [layer for layer in vebi.list_layers(classifiers[name]) if layer.is_activation]
    assert [(layer.name, layer.channels, layer.height) for layer in layers] == NETWORKS[name][0]


@each
def test_the_layer_of_class_activation_maps(name, classifiers):
    """The last one with positions, behind its activation function; of the residual network that is the block's sum."""
    assert GradCam(classifiers[name]).layer == NETWORKS[name][1]


@each
def test_the_rule_covers_all_of_it(name, classifiers):
    findings = vebi.audit_backward(classifiers[name])
    assert all(finding.covered for finding in findings)
    assert {str(finding) for finding in findings} == NETWORKS[name][2]


@each
def test_derivatives_differ_between_positions_where_there_is_no_global_mean(name, classifiers, images):
    classifier = classifiers[name]
    _, gradient = activations_and_gradients(classifier, images, TARGETS, GradCam(classifier).layer)
    ranges = (gradient.amax(dim=(2, 3)) - gradient.amin(dim=(2, 3))).amax(dim=1)
    assert ((ranges > 0.1 * gradient.abs().amax(dim=(1, 2, 3))) == (name == "flower-vgg")).all()


@each
def test_class_activation_maps_differ_on_a_flat_head(name, classifiers, images):
    """By the largest difference of two maps, each divided by its largest value."""
    maps = [cam(classifiers[name])(images, TARGETS).flatten(1) for cam in (GradCam, GradCamPlusPlus, LayerCam)]
    scaled = [map_ / map_.amax(dim=1, keepdim=True) for map_ in maps]
    differences = torch.stack([(one - other).abs().amax(dim=1) for one, other in combinations(scaled, 2)])
    if name == "flower-vgg":
        assert (differences[0] > 0.01).all()
        assert (differences[1:] > 0.5).all()  # LayerCAM and the others
    else:  # behind a global mean the weights of Grad-CAM++ and LayerCAM are nearly the same but for their scale
        assert (differences[2] < 0.02).all()


@each
def test_it_is_interpreted_and_explained(name, classifiers, squares):
    interpretation = vebi.interpret(classifiers[name], squares)
    assert interpretation.diagnostics.accuracy > 0.9
    layers = {layer for layer, _, _ in NETWORKS[name][0]}
    explanation = vebi.explain(interpretation, squares / "red" / "00.png")
    assert explanation.prediction == "red"
    assert {evidence.feature.layer for evidence in explanation.evidence} <= layers
    assert explanation.evidence[0].heatmap.shape == (112, 112)
    assert explanation.evidence[0].heatmap.max() > 0
    assert all(finding.covered for finding in explanation.audit)
