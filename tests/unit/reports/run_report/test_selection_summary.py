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
from vebi.explanation.assessment import assess
from vebi.interpretation.mu_path import MuPath
from vebi.interpretation.stability import Stability
from vebi.models.preprocess import Preprocess
from vebi.reports.run_report import selection_charts, selection_summary
from vebi.reports.run_report.page import render
from vebi.reports.run_report.selection_index import SelectionIndex
from vebi.reports.run_report.weight_shares import line_numbers


@pytest.fixture(scope="module")
def fitted(toy_module, squares):
    toy = vebi.Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names, "net.py:toy")
    return vebi.interpret(toy, squares, mu=1)


@pytest.fixture(scope="module")
def seen(fitted, squares):
    found = assess(fitted, open_images(squares, fitted.class_names))
    return replace(found, typical=(), mistakes=())  # their features are not those that are made up here


@pytest.fixture
def made(fitted):
    """Three bounds; blue takes one feature, then two; green one; red none."""
    mus = np.array([0.5, 1.0, 2.0])
    path = MuPath(
        mus=mus,
        candidates=np.ones(3, bool),
        r2=np.array([[[0.1, 0.3, np.nan], [0.5, 0.7, np.nan], [0.6, 0.8, np.nan]]] * 2)
        + np.array([0.0, 0.02]).reshape(2, 1, 1),
        fidelity=np.array([[0.4, 0.9, 0.8], [0.6, 0.9, 0.8]]),
        class_index=np.array([0, 0, 1]),
        columns=np.array([4, 9, 4]),
        entry_mu=np.array([0.0, 0.6, 0.0]),
        weights=np.array([[0.5, 0.25, 0.5], [0, 0.75, 1.5], [0.5, 1.0, 2.0]]),
        fit_r2=np.array([[0.5, 0.7, np.nan]] * 2) + np.array([[0.0], [0.02]]),
        fit_fidelity=np.array([0.9, 0.9]),
        end_mu=np.array([2.0, np.inf, 0.0]),
    )
    weights = np.array([[0.25, 0.75], [1.0, 0], [0, 0]])
    stability = Stability(
        50, np.array([[1.0, 0.5], [0.7, 0], [0, 0]]), np.array([[1.0, 0.9], [0.7, 0], [0, 0]]), ((), ((2, 0.97),))
    )
    features = tuple(fitted.feature(column) for column in (4, 9))
    exemplars = tuple(replace(fitted.exemplars[0], feature=feature) for feature in features)
    return replace(
        fitted,
        features=features,
        columns=(4, 9),
        weights=weights,
        exemplars=exemplars,
        mu_path=path,
        stability=stability,
    )


def test_a_class_without_the_features_asked_for_has_no_mu(made):
    settings = replace(made.settings, mu=None, features_per_class=2)
    classes = selection_summary.to_dict(replace(made, settings=settings, mus=(0.3, 0.4, 1.0)))["classes"]
    assert [classes[name]["mu"] for name in made.class_names] == [0.3, 0.4, None]
    assert [c["mu"] for c in selection_summary.to_dict(made)["classes"].values()] == [1, 1, 1]


def test_numbers(made):
    found = selection_summary.to_dict(made)
    assert found["mus"] == [0.5, 1, 2]
    assert found["features"] == pytest.approx([2 / 3, 1, 1])
    assert found["r2"]["mean"] == pytest.approx([0.21, 0.61, 0.71])
    assert found["r2"]["standard_error"] == pytest.approx([0.01] * 3)
    assert found["fidelity"]["mean"] == pytest.approx([0.5, 0.9, 0.8])
    assert found["best_mu"] == found["one_se_mu"] == 2
    assert found["chosen"] == "given"
    blue, green, red = (found["classes"][name] for name in made.class_names)
    assert [f["feature"] for f in blue["features"]] == [str(f) for f in made.features]
    assert blue["features"][1] == {"feature": str(made.features[1]), "entry_mu": 0.6, "weights": [0, 0.75, 1.5]}
    assert blue["counts"] == [1, 2, 2]
    assert blue["end_mu"] == 2
    assert green["end_mu"] is None
    assert green["r2"] == pytest.approx([0.31, 0.71, 0.81])
    assert red["r2"] is None
    assert list(selection_summary.to_dict(made, ["red"])["classes"]) == ["red"]
    with pytest.raises(UsageError, match="'pink'"):
        selection_summary.to_dict(made, ["pink"])


