"""Recipes: what can be chosen, and that explanations are made by them."""

import numpy as np
import pytest

import vebi
from vebi import Recipe
from vebi.backprop.feature_maps import backprop_features, forward_graph
from vebi.errors import UsageError
from vebi.explanation.contrast import class_contrasts, keep_to_class


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
        where = class_contrasts(recorder, scores, [target], (32, 32))[0].numpy()
    assert features
    for evidence, heatmap in zip(explanation.evidence, maps, strict=True):
        assert evidence.heatmap == pytest.approx(keep_to_class(heatmap, where) if contrast else heatmap, abs=1e-6)
    shares = [e.contribution * e.heatmap / e.heatmap.sum() for e in explanation.evidence]
    combined = np.sum(shares, axis=0)
    assert explanation.combined_map() == pytest.approx(combined / combined.max(), abs=1e-6)
    assert explanation.combined_map("max") == pytest.approx(
        np.max([(e.heatmap - e.heatmap.min()) / np.ptp(e.heatmap) for e in explanation.evidence], axis=0), abs=1e-6
    )
