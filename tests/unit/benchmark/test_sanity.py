"""Sanity checks of methods whose answers are known: those that ignore the network, its first layers or its features."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vebi.benchmark.built_in_methods import built_in_methods
from vebi.benchmark.methods import Method
from vebi.benchmark.random_networks import CONDITIONS, RandomNetworks
from vebi.benchmark.refit import refit_on_network
from vebi.benchmark.sanity import sanity_scores
from vebi.data.sources import open_images
from vebi.errors import ModelError, UsageError, VebiWarning
from vebi.intervention import randomized_copy
from vebi.methods import FeatureEvidence, InputXGradient
from vebi.metrics import is_empty, rank_correlation, structural_similarity

NAMES = [condition.name for condition in CONDITIONS]
CASCADING, INDEPENDENT = NAMES[:4], NAMES[4:7]
KEPT, REFIT = NAMES[:7], NAMES[7:]


def edges(images, targets):
    """Asks no network."""
    grey = images.mean(dim=1)
    return F.pad((grey[:, 1:] - grey[:, :-1]).abs(), (0, 0, 0, 1))


def head(interpretation):
    """A map of the weights of the last layer alone."""
    patterns = torch.rand(12, 32, 32, generator=torch.Generator().manual_seed(0))
    weighted = torch.einsum("k,khw->hw", interpretation.classifier.model.linear.weight.detach()[0].abs(), patterns)
    return lambda images, targets: weighted.expand(len(images), 32, 32)


EDGES = Method("edges", "edges", lambda _: edges, uses_features=False)
HEAD = Method("head", "head", head, uses_features=False)
GRADIENT = Method("input-x-gradient", "", lambda i: InputXGradient(i.require_classifier()), uses_features=False)
VEBI = Method("vebi", "vebi", FeatureEvidence)
PAPER = next(method for method in built_in_methods() if method.name == "vebi-paper")


@pytest.fixture(scope="module")
def fit_images(squares, interpreted):
    return open_images(squares, interpreted.class_names)


@pytest.fixture(scope="module")
def few(truth):
    return truth.thin(2)


@pytest.fixture(scope="module")
def foregrounds(few):
    """The squares and 12 pixels around."""
    return F.max_pool2d(few.masks.float(), 25, 1, 12) > 0


@pytest.fixture
def check(interpreted, fit_images, few, foregrounds, tmp_path):
    """Scores methods in a folder of its own."""

    def run(*methods, folder="sanity", truth=few, where=foregrounds, **options):
        networks = RandomNetworks(
            **{"interpretation": interpreted, "fit_images": fit_images, "fit_per_class": 24} | options
        )
        return sanity_scores(networks, truth, where, methods, tmp_path / folder)

    return run


def correlations(scores, names):
    return np.array([scores[f"sanity.{name}.rank_correlation"] for name in names])


def test_the_names_of_the_conditions():
    assert CASCADING == ["1", "2", "3", "all"]
    assert INDEPENDENT == ["independent 1", "independent 2", "independent 3"]
    assert REFIT == ["1 refit", "2 refit", "3 refit", "all refit"]


def test_a_method_that_ignores_the_network_never_changes(check):
    (scores,) = check(EDGES).values()
    for name in NAMES:
        assert scores[f"sanity.{name}.rank_correlation"] == pytest.approx(np.ones(6))
        assert scores[f"sanity.{name}.structural_similarity"] == pytest.approx(np.ones(6), abs=1e-6)
        assert not scores[f"sanity.{name}.empty"].any()
    assert not scores["sanity.empty"].any()
    assert len(scores) == 3 * len(NAMES) + 1


def test_a_method_of_the_last_layer_changes_with_the_last_layer_only(check):
    scores = check(HEAD)["head"]
    assert correlations(scores, INDEPENDENT[1:]) == pytest.approx(np.ones((2, 6)))
    changed = correlations(scores, (*CASCADING, "independent 1"))
    assert (changed < 0.999).all()
    assert (changed == changed[0]).all()  # the same last layer each time


def test_input_x_gradient_changes_everywhere(check):
    scores = check(GRADIENT)["input-x-gradient"]
    values = correlations(scores, NAMES)
    assert (np.nanmean(values, axis=1) < 0.95).all()
    assert (correlations(scores, REFIT) == correlations(scores, CASCADING)).all()


def test_scores_are_those_of_the_maps_made_by_hand(check, interpreted, few, foregrounds):
    scores = check(GRADIENT, seed=3)["input-x-gradient"]
    inputs, targets = few.inputs(range(6)), torch.from_numpy(few.targets)
    before = InputXGradient(interpreted.classifier)(inputs, targets).clamp(min=0)
    for name, last, mode in (("1", 1, "cascading"), ("2", 2, "cascading"), ("independent 3", 3, "independent")):
        copy = randomized_copy(interpreted.classifier, last=last, mode=mode, seed=3)
        after = InputXGradient(copy)(inputs, targets).clamp(min=0)
        for metric in (rank_correlation, structural_similarity):
            expected = metric(before, after, foregrounds).numpy()
            np.testing.assert_allclose(scores[f"sanity.{name}.{metric.__name__}"], expected, rtol=1e-5)
        assert (scores[f"sanity.{name}.empty"] == is_empty(after, foregrounds).numpy()).all()


def test_features_kept_and_refitted(check, interpreted, fit_images, few, foregrounds):
    scores = check(VEBI, EDGES, GRADIENT)
    copy = randomized_copy(interpreted.classifier, last=2)
    refit = refit_on_network(interpreted, copy, fit_images)
    inputs, targets = few.inputs(range(6)), torch.from_numpy(few.targets)
    before = FeatureEvidence(interpreted)(inputs, targets)
    for name, interpretation in (("2", replace(interpreted, classifier=copy)), ("2 refit", refit)):
        after = FeatureEvidence(interpretation)(inputs, targets)
        expected = rank_correlation(before, after, foregrounds).numpy()
        np.testing.assert_allclose(scores["vebi"][f"sanity.{name}.rank_correlation"], expected, rtol=1e-5)
    for method, values in scores.items():
        differ = not np.array_equal(correlations(values, CASCADING), correlations(values, REFIT), equal_nan=True)
        assert differ == (method == "vebi")
    # the last layer of the network is in no feature: by the recipe of the paper nothing that is shown depends on it
    assert (correlations(scores["vebi"], ["1"]) < 0.999).any()
    assert correlations(check(PAPER, folder="paper")["vebi-paper"], ["1"]) == pytest.approx(np.ones((1, 6)))


def test_a_refit_on_the_trained_network_is_the_fit(interpreted, fit_images):
    refit = refit_on_network(interpreted, interpreted.classifier, fit_images)
    assert refit.features == interpreted.features
    np.testing.assert_allclose(refit.weights, interpreted.weights, rtol=1e-6)
    assert refit.fingerprint() == interpreted.fingerprint()


def test_the_trained_network_stays_as_it_was(check, interpreted, tmp_path):
    before, state = interpreted.classifier.sha256(), torch.get_rng_state()
    modes = [part.training for part in interpreted.classifier.model.modules()]
    check(VEBI, GRADIENT)
    assert interpreted.classifier.sha256() == before == interpreted.settings.model.sha256
    assert [part.training for part in interpreted.classifier.model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert sorted(p.name for p in (tmp_path / "sanity").iterdir()) == [
        "input-x-gradient.sanity.safetensors",
        "vebi.sanity.safetensors",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["sanity"]


def test_seeds(check):
    one, same, other = (check(VEBI, GRADIENT, folder=str(k), seed=seed) for k, seed in enumerate((0, 0, 1)))
    for method, scores in one.items():
        for name, values in scores.items():
            np.testing.assert_array_equal(same[method][name], values)
        assert not np.array_equal(correlations(scores, NAMES), correlations(other[method], NAMES), equal_nan=True)


def counting(calls, **options):
    def make(interpretation):
        def explain(images, targets):
            calls.append(len(images))
            return edges(images, targets)

        return explain

    # the name of a function would be another each time
    return Method("counting", "counting", make, key="one", **options)


@pytest.mark.parametrize(("uses_features", "networks"), [(False, 1 + 3 + 2), (True, 1 + 3 + 2 + 3)])
def test_what_is_the_same_is_made_once_and_kept(check, uses_features, networks):
    """Of three layers, "3" is "all" and "independent 1" is "1"."""
    calls = []
    method = counting(calls, uses_features=uses_features)
    first = check(method)
    assert calls == [6] * networks
    second = check(method)
    assert len(calls) == networks
    for name, values in first["counting"].items():
        np.testing.assert_array_equal(second["counting"][name], values)
    check(method, seed=1)
    assert len(calls) == 2 * networks


def test_permuted_labels(check, interpreted):
    permuted = replace(
        interpreted,
        classifier=randomized_copy(interpreted.classifier, last=3, seed=9),
        weights=interpreted.weights[[1, 2, 0]],
    )
    with_labels = check(EDGES, VEBI, permuted=permuted)
    assert correlations(with_labels["edges"], ["labels"]) == pytest.approx(np.ones((1, 6)))
    assert (np.nan_to_num(correlations(with_labels["vebi"], ["labels"])) < 0.95).all()
    other = replace(permuted, class_names=("a", "b", "c"))
    with pytest.raises(UsageError, match="permuted labels"):
        check(EDGES, permuted=other)


def test_networks_with_few_layers(check, interpreted, monkeypatch):
    monkeypatch.setattr("vebi.benchmark.random_networks.parameter_layers", lambda _: ["conv2", "linear"])
    scores = check(EDGES)["edges"]
    names = {key.split(".")[1] for key in scores if key.count(".") == 2}
    assert names == set(NAMES) - {"3", "independent 3", "3 refit"}


def test_empty_maps_are_counted_apart(check, foregrounds):
    def first_empty(interpretation):
        def explain(images, targets):
            maps = edges(images, targets) + 1
            maps[0][foregrounds[0]] = 0.5  # constant where it counts
            if interpretation.classifier.model.linear.weight.abs().max() < 0.29:  # as drawn: 1 / sqrt(12)
                maps[1] = -1
            return maps

        return explain

    scores = check(Method("partly", "", first_empty, uses_features=False))["partly"]
    assert scores["sanity.empty"].tolist() == [1, 0, 0, 0, 0, 0]
    for name in NAMES:
        drawn = name not in INDEPENDENT[1:]
        assert scores[f"sanity.{name}.empty"].tolist() == [1, int(drawn), 0, 0, 0, 0]
        for metric in ("rank_correlation", "structural_similarity"):
            values = scores[f"sanity.{name}.{metric}"]
            assert np.isnan(values).tolist() == [True, drawn, False, False, False, False]
            assert values[2:] == pytest.approx(np.ones(4), abs=1e-6)


def test_a_class_without_features_has_empty_maps(check, interpreted, fit_images):
    """What ignores its input predicts one class: a refit of the other two finds nothing."""
    blind = randomized_copy(interpreted.classifier, last=1)
    with torch.no_grad():
        blind.model.linear.weight.zero_()
        blind.model.linear.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    refit = refit_on_network(interpreted, blind, fit_images)
    assert (np.abs(refit.weights).sum(axis=1) > 0).tolist() == [False, True, False]
    scores = check(VEBI, permuted=refit)["vebi"]
    assert scores["sanity.labels.empty"].tolist() == [1, 1, 0, 0, 1, 1]
    assert np.isnan(scores["sanity.labels.rank_correlation"]).tolist() == [True, True, False, False, True, True]


def test_a_refit_that_fails_has_empty_maps(check, monkeypatch):
    def fail(*args, **options):
        raise ModelError("no number is finite")

    monkeypatch.setattr("vebi.benchmark.random_networks.refit_on_network", fail)
    with pytest.warns(VebiWarning, match="nothing is fitted for '(all|1|2|3) refit': no number is finite") as warned:
        scores = check(VEBI)["vebi"]
    assert len(warned) == 3
    for name in REFIT:
        assert scores[f"sanity.{name}.empty"].all()
        assert np.isnan(scores[f"sanity.{name}.rank_correlation"]).all()
    assert not scores["sanity.1.empty"].any()


def test_a_method_that_the_random_network_has_no_place_for(check, interpreted):
    def only_trained(interpretation):
        if interpretation.classifier is not interpreted.classifier:
            raise UsageError("there is no such layer")
        return edges

    with pytest.warns(VebiWarning, match="choosy has no maps for .*: there is no such layer"):
        scores = check(Method("choosy", "", only_trained, needed=True, uses_features=False))["choosy"]
    assert not scores["sanity.empty"].any()
    assert all(scores[f"sanity.{name}.empty"].all() for name in NAMES)


def test_errors_on_the_trained_network_are_raised(check, foregrounds, few):
    wrong = Method("wrong", "", lambda _: lambda images, targets: torch.zeros(1))
    with pytest.raises(ModelError, match=r"^wrong: .*shape \(1,\)"):
        check(wrong)
    with pytest.raises(UsageError, match=r"\(5, 32, 32\)"):
        check(EDGES, where=foregrounds[:5])
    with pytest.raises(UsageError, match="image 2 is empty"):
        check(EDGES, where=foregrounds & (torch.arange(6) != 2)[:, None, None])
    with pytest.raises(UsageError, match="fit_per_class is 0"):
        check(EDGES, fit_per_class=0)


def test_methods_that_no_network_is_asked_for_are_left_out(check):
    blind = replace(EDGES, name="blind", uses_network=False)
    assert list(check(blind, EDGES)) == ["edges"]


def test_every_built_in_method_tells_whether_it_uses_features(interpreted):
    """With other weights the maps of exactly those change."""
    inputs = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 2])
    other = replace(interpreted, weights=interpreted.weights[:, ::-1].copy()[[1, 2, 0]])
    for method in built_in_methods():
        one, same = (method.make(i)(inputs, targets) for i in (interpreted, other))
        assert method.uses_features != torch.equal(one, same), method.name


def test_refits_leave_no_folder_and_take_few_images(check, interpreted, squares, tmp_path, monkeypatch):
    seen = []

    def spy(interpretation, classifier, images, **options):
        seen.append(list(images.ids))
        return refit_on_network(interpretation, classifier, images, **options)

    monkeypatch.setattr("vebi.benchmark.random_networks.refit_on_network", spy)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    check(VEBI, fit_per_class=2)
    ids = [f"{name}/{k:02d}.png" for name in ("blue", "green", "red") for k in (0, 23)]
    assert seen == [ids] * 3
    assert not list(scratch.iterdir())
    shutil.rmtree(scratch)