def test_values_of_mu_compared_and_stability(made):
    comparison = selection_summary.compare_mu(made)
    assert comparison.current.r2 == pytest.approx(0.61)
    assert comparison.best.mu == 2
    assert not comparison.beyond
    assert selection_summary.compare_mu(replace(made, mus=(7.0,) * 3)).beyond
    assert selection_summary.held_out_r2(made, made.class_names.index("green")) == pytest.approx(0.71)
    assert selection_summary.held_out_r2(made, made.class_names.index("red")) is None
    assert selection_summary.stability_summary(made) == {
        "all": 3,
        "stable": 1,
        "unstable": 1,
        "unknown": 0,
        "replaceable": 1,
        "n_subsamples": 50,
        "lasting": 2,
    }
    assert [selection_summary.stability_word(share) for share in (1, 0.9, 0.6, 0.59, 0)] == [
        "stable", "stable", "fairly stable", "unstable", "unstable",
    ]  # fmt: skip


def test_fragile_selections_are_named(made, seen):
    """Of blue one that half of the subsamples select; of a light one it is its weight."""
    (fragile,) = selection_summary.fragile_selections(SelectionIndex(made))
    assert (fragile.class_name, fragile.feature, fragile.share) == ("blue", made.features[1], 0.75)
    assert fragile.selection_probability == 0.5
    light = replace(made, weights=np.array([[0.97, 0.03], [1.0, 0], [0, 0]]), stability=None)
    (other,) = selection_summary.fragile_selections(SelectionIndex(light))
    assert (other.feature, other.share, other.selection_probability) == (made.features[1], pytest.approx(0.03), None)
    said = words_of(render(made, seen, title="x"))
    assert f"Fragile selections: {made.features[1]} for blue (75 % of the weight, probability 50 %). They have" in said
    assert "Fragile" not in words_of(
        render(
            replace(
                made,
                weights=made.weights[:, :1],
                features=made.features[:1],
                columns=made.columns[:1],
                exemplars=made.exemplars[:1],
                stability=None,
            ),
            seen,
            title="x",
        )
    )


def points(chart):
    return [
        [tuple(map(float, point.split(","))) for point in line.split()]
        for line in re.findall(r'polyline points="([^"]+)"', chart)
    ]


def test_charts_show_the_numbers(made):
    fidelity, r2 = points(selection_charts.validation_chart(made))
    assert [x for x, _ in r2] == pytest.approx([0, 50, 100])  # by the logarithm
    assert [y for _, y in r2] == pytest.approx([79, 39, 29])
    assert [y for _, y in fidelity] == pytest.approx([50, 10, 20])
    (counts,) = points(selection_charts.count_chart(made))
    assert [y for _, y in counts] == pytest.approx([66.67, 50, 50], abs=0.01)
    second, first = points(
        selection_charts.class_chart(SelectionIndex(made), "blue", line_numbers(SelectionIndex(made), "blue"))
    )
    assert [y for _, y in first] == pytest.approx([100, 25, 25])  # 75 % of the weight
    assert [y for _, y in second] == pytest.approx([0, 75, 75])
    assert points(selection_charts.class_chart(SelectionIndex(made), "red", {})) == []
    assert ">mu = 1<" in selection_charts.validation_chart(made)
    assert ">auto: 2<" in selection_charts.validation_chart(made)
    assert "auto" not in selection_charts.validation_chart(replace(made, mus=(2.0,) * 3))


def test_what_matters_at_other_mu_is_named(made):
    """Green chose feature 9 at a small mu, and blue shares a line with everything it never had much of."""
    path = replace(
        made.mu_path,
        class_index=np.array([0, 0, 1, 1, 1]),
        columns=np.array([4, 9, 9, 5, 4]),
        entry_mu=np.array([0.0, 0.6, 0.0, 0.1, 0.4]),
        weights=np.array([[0.5, 0.25, 0.5], [0, 0.75, 1.5], [0.4, 0, 0], [0.1, 0.1, 0.1], [0, 0.9, 1.9]]),
    )
    other = replace(made, mu_path=path)
    four, nine = (str(feature) for feature in made.features)
    assert line_numbers(SelectionIndex(other), "green") == {four: 1, nine: 2}
    assert line_numbers(SelectionIndex(other), "blue", 1) == {
        nine: 1,
        four: 2,
    }  # one has a card, the other half of the weight
    many = replace(path, class_index=np.ones(5, np.int64), columns=np.arange(10, 15), weights=np.eye(5)[:, :3] + 0.01)
    names = line_numbers(SelectionIndex(replace(other, mu_path=many)), "green")
    assert names == {four: 1} | {str(made.feature(column)): k for k, column in ((2, 10), (3, 11), (4, 12))}
    crowded = np.zeros((8, 3))
    crowded[[0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 1, 1, 1, 2, 2]] = [1, 1, 1, 1, 1, 1, 0.45, 0.55]
    full = replace(
        path, class_index=np.ones(8, np.int64), columns=np.arange(10, 18), entry_mu=np.arange(8.0), weights=crowded
    )
    names = line_numbers(SelectionIndex(replace(other, mu_path=full)), "green")
    assert names[str(made.feature(17))] == 7 == len(names)  # the last to enter, and the heaviest
    light = replace(other, weights=np.array([[0.25, 0.75], [1.0, 0.01], [0, 0]]))
    assert line_numbers(SelectionIndex(light), "green", 1) == {
        four: 1,
        nine: 2,
    }  # chosen, too light for a card, and heavy elsewhere
    chart = selection_charts.class_chart(SelectionIndex(other), "green", line_numbers(SelectionIndex(other), "green"))
    assert len(re.findall('class="name"', chart)) == 2
    assert len(points(chart)) == 3
    assert f"2  {nine} (at other mu)" in selection_charts.figure(other, ["green"])


