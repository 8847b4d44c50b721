"""A bound by number of features is the largest that gives no more."""

import numpy as np
import pytest

from vebi.errors import UsageError
from vebi.lasso import Bound, accumulate, make_problem, solve
from vebi.lasso.scaling import SCALINGS


def problem(seed=0, form="plain", n=50, p=15):
    rng = np.random.default_rng(seed)
    return make_problem(accumulate([("a", rng.random((n, p)), np.eye(2)[rng.integers(2, size=n)])], p, 2), form)


@pytest.mark.parametrize("form", SCALINGS)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_so_many_features_and_with_a_little_more_one_more(form, signed, count):
    for seed in range(5):
        given = problem(seed, form)
        for j, mu in enumerate(Bound(features=count).mus(given, signed=signed)):
            gram, b, e = given.gram, given.b[:, j], float(given.energy[j])
            solution = solve(gram, b, e, float(mu), signed=signed)
            assert (solution.weights != 0).sum() <= count
            if not solution.complete:
                continue
            more = solve(gram, b, e, float(mu) * 1.01, signed=signed)
            assert (more.weights != 0).sum() > count or not more.complete or _leaves(given, j, mu, signed, count)


def _leaves(given, j, mu, signed, count):
    """Whether beyond the bound one enters and another leaves within a hundredth."""
    gram, b, e = given.gram, given.b[:, j], float(given.energy[j])
    steps = mu * (1 + np.linspace(1e-6, 0.01, 50))
    return any((solve(gram, b, e, float(m), signed=signed).weights != 0).sum() > count for m in steps)


def test_a_path_that_ends_before():
    given = problem(p=3)
    (mu, _) = Bound(features=5).mus(given)
    assert np.isfinite(mu)
    assert (solve(given.gram, given.b[:, 0], float(given.energy[0]), float(mu)).weights != 0).sum() <= 3


def test_two_columns_that_enter_at_once_are_taken_both():
    x = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    x[:, 1] = x[:, 0][::-1]
    given = make_problem(accumulate([("a", x, np.ones((3, 1)))], 3, 1), "plain")
    (mu,) = Bound(features=1).mus(given)
    assert mu > 0


def test_a_class_without_any_feature_gets_a_bound_all_the_same():
    x = np.random.default_rng(0).random((6, 2))
    given = make_problem(accumulate([("a", x, np.zeros((6, 1)))], 2, 1), "plain")
    assert Bound(features=2).mus(given).tolist() == [1.0]


def test_a_given_mu_is_that_of_every_class():
    assert Bound(mu=2.5).mus(problem()).tolist() == [2.5, 2.5]


@pytest.mark.parametrize("options", [{}, {"mu": 1.0, "features": 1}, {"mu": 0.0}, {"features": 0}, {"features": True}])
def test_what_cannot_be(options):
    with pytest.raises(UsageError):
        Bound(**options)
