"""The mu-Lasso against its certificate and against an independent solver."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from vebi.errors import UsageError
from vebi.lasso import TOLERANCE, certify, check_mu, path, solve, solve_all
from vebi.lasso import solution as module
from vebi.lasso.polish import polish


def problem(seed, n=60, p=12, classes=3):
    """Rows as descriptors are: not negative, of length 1; one-hot labels that depend on a few columns."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, p)) ** 2
    labels = (x[:, :classes] + 0.1 * rng.random((n, classes))).argmax(axis=1)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, np.eye(classes)[labels]


def sums(x, labels):
    return x.T @ x, x.T @ labels, float(labels @ labels)


def objective(x, labels, w):
    return 0.5 * np.sum((x @ w - labels) ** 2)


def independent(x, labels, mu, signed):
    """SLSQP on w = u - v with u, v >= 0 and sum(u + v) <= mu (v = 0 unless signed)."""
    both = np.hstack([x, -x]) if signed else x
    p = both.shape[1]
    result = minimize(
        lambda w: objective(both, labels, w),
        np.full(p, mu / (2 * p)),
        jac=lambda w: both.T @ (both @ w - labels),
        bounds=[(0, None)] * p,
        constraints={"type": "ineq", "fun": lambda w: mu - w.sum(), "jac": lambda w: -np.ones(p)},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-13},
    )
    return result.x[: x.shape[1]] - result.x[x.shape[1] :] if signed else result.x


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_an_independent_solver(seed, mu, signed):
    x, one_hot = problem(seed)
    for labels in one_hot.T:
        solution = solve(*sums(x, labels), mu, signed=signed)
        other = independent(x, labels, mu, signed)
        assert objective(x, labels, solution.weights) <= objective(x, labels, other) + 1e-9
        np.testing.assert_allclose(solution.weights, other, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    mu=st.floats(0.01, 8),
    signed=st.booleans(),
    p=st.integers(1, 25),
)
def test_feasible_and_certified(seed, mu, signed, p):
    x, one_hot = problem(seed, n=50, p=max(p, 3))
    for solution, labels in zip(
        solve_all(x.T @ x, x.T @ one_hot, one_hot.sum(0), mu, signed=signed), one_hot.T, strict=True
    ):
        w = solution.weights
        assert np.abs(w).sum() <= mu * (1 + 1e-12)
        assert signed or (w >= 0).all()
        assert solution.gap == pytest.approx(certify(w, *sums(x, labels), mu, signed=signed).gap, abs=1e-12)
        assert solution.gap >= -1e-12
        assert solution.gap <= 1e-9
        if solution.complete:
            assert np.abs(w).sum() == pytest.approx(mu)


@pytest.mark.parametrize("signed", [False, True])
def test_gap_formula(signed):
    """Written out: primal minus dual objective at the dual point that the residual gives, for any feasible w."""
    rng = np.random.default_rng(0)
    x, one_hot = problem(0)
    labels, mu = one_hot[:, 0], 1.5
    best = objective(x, labels, solve(*sums(x, labels), mu, signed=signed).weights)
    for _ in range(20):
        w = rng.normal(size=12) if signed else rng.random(12)
        w *= mu * rng.random() / np.abs(w).sum()
        residual = labels - x @ w
        # dual of min 1/2 |labels - Xw|^2 over the (positive) l1 ball: l'r - 1/2 r'r - mu max(|X'r|) with r the residual
        correlation = x.T @ residual
        dual = (
            labels @ residual
            - 0.5 * residual @ residual
            - mu * max(np.abs(correlation) if signed else [*correlation, 0])
        )
        expected = (objective(x, labels, w) - dual) / (labels @ labels / 2)
        got = certify(w, *sums(x, labels), mu, signed=signed).gap
        assert got == pytest.approx(expected, rel=1e-9)
        assert got * (labels @ labels / 2) >= objective(x, labels, w) - best - 1e-12  # it bounds the suboptimality


def test_gap_of_the_zero_vector_by_hand():
    gram, b = np.eye(2), np.array([0.5, -2.0])
    assert certify(np.zeros(2), gram, b, 4.0, 3.0).gap == pytest.approx(3 * 0.5 / 2)
    assert certify(np.zeros(2), gram, b, 4.0, 3.0, signed=True).gap == pytest.approx(3 * 2 / 2)
    assert certify(np.zeros(2), gram, -np.ones(2), 4.0, 3.0).gap == pytest.approx(0, abs=1e-14)
    assert certify(np.zeros(0), np.zeros((0, 0)), np.zeros(0), 4.0, 3.0).gap == 0