def test_the_figure_is_a_file_of_its_own(made, tmp_path):
    selection_charts.write_figure(made, tmp_path / "new" / "x.svg")
    text = (tmp_path / "new" / "x.svg").read_text()
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    words = " ".join(root.itertext())
    assert all(f"{name}: share of the weight" in words for name in made.class_names)
    odd = replace(made, class_names=('a" <b> &c', "green", "red"))
    ElementTree.fromstring(selection_charts.figure(odd, odd.class_names))
    untried = replace(made, mu_path=no_path(3))
    assert "held out" not in selection_charts.figure(untried, untried.class_names)


@pytest.mark.parametrize("letter", ["\x1b", "\x00", "\x0b", "\ufffe", "\uffff", "\udcff"])
def test_what_is_no_xml_is_shown_by_its_code(made, letter):
    settings = replace(made.settings, layers=tuple((f"{name}{letter}", n) for name, n in made.layers))
    odd = replace(made, class_names=(f"a{letter}", "green", "red"), settings=settings)
    words = " ".join(ElementTree.fromstring(selection_charts.figure(odd, odd.class_names)).itertext())
    assert f"a{ascii(letter)[1:-1]}: share" in words
    assert f"{ascii(letter)[1:-1]}:{made.features[0].channel}" in words


def words_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<wbr>", "", page)))


def test_a_page_says_why_and_how_far_to_trust(made, seen):
    said = words_of(render(made, seen, title="x"))
    assert "at most mu, here 1;" in said
    assert re.search("mu was given. R² is best at mu = 2; --mu auto [a-z ]* 2,", said)
    assert "this page: 1 1.0 61.0 ± 1.0 90.0 ± 0.0" in said
    assert "auto, best: 2 1.0 71.0" in said
    assert "of the 3 selections of a feature for a class, 1 is stable" in said
    assert "and 1 unstable" in said
    assert "selection probability 50 %: unstable" in said
    assert f"correlated with {made.feature(2)} (0.970)" in said
    assert "it or one of them: 90 %" in said
    assert "selected with mu from 1 on" in said
    assert "2 are also selected with half of mu" in said
    assert "R² 71 %" in said
    automatic = replace(made, settings=replace(made.settings, mu="auto"), mus=(2.0,) * 3)
    said = words_of(render(automatic, seen, title="x"))
    assert "mu was chosen by cross-validation: 2 is the smallest" in said
    assert "(chosen by cross-validation)" in said


def test_a_page_without_cross_validation_and_stability(made, seen):
    said = words_of(render(replace(made, mu_path=no_path(3), stability=None), seen, title="x"))
    assert "too few images for cross-validation" in said
    assert "no stability selection" in said
    assert "selection probability" not in said.lower()
    assert "R²" not in said


def test_the_index_agrees_with_the_interpretation(made):
    """Each look-up against a search through everything."""
    rng = np.random.default_rng(0)
    weights = rng.choice([-1.0, 0, 0, 0.5, 1], (3, 8)) * rng.integers(1, 3, (3, 8))
    pairs = rng.permutation([(j, column) for j in range(3) for column in range(12)])[:20]
    path = replace(
        made.mu_path,
        class_index=pairs[:, 0],
        columns=pairs[:, 1],
        entry_mu=rng.random(20),
        weights=rng.choice([0.0, 1.0, -2.0], (20, 3)),
    )
    columns = (1, 2, 3, 5, 7, 8, 10, 11)
    features = tuple(made.feature(column) for column in columns)
    random = replace(made, weights=weights, columns=columns, features=features, mu_path=path)
    index = SelectionIndex(random)
    for j, name in enumerate(random.class_names):
        selected = [(features[i], weight) for i, weight in index.selected(j)]
        assert selected == random.select_features(name)
        rows = path.class_index == j
        assert index.path_rows(j).columns.tolist() == path.columns[rows].tolist()
        assert index.path_rows(j).entry_mu.tolist() == path.entry_mu[rows].tolist()
        assert index.path_rows(j).weights.tolist() == path.weights[rows].tolist()
    for i, column in enumerate(columns):
        users = [j for j in range(3) if weights[j, i] != 0]
        assert index.classes_of_feature(i).tolist() == sorted(users, key=lambda j, i=i: -weights[j, i])
        assert [index.mu_range(j, i) for j in range(3)] == [path.span(j, column) for j in range(3)]
    assert index.feature_index == {feature: i for i, feature in enumerate(features)}
