"""What a report says of the choice of features is what the run holds."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from support import SIZE, ToyNet, no_path

import vebi
from vebi.data.sources import open_images
from vebi.errors import UsageError
from vebi.explanation.assessment import survey
from vebi.interpretation.mu_path import MuPath
from vebi.interpretation.stability import Stability
from vebi.models.preprocess import Preprocess
from vebi.reports import selection_charts, selection_summary
from vebi.reports.study_page import render


@pytest.fixture(scope="module")
def fitted(toy_module, squares):
    toy = vebi.Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names, "net.py:toy")
    return vebi.interpret(toy, squares, mu=1)


@pytest.fixture(scope="module")
def seen(fitted, squares):
    found = survey(fitted, open_images(squares, fitted.classes))
    return replace(found, typical=(), mistakes=())  # their features are not those that are made up here


@pytest.fixture
def made(fitted):
    """Three bounds; blue takes one feature, then two; green one; red none."""
    mus = np.array([0.5, 1.0, 2.0])
    path = MuPath(
        mus=mus,
        candidates=np.ones(3, bool),
        explained=np.array([[[0.1, 0.3, np.nan], [0.5, 0.7, np.nan], [0.6, 0.8, np.nan]]] * 2)
        + np.array([0.0, 0.02]).reshape(2, 1, 1),
        agreement=np.array([[0.4, 0.9, 0.8], [0.6, 0.9, 0.8]]),
        owners=np.array([0, 0, 1]),
        columns=np.array([4, 9, 4]),
        enters=np.array([0.0, 0.6, 0.0]),
        weights=np.array([[0.5, 0.25, 0.5], [0, 0.75, 1.5], [0.5, 1.0, 2.0]]),
        ends=np.array([2.0, np.inf, 0.0]),
    )
    weights = np.array([[0.25, 0.75], [1.0, 0], [0, 0]])
    stability = Stability(
        50, np.array([[1.0, 0.5], [0.7, 0], [0, 0]]), np.array([[1.0, 0.9], [0.7, 0], [0, 0]]), ((), ((2, 0.97),))
    )
    features = tuple(fitted.feature(column) for column in (4, 9))
    exemplars = tuple(replace(fitted.exemplars[0], feature=feature) for feature in features)
    return replace(
        fitted, features=features, columns=(4, 9), weights=weights, exemplars=exemplars, path=path, stability=stability
    )


def test_numbers(made):
    found = selection_summary.in_words(made)
    assert found["mus"] == [0.5, 1, 2] and found["features"] == pytest.approx([2 / 3, 1, 1])
    assert found["explained_variance"]["mean"] == pytest.approx([0.21, 0.61, 0.71])
    assert found["explained_variance"]["standard_error"] == pytest.approx([0.01] * 3)
    assert found["agreement"]["mean"] == pytest.approx([0.5, 0.9, 0.8])
    assert found["best_mu"] == found["recommended_mu"] == 2 and found["chosen"] == "given"
    blue, green, red = (found["classes"][name] for name in made.classes)
    assert [f["feature"] for f in blue["features"]] == [str(f) for f in made.features]
    assert blue["features"][1] == {"feature": str(made.features[1]), "enters": 0.6, "weights": [0, 0.75, 1.5]}
    assert blue["counts"] == [1, 2, 2] and blue["ends"] == 2 and green["ends"] is None
    assert green["explained_variance"] == pytest.approx([0.31, 0.71, 0.81]) and red["explained_variance"] is None
    assert list(selection_summary.in_words(made, ["red"])["classes"]) == ["red"]
    with pytest.raises(UsageError, match="no class 'pink'"):
        selection_summary.in_words(made, ["pink"])


def test_at_mu_and_trust(made):
    at = selection_summary.at_mu(made)
    assert at["here"]["explained"] == pytest.approx(0.61) and at["best"]["mu"] == 2 and not at["beyond"]
    assert selection_summary.at_mu(replace(made, mu=7.0))["beyond"]
    assert (
        selection_summary.explained(made, "green") == pytest.approx(0.71)
        and selection_summary.explained(made, "red") is None
    )
    assert selection_summary.trust(made) == {
        "all": 3,
        "stable": 1,
        "unstable": 1,
        "replaceable": 1,
        "halves": 50,
        "lasting": 2,
    }
    assert [selection_summary.stable_in_words(share) for share in (1, 0.9, 0.6, 0.59, 0)] == [
        "stable", "stable", "fairly stable", "unstable", "unstable",
    ]  # fmt: skip


def points(chart):
    return [
        [tuple(map(float, point.split(","))) for point in some.split()]
        for some in re.findall(r'polyline points="([^"]+)"', chart)
    ]


def test_charts_show_the_numbers(made):
    agreement, explained = points(selection_charts.validation_chart(made))
    assert [x for x, _ in explained] == pytest.approx([0, 50, 100])  # by the logarithm
    assert [y for _, y in explained] == pytest.approx([79, 39, 29]) and [y for _, y in agreement] == pytest.approx(
        [50, 10, 20]
    )
    (counts,) = points(selection_charts.count_chart(made))
    assert [y for _, y in counts] == pytest.approx([66.67, 50, 50], abs=0.01)
    second, first = points(selection_charts.class_chart(made, "blue", selection_charts.numbered(made, "blue")))
    assert [y for _, y in first] == pytest.approx([100, 25, 25])  # 75 % of the weight
    assert [y for _, y in second] == pytest.approx([0, 75, 75])
    assert points(selection_charts.class_chart(made, "red", {})) == []
    assert ">mu = 1<" in selection_charts.validation_chart(made) and ">auto: 2<" in selection_charts.validation_chart(
        made
    )
    assert "auto" not in selection_charts.validation_chart(replace(made, mu=2.0))


def test_what_matters_at_other_mu_is_named(made):
    """Green chose feature 9 at a small mu, and blue shares a line with everything it never had much of."""
    path = replace(
        made.path,
        owners=np.array([0, 0, 1, 1, 1]),
        columns=np.array([4, 9, 9, 5, 4]),
        enters=np.array([0.0, 0.6, 0.0, 0.1, 0.4]),
        weights=np.array([[0.5, 0.25, 0.5], [0, 0.75, 1.5], [0.4, 0, 0], [0.1, 0.1, 0.1], [0, 0.9, 1.9]]),
    )
    other = replace(made, path=path)
    four, nine = (str(feature) for feature in made.features)
    assert selection_charts.numbered(other, "green") == {four: 1, nine: 2}
    assert selection_charts.numbered(other, "blue", 1) == {
        nine: 1,
        four: 2,
    }  # one has a card, the other half of the weight
    many = replace(path, owners=np.ones(5, np.int64), columns=np.arange(10, 15), weights=np.eye(5)[:, :3] + 0.01)
    names = selection_charts.numbered(replace(other, path=many), "green")
    assert names == {four: 1} | {str(made.feature(column)): k for k, column in ((2, 10), (3, 11), (4, 12))}
    crowded = np.zeros((8, 3))
    crowded[[0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 1, 1, 1, 2, 2]] = [1, 1, 1, 1, 1, 1, 0.45, 0.55]
    full = replace(path, owners=np.ones(8, np.int64), columns=np.arange(10, 18), enters=np.arange(8.0), weights=crowded)
    names = selection_charts.numbered(replace(other, path=full), "green")
    assert names[str(made.feature(17))] == 7 == len(names)  # the last to enter, and the heaviest
    light = replace(other, weights=np.array([[0.25, 0.75], [1.0, 0.01], [0, 0]]))
    assert selection_charts.numbered(light, "green", 1) == {
        four: 1,
        nine: 2,
    }  # chosen, too light for a card, and heavy elsewhere
    chart = selection_charts.class_chart(other, "green", selection_charts.numbered(other, "green"))
    assert len(re.findall('class="name"', chart)) == 2 and len(points(chart)) == 3
    assert f"2  {nine} (at other mu)" in selection_charts.picture(other, ["green"])


def test_the_picture_is_a_file_of_its_own(made, tmp_path):
    selection_charts.write_picture(made, tmp_path / "new" / "x.svg")
    text = (tmp_path / "new" / "x.svg").read_text()
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and "http" not in text.replace(
        "http://www.w3.org/2000/svg", ""
    )
    words = " ".join(root.itertext())
    assert all(f"{name}: share of the weight" in words for name in made.classes)
    odd = replace(made, classes=('a" <b> &c', "green", "red"))
    ElementTree.fromstring(selection_charts.picture(odd, odd.classes))
    untried = replace(made, path=no_path(3))
    assert "held out" not in selection_charts.picture(untried, untried.classes)


def words_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<wbr>", "", page)))


def test_a_page_says_why_and_how_far_to_trust(made, seen):
    said = words_of(render(made, seen, title="x"))
    assert "Each class has a budget mu for the sum of its weights, here 1" in said
    assert "mu was given. The explained variance is best at 2; --mu auto would take 2" in said
    assert "this page: 1 1.0 61.0 ± 1.0 90.0 ± 0.0" in said and "auto, best: 2 1.0 71.0" in said
    assert "of the 3 choices of a feature for a class, 1 is stable" in said and "and 1 unstable" in said
    assert "chosen again in 25 of 50 halves: unstable" in said and f"stand-ins: {made.feature(2)} (0.970)" in said
    assert (
        "it or one of them in 45" in said
        and "chosen with mu from 1 on" in said
        and "2 are also chosen with half of mu" in said
    )
    assert "71 % explained" in said
    auto = {**made.provenance, "settings": {**made.provenance["settings"], "mu": "auto"}}
    said = words_of(render(replace(made, provenance=auto, mu=2.0), seen, title="x"))
    assert "mu was chosen by vebi: 2 is the smallest of these budgets" in said and "(chosen by vebi)" in said


def test_a_page_where_nobody_looked(made, seen):
    said = words_of(render(replace(made, path=no_path(3), stability=None), seen, title="x"))
    assert "There were too few pictures to hold some out" in said and "was not looked at" in said
    assert "chosen again" not in said.lower() and "explained variance" not in said
