import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageDraw

import vebi
from vebi.backprop.heatmaps import clip_for_display
from vebi.interpretation.contact_sheet import resize_square
from vebi.reports.figure import GAP, SIDE, THUMB, draw_text, explanation_figure, heat_panel, shorten_middle


@pytest.fixture(scope="module")
def explained(toy_module, squares):
    from vebi.models.classifier import Classifier
    from vebi.models.preprocess import Preprocess

    toy = Classifier(toy_module, Preprocess(32, toy_module.mean, toy_module.std), toy_module.class_names)
    interpretation = vebi.interpret(toy, squares, mu=1)
    return interpretation, vebi.explain(interpretation, squares / "red" / "00.png")


def test_a_figure_has_a_panel_for_the_image_each_heatmap_and_their_combination(explained):
    interpretation, explanation = explained
    assert explanation.evidence
    assert explanation_figure(explanation, interpretation).width == (len(explanation.evidence) + 2) * (SIDE + GAP) + GAP


def test_the_first_panel_is_the_image_as_the_network_saw_it(explained):
    interpretation, explanation = explained
    panel = np.asarray(explanation_figure(explanation, interpretation))[GAP : GAP + SIDE, GAP : GAP + SIDE]
    assert np.array_equal(panel[:: SIDE // 32, :: SIDE // 32], explanation.image)


@pytest.mark.parametrize(("consistency", "average"), [(0.1, False), (0.7, True), (None, True)])
def test_what_stands_for_a_feature_is_its_average_unless_that_says_little(explained, consistency, average):
    interpretation, explanation = explained
    exemplars = tuple(dataclasses.replace(e, consistency=consistency) for e in interpretation.exemplars)
    figure = explanation_figure(explanation, dataclasses.replace(interpretation, exemplars=exemplars))
    left, top = GAP + SIDE + GAP, 2 * GAP + SIDE
    thumb = np.asarray(figure)[top : top + THUMB, left : left + THUMB]
    exemplar = interpretation.exemplar(explanation.evidence[0].feature)
    spotlight = np.asarray(resize_square(exemplar.spotlights[0].pixels, THUMB))
    assert np.array_equal(thumb, spotlight) != average


def test_an_explanation_without_evidence_says_so_in_an_empty_panel(explained):
    interpretation, explanation = explained
    bare = explanation_figure(dataclasses.replace(explanation, evidence=()), interpretation)
    assert bare.width == 2 * (SIDE + GAP) + GAP
    assert bare.getpixel((GAP + SIDE + GAP + SIDE // 2, GAP + SIDE // 2)) == (236, 236, 236)


def test_the_last_panel_combines_as_the_recipe_does(explained, squares):
    interpretation, explanation = explained
    paper = vebi.explain(interpretation, squares / "red" / "00.png", recipe=vebi.Recipe.paper())
    for one, heat in (
        (paper, np.max(paper.display_maps(), axis=0)),
        (explanation, clip_for_display(explanation.combined_map("mass"))),
    ):
        figure = np.asarray(explanation_figure(one, interpretation))
        left = (len(one.evidence) + 1) * (SIDE + GAP) + GAP
        assert np.array_equal(figure[GAP : GAP + SIDE, left : left + SIDE], np.asarray(heat_panel(one, heat)))


def test_a_panel_is_brighter_where_the_map_is_high(explained):
    _, explanation = explained
    heat = np.zeros((32, 32), np.float32)
    heat[:16] = 1
    panel = np.asarray(heat_panel(explanation, heat)).astype(int)
    redness = panel[..., 0] - panel[..., 2]
    assert redness[: SIDE // 2].mean() > redness[SIDE // 2 :].mean() + 30


@pytest.mark.parametrize("text", ["layer" * 60 + ".relu:87", "short", "\udcff", "two\nlines", ""])
def test_a_line_takes_no_more_than_its_width(text):
    image = Image.new("RGB", (200, 40), "white")
    draw_text(ImageDraw.Draw(image), (0, 0), text, 120, (0, 0, 0), 16)
    pixels = np.asarray(image)
    assert (pixels[:, 121:] == 255).all()
    assert (pixels[22:] == 255).all()
    assert (pixels < 128).any() == bool(text)


def test_the_ends_of_a_name_are_kept():
    assert shorten_middle("layer4.1.conv2.relu:511", 9) == "layer…:511"
    assert shorten_middle("relu:5", 6) == "relu:5"