def test_a_solution_by_hand():
    """Orthonormal columns: soft thresholding with the threshold that makes the norm mu."""
    gram, b = np.eye(3), np.array([3.0, 2.0, -1.0])
    np.testing.assert_allclose(solve(gram, b, 20.0, 2.0).weights, [1.5, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(solve(gram, b, 20.0, 4.5, signed=True).weights, [2.5, 1.5, -0.5], atol=1e-12)


@pytest.mark.parametrize("signed", [False, True])
def test_a_path_that_ends_before_mu(signed):
    x, one_hot = problem(1, p=5)
    labels = one_hot[:, 0]
    solution = solve(*sums(x, labels), 1e4, signed=signed)
    assert not solution.complete
    assert solution.gap <= TOLERANCE
    assert np.abs(solution.weights).sum() < 1e4
    if signed:
        np.testing.assert_allclose(solution.weights, np.linalg.lstsq(x, labels)[0], atol=1e-8)
    else:
        from scipy.optimize import nnls

        np.testing.assert_allclose(solution.weights, nnls(x, labels)[0], atol=1e-8)


def test_no_feature_is_of_use():
    """Every column is negatively related to the class: with w >= 0 nothing is selected, and that is the solution."""
    solution = solve(np.eye(2), np.array([-1.0, -2.0]), 4.0, 1.0)
    assert not solution.weights.any()
    assert solution.gap == pytest.approx(0, abs=1e-14)
    assert not solution.complete


def test_silent_columns_get_no_weight():
    x, one_hot = problem(2)
    labels = one_hot[:, 0]
    wide = np.zeros((60, 20))
    wide[:, 4:16] = x
    for signed in (False, True):
        plain, solution = (solve(*sums(a, labels), 1.0, signed=signed) for a in (x, wide))
        np.testing.assert_allclose(solution.weights[4:16], plain.weights, atol=1e-12)
        assert not solution.weights[:4].any()
        assert not solution.weights[16:].any()
        assert solution.gap <= TOLERANCE
    silent = solve(np.zeros((4, 4)), np.zeros(4), 3.0, 1.0)
    assert not silent.weights.any()
    assert silent.gap == 0


def test_a_class_that_never_occurs():
    solution = solve(np.eye(2), np.zeros(2), 0.0, 1.0)
    assert not solution.weights.any()
    assert solution.gap == 0
    assert solution.complete
    assert solution.gap <= TOLERANCE


def test_paths_longer_than_the_first_attempt():
    """More than 64 knots: the path is followed further, to the same certificate."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 120))
    labels = (x @ rng.normal(size=120) > 0).astype(float)
    solution = solve(*sums(x, labels), 1.9, signed=True)
    assert (solution.weights != 0).sum() > 64
    assert solution.complete
    assert solution.gap < 1e-9


def test_twin_columns():
    """The same column twice: either may be chosen, the fit is the same."""
    x, one_hot = problem(3)
    labels = one_hot[:, 0]
    twins = np.hstack([x, x[:, :1]])
    for signed in (False, True):
        alone, both = (solve(*sums(a, labels), 1.0, signed=signed) for a in (x, twins))
        assert both.gap <= TOLERANCE
        assert objective(twins, labels, both.weights) == pytest.approx(objective(x, labels, alone.weights), abs=1e-9)


@pytest.mark.parametrize("apart", [1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-13])
@pytest.mark.parametrize("signed", [False, True])
def test_nearly_equal_columns(apart, signed):
    """Twins that differ in a late digit; at 1e-8 the digits of G no longer tell them apart, which costs a little."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = rng.random((60, 40)) ** 2
        x = np.hstack([x, x[:, :20] + apart * rng.random((60, 20))])
        one_hot = np.eye(3)[(x[:, :3] + 0.1 * rng.random((60, 3))).argmax(axis=1)]
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        for solution in solve_all(x.T @ x, x.T @ one_hot, one_hot.sum(0), 10.0, signed=signed):
            w = solution.weights
            assert signed or (w >= 0).all()
            assert np.abs(w).sum() <= 10 * (1 + 1e-12)
            assert 0 <= solution.gap <= TOLERANCE


def stated_and_true(x, labels, mu, signed):
    """The gap of a solution, and the same from the rows in long double precision."""
    solution = solve(*sums(x, labels), mu, signed=signed)
    wide, w = x.astype(np.longdouble), solution.weights.astype(np.longdouble)
    g = wide.T @ (wide @ w - labels)
    steepest = max(0, (np.abs(g) if signed else -g).max())
    return solution.gap, float((w @ g + mu * steepest) / (labels @ labels / 2))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10_000), mu=st.floats(0.01, 100), signed=st.booleans(), decades=st.integers(0, 12))
def test_columns_of_any_scale_are_solved_or_the_gap_says_so(seed, mu, signed, decades):
    rng = np.random.default_rng(seed)
    x, one_hot = problem(seed, n=30)
    x = x * 10.0 ** rng.uniform(-decades, decades, x.shape[1])
    stated, true = stated_and_true(x, one_hot[:, 0], mu, signed)
    assert stated <= TOLERANCE or decades > 3
    assert true <= 10 * max(stated, TOLERANCE)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("knots", [1, 2, 5])
def test_what_a_path_leaves_undone_is_polished(monkeypatch, signed, knots):
    """As where a path is cut off because it goes in circles."""
    undone = 0
    monkeypatch.setattr(path, "knot_limit", lambda b: knots)
    for seed in range(12):
        x, one_hot = problem(seed)
        labels = one_hot[:, 0]
        for mu in (1.0, 3.0, 1e4):
            solution = solve(*sums(x, labels), mu, signed=signed)
            assert solution.gap <= 1e-9
            assert solution.knots <= knots
            _, last = path.last_knot(*sums(x, labels)[:2], mu, signed=signed)
            start = np.zeros(12)
            start[last.columns] = last.weights
            left = certify(start, *sums(x, labels), mu, signed=signed).gap
            undone += left > 1e-6
    assert undone > 3  # there was something to do


