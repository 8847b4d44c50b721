"""Recipes: what can be chosen, and that explanations are made by them."""

import numpy as np
import pytest

import vebi
from vebi import Evidence, Feature, Recipe
from vebi.backprop.feature_maps import backprop_features, forward_graph
from vebi.backprop.heatmaps import Levels
from vebi.errors import UsageError
from vebi.explanation.contrast import make_gates


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rule": "lrp"}, "'lrp'"),
        ({"stride_fix": "blur"}, "'blur'"),
        ({"reading": "pixels"}, "'pixels'"),
        ({"combination": "median"}, "'median'"),
    ],
)
def test_impossible_options(options, words):
    with pytest.raises(UsageError, match=words):
        Recipe(**options)


def test_the_recipe_of_the_paper():
    paper = Recipe.paper(stride_fix=None)
    assert paper == Recipe("guided", None, False, "gradient", False, "max")
    assert Recipe.paper(rule="gradient").rule == "gradient"


@pytest.mark.parametrize("contrast", [True, False])
def test_heatmaps_are_read_at_every_layer_and_kept_to_the_class(interpreted_once, squares, contrast):
    path = squares / "green" / "02.png"
    explanation = vebi.explain(interpreted_once, path, recipe=Recipe(contrast=contrast))
    classifier = interpreted_once.require_classifier()
    inputs = classifier.preprocess.prepare(vebi.open_images([path]).load(0)[0])[None]
    features = [e.feature for e in explanation.evidence]
    with forward_graph(classifier, inputs, [name for name, _ in interpreted_once.layers]) as (x, recorder, scores):
        (maps,) = backprop_features(
            recorder, x, [features], rule="guided", stride_fix="centred", pool_fix=True, reading="layers"
        )
        target = interpreted_once.class_index(explanation.target)
        gates = make_gates(recorder, scores, [target], (32, 32))
    assert features
    for evidence, heatmap in zip(explanation.evidence, maps, strict=True):
        assert evidence.heatmap == pytest.approx(gates.apply(0, heatmap) if contrast else heatmap, abs=1e-6)
    before = list(zip(explanation.evidence, maps, strict=True))
    combined = np.sum([e.contribution * e.heatmap / heatmap.sum() for e, heatmap in before], axis=0)
    assert explanation.combined_map() == pytest.approx(combined / combined.max(), abs=1e-5)
    assert explanation.combined_map("max") == pytest.approx(
        np.max([((e.heatmap - h.min()) / np.ptp(h)).clip(0, 1) for e, h in before], axis=0), abs=1e-5
    )


def test_a_feature_that_is_elsewhere_stays_dark():
    here, there = np.zeros((2, 4, 4), np.float32)
    here[0], there[3] = 1, 1
    levels = Levels(0, 1, 4)
    evidence = [Evidence(Feature("relu", k), 0.5, heatmap, levels) for k, heatmap in enumerate((here, 0.001 * there))]
    explanation = vebi.Explanation("x", "a", 1.0, "a", tuple(evidence), (), "mass", np.zeros((4, 4, 3), np.uint8))
    for reduction in ("mass", "max", "mean"):
        combined = explanation.combined_map(reduction)
        assert combined[3].max() <= 0.0011 * combined[0].max()
    shown = explanation.display_maps()
    assert shown[0][0] == pytest.approx(1)
    assert shown[1].max() == pytest.approx(0.01)
