"""Every form of the problem by its definition, and its solutions against scikit-learn's path on transformed columns."""

import numpy as np
import pytest
from sklearn.linear_model import lars_path

from vebi.errors import UsageError
from vebi.lasso import accumulate, make_problem, merge, solve_all
from vebi.lasso.path import lasso_path
from vebi.lasso.scaling import CENTRED, PLAIN, SCALINGS, STANDARDISED


def table(seed, n=60, p=12, classes=3):
    """Columns of very different size and variation, as shares of narrow and of wide layers are."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    x = rng.gamma(0.5, size=(n, p)) * 10.0 ** rng.uniform(-4, 0, p)
    x[:, 0] = 0.7 + 1e-3 * rng.random(n)  # hardly varies
    x[:, 1] += x[:, 1].std() * (labels == 0)
    return x, np.eye(classes)[labels]


def transformed(x, labels, form):
    if form == PLAIN:
        return x, labels
    z = x - x.mean(axis=0)
    std = x.std(axis=0)
    return (z if form == CENTRED else z / np.hypot(std, 0.5 * np.median(std))), labels - labels.mean(axis=0)


@pytest.mark.parametrize("form", SCALINGS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_products_are_those_of_the_transformed_columns(form, overwrite):
    x, labels = table(0)
    moments = accumulate([("a", x[:20], labels[:20]), ("b", x[20:], labels[20:])], 12, 3)
    problem = make_problem(moments, form, overwrite=overwrite)
    z, t = transformed(x, labels, form)
    np.testing.assert_allclose(problem.gram, z.T @ z, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(problem.b, z.T @ t, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(problem.energy, np.square(t).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(problem.means, z.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(problem.scaling.apply(x), z, atol=1e-9)
    np.testing.assert_allclose(labels - problem.scaling.constants, t, atol=1e-12)
    assert (problem.gram == problem.gram.T).all()
    assert (problem.gram is moments.gram) == overwrite


@pytest.mark.parametrize("form", SCALINGS)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_solutions_are_certified_and_those_of_scikit_learns_path(form, signed, seed):
    x, labels = table(seed)
    problem = make_problem(accumulate([("a", x, labels)], 12, 3), form)
    z, t = transformed(x, labels, form)
    for j in range(3):
        _, _, weights = lars_path(z, t[:, j], method="lasso", positive=not signed)
        norms = np.abs(weights).sum(axis=0)
        end = lasso_path(problem.gram, problem.b[:, j], signed=signed)[-1].norm
        for share in (0.05, 0.3, 0.8):
            mu = share * end
            k = min(np.searchsorted(norms, mu), len(norms) - 1)
            part = (mu - norms[k - 1]) / (norms[k] - norms[k - 1])
            expected = (1 - part) * weights[:, k - 1] + part * weights[:, k]
            solution = solve_all(problem.gram, problem.b, problem.energy, mu, signed=signed)[j]
            assert solution.gap < 1e-9
            np.testing.assert_allclose(z @ solution.weights, z @ expected, atol=1e-6)


@pytest.mark.parametrize("form", SCALINGS)
def test_a_line_gives_the_score(form):
    x, labels = table(1)
    scaling = make_problem(accumulate([("a", x, labels)], 12, 3), form).scaling
    weights = np.random.default_rng(0).random((4, 12))
    slopes, constants = scaling.line(weights, 2)
    expected = scaling.constants[2] + scaling.apply(x) @ weights.T
    np.testing.assert_allclose(x @ slopes.T + constants, expected, atol=1e-9)
    some = scaling.columns(np.array([3, 5]))
    np.testing.assert_allclose(some.apply(x[:, [3, 5]]), scaling.apply(x)[:, [3, 5]])


def test_constant_columns_are_left_out_where_they_would_be_blown_up():
    x, labels = table(2)
    x[:, 3], x[:, 4] = 0, np.float32(0.1) * (1 + 1e-7 * np.random.default_rng(0).random(len(x)))
    problem = make_problem(accumulate([("a", x, labels)], 12, 3), STANDARDISED)
    assert np.isinf(problem.scaling.scale[[3, 4]]).all()
    assert not problem.gram[[3, 4]].any()
    assert not problem.b[[3, 4]].any()
    assert (problem.scaling.apply(x)[:, [3, 4]] == 0).all()
    for solution in solve_all(problem.gram, problem.b, problem.energy, 100.0):
        assert not solution.weights[[3, 4]].any()


def test_what_hardly_varies_loses_no_digits():
    """Sums about 0 would lose ten digits of it."""
    x, labels = table(3)
    x[:, 2] = 1e5 + np.random.default_rng(1).random(len(x))
    parts = [accumulate([(str(k), x[k::4], labels[k::4])], 12, 3) for k in range(4)]
    one, other = (make_problem(merge(order), CENTRED) for order in (parts, parts[::-1]))
    z = x - x.mean(axis=0)
    for problem in (one, other):
        np.testing.assert_allclose(problem.gram, z.T @ z, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.gram, other.gram, rtol=1e-9, atol=1e-12)


def test_the_floor_of_a_table_holds_for_its_parts():
    x, labels = table(4)
    problem = make_problem(accumulate([("a", x, labels)], 12, 3), STANDARDISED)
    assert problem.floor == pytest.approx(0.5 * np.median(x.std(axis=0)))
    part = make_problem(accumulate([("a", x[:30, :5], labels[:30])], 5, 3), STANDARDISED, floor=problem.floor)
    np.testing.assert_allclose(part.scaling.scale, np.hypot(x[:30, :5].std(axis=0), problem.floor))
    assert make_problem(accumulate([("a", x, labels)], 12, 3), CENTRED).floor == 0
    bare = make_problem(accumulate([("a", x, labels)], 12, 3), STANDARDISED, floor=0.0)
    np.testing.assert_allclose(bare.scaling.scale, x.std(axis=0))


def test_there_is_no_other_form():
    with pytest.raises(UsageError, match="'log'"):
        make_problem(accumulate([], 2, 2), "log")