def test_polishing_starts_from_anything_feasible():
    x, one_hot = problem(4)
    gram, b, e = sums(x, one_hot[:, 1])
    rng = np.random.default_rng(0)
    for signed in (False, True):
        best = solve(gram, b, e, 2.0, signed=signed).weights
        for _ in range(10):
            start = rng.standard_normal(12) if signed else rng.random(12)
            start *= 1.5 / np.abs(start).sum()
            np.testing.assert_allclose(polish(start, gram, b, 2.0, signed=signed), best, atol=1e-8)


@pytest.mark.parametrize("where", ["gram", "b", "e"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(where, value):
    problem_arrays = {"gram": np.eye(3), "b": np.array([1.0, 0.2, 0.5]), "e": 3.0}
    if where == "e":
        problem_arrays["e"] = value
    else:
        problem_arrays[where].flat[1] = value
    with pytest.raises(UsageError, match="NaN"), np.errstate(invalid="ignore"):
        solve(**problem_arrays, mu=1.0)


def test_many_features_are_solved_in_parallel(monkeypatch):
    x, one_hot = problem(0)
    alone = solve_all(x.T @ x, x.T @ one_hot, one_hot.sum(0), 1.0)
    monkeypatch.setattr(module, "PARALLEL", 1)
    steps = []
    both = solve_all(x.T @ x, x.T @ one_hot, one_hot.sum(0), 1.0, progress=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert all((a.weights == b.weights).all() for a, b in zip(alone, both, strict=True))


def test_what_has_not_begun_does_not_begin_after_a_stop(monkeypatch):
    x, one_hot = problem(0)
    begun = []

    def slow(*args, **options):
        begun.append(1)
        time.sleep(0.02)
        return solve(*args, **options)

    def stop(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "solve", slow)
    with pytest.raises(KeyboardInterrupt):
        solve_all(x.T @ x, np.tile(x.T @ one_hot, 20), np.tile(one_hot.sum(0), 20), 1.0, progress=stop)
    assert len(begun) < 10


@pytest.mark.parametrize("mu", [0, -1.0, float("nan"), float("inf")])
def test_mu_that_cannot_be(mu):
    with pytest.raises(UsageError, match=f"mu .*{mu!r}"):
        solve(np.eye(2), np.ones(2), 1.0, mu)
    with pytest.raises(UsageError, match=f"mu .*{mu!r}"):
        check_mu(mu)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10_000), mu=st.floats(0.05, 8), signed=st.booleans(), power=st.integers(-6, 6))
def test_laws(seed, mu, signed, power):
    """Permuting columns permutes weights; scaling X and L together changes nothing; more room never fits worse."""
    x, one_hot = problem(seed, n=50, p=15)
    labels = one_hot[:, 0]
    solution = solve(*sums(x, labels), mu, signed=signed)
    order = np.random.default_rng(seed).permutation(15)
    permuted = solve(*sums(x[:, order], labels), mu, signed=signed)
    np.testing.assert_allclose(permuted.weights, solution.weights[order], atol=1e-7)
    scale = 10.0**power
    scaled = solve(*sums(scale * x, scale * labels), mu, signed=signed)
    np.testing.assert_allclose(scaled.weights, solution.weights, atol=1e-7)
    assert scaled.gap <= 1e-9
    assert solution.violation <= 1e-9
    wider = solve(*sums(x, labels), 1.5 * mu, signed=signed)
    assert objective(x, labels, wider.weights) <= objective(x, labels, solution.weights) + 1e-9


def test_violation_of_the_conditions():
    """By hand: at w = 0 with mu open the largest correlation is the violation; moved off the solution it grows."""
    gram, b = np.eye(3), np.array([3.0, 2.0, -1.0])
    best = solve(gram, b, 20.0, 2.0)
    assert best.violation <= 1e-12
    assert certify(np.zeros(3), gram, b, 20.0, 2.0).violation == pytest.approx(1)
    off = certify(np.array([1.7, 0.3, 0.0]), gram, b, 20.0, 2.0)  # g = -1.3, -1.7: the second should be the first's
    assert off.violation == pytest.approx(0.4 / 3)


def test_progress_counts_classes():
    x, one_hot = problem(0)
    steps = []
    solve_all(x.T @ x, x.T @ one_hot, one_hot.sum(0), 1.0, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("images", [1, 2])
def test_a_class_with_one_image_and_fewer_images_than_features(images):
    rng = np.random.default_rng(0)
    x = rng.random((6, 30))
    labels = np.zeros(6)
    labels[:images] = 1
    for signed in (False, True):
        solution = solve(*sums(x, labels), 10.0, signed=signed)
        assert solution.gap <= 1e-9
        assert (solution.weights != 0).any()
