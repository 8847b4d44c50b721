"""The path against its defining conditions at every knot, and against scikit-learn's."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, nnls
from sklearn.linear_model import lars_path_gram

from vebi.lasso import iter_knots, solve
from vebi.lasso.path import interpolate_path, lasso_path


def table(seed, n, p, kind="plain"):
    """Non-negative rows of length 1 and a class that depends on a few columns; ``kind`` makes the columns awkward."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, p)) ** 2
    half = p // 2
    if kind == "equal":
        x[:, half : 2 * half] = x[:, :half]
    elif kind == "nearly equal":
        x[:, half : 2 * half] = x[:, :half] + 1e-6 * rng.standard_normal((n, half))
    elif kind == "correlated":
        x = x @ rng.random((p, p))
    elif kind == "zero and combined":
        x[:, ::3] = 0
        x[:, 1] = x[:, 2] + x[:, 4]
    labels = (x[:, 2] + 0.3 * rng.random(n) > np.median(x[:, 2])).astype(float)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300), labels


KINDS = ("plain", "equal", "nearly equal", "correlated", "zero and combined")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 50), st.integers(5, 40), st.sampled_from(KINDS), st.booleans())
def test_every_knot_is_a_solution(seed, n, p, kind, signed):
    """c = b - Gw is lambda sign(w) where w is not 0, and nowhere beyond; the norm grows and lambda falls."""
    x, labels = table(seed, n, p, kind)
    gram, b = x.T @ x, x.T @ labels
    before = None
    for k, knot in enumerate(iter_knots(gram, b, 10.0, signed=signed)):
        w = np.zeros(p)
        w[knot.columns] = knot.weights
        c, scale = b - gram @ w, np.abs(b).max(initial=0)
        assert (np.abs(c) if signed else c).max() <= knot.lam + 1e-7 * scale
        active = np.flatnonzero(w)
        np.testing.assert_allclose(c[active], knot.lam * np.sign(w[active]), atol=1e-7 * scale)
        assert signed or (w >= -1e-12).all()
        assert knot.norm == pytest.approx(np.abs(w).sum(), abs=1e-9)
        assert knot.norm <= 10 * (1 + 1e-9)
        if before is not None:
            assert knot.norm >= before.norm - 1e-9
            assert knot.lam <= before.lam
        before = knot
        assert k < 50 * p
    assert knot.norm == pytest.approx(10.0) or knot.lam <= 1e-9 * scale


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("seed", range(100))
def test_the_knots_are_scikit_learns(seed, signed):
    """200 random problems, n above p, where its path does not stray; a silent column lets its non-negative path end."""
    rng = np.random.default_rng(seed)
    p = int(rng.integers(3, 25))
    x, labels = table(seed, 3 * p + 10, p)
    gram, b = x.T @ x, x.T @ labels
    padded = np.pad(gram, (0, 1)), np.append(b, 0.0)
    lams, _, theirs = lars_path_gram(
        Xy=padded[1], Gram=padded[0], n_samples=1, method="lasso", positive=not signed, alpha_min=0.0, max_iter=1000
    )
    knots = list(iter_knots(gram, b, signed=signed))
    ours = np.zeros((p, len(knots)))
    for k, knot in enumerate(knots):
        ours[knot.columns, k] = knot.weights
    # between knots both are linear in lambda: compare them at the knots of both
    for lam in np.concatenate([lams, [knot.lam for knot in knots]]):
        mine = [np.interp(-lam, [-k.lam for k in knots], row) for row in ours]
        other = [np.interp(-lam, -lams, row) for row in theirs[:-1]]
        np.testing.assert_allclose(mine, other, atol=1e-6 * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_the_path_is_least_squares(kind):
    x, labels = table(3, 60, 12, kind)
    gram, b = x.T @ x, x.T @ labels
    for signed in (False, True):
        *_, knot = iter_knots(gram, b, signed=signed)
        w = np.zeros(12)
        w[knot.columns] = knot.weights
        best = np.linalg.lstsq(x, labels)[0] if signed else nnls(x, labels)[0]
        assert np.linalg.norm(x @ w - labels) == pytest.approx(np.linalg.norm(x @ best - labels), abs=1e-6)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_scales(scale):
    """X and L scaled together scale lambda and leave the weights."""
    x, labels = table(1, 40, 10)
    for signed in (False, True):
        plain = list(iter_knots(x.T @ x, x.T @ labels, 3.0, signed=signed))
        scaled = list(iter_knots(scale**2 * x.T @ x, scale**2 * x.T @ labels, 3.0, signed=signed))
        assert len(plain) == len(scaled)
        for one, other in zip(plain, scaled, strict=True):
            np.testing.assert_array_equal(one.columns, other.columns)
            np.testing.assert_allclose(other.weights, one.weights, rtol=1e-6, atol=1e-9)
            assert other.lam == pytest.approx(scale**2 * one.lam, rel=1e-6)


def test_only_the_rows_that_are_needed_are_read():
    x, labels = table(1, 60, 30)
    gram, b = x.T @ x, x.T @ labels
    read = set()

    class Watched(np.ndarray):
        def __getitem__(self, row):
            read.add(int(row))
            return gram[row]

    *_, knot = iter_knots(gram.view(Watched), b, 1.0)
    assert set(knot.columns.tolist()) <= read
    assert len(read) < 15


def test_by_hand():
    """Orthonormal columns: they enter in the order of |b|, and lambda falls to |b| of the next."""
    knots = list(iter_knots(np.eye(3), np.array([3.0, 2.0, -1.0]), signed=True))
    assert [k.lam for k in knots] == pytest.approx([3, 2, 1, 0])
    assert [k.norm for k in knots] == pytest.approx([0, 1, 3, 6])
    assert knots[-1].columns.tolist() == [0, 1, 2]
    assert knots[-1].weights.tolist() == pytest.approx([3, 2, -1])
    positive = list(iter_knots(np.eye(3), np.array([3.0, 2.0, -1.0])))
    assert [k.norm for k in positive] == pytest.approx([0, 1, 5])


def test_a_column_can_leave():
    """Signed, a weight that first helps and then is replaced: the path passes through 0 and continues without it."""
    for seed in range(200):
        x, labels = table(seed, 30, 12, "correlated")
        active = [set(k.columns.tolist()) for k in iter_knots(x.T @ x, x.T @ labels, signed=True)]
        if any(before - after for before, after in itertools.pairwise(active)):
            return
    pytest.fail("no column has left in 200 problems")


def test_the_end_with_fewer_samples_than_features():
    """Of all weights that give the labels exactly, the end has the smallest l1 norm (as a linear programme finds it);
    rounding does not send the path round in circles there."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.gamma(1, 1, (24, 6)) @ rng.gamma(0.3, 1, (6, 150)) + 0.3 * rng.gamma(0.5, 1, (24, 150))
        x /= np.linalg.norm(x, axis=0)
        labels = np.arange(24) < 5.0
        knots = lasso_path(x.T @ x, x.T @ labels, signed=True)
        least = linprog(np.ones(300), A_eq=np.hstack([x, -x]), b_eq=labels)
        assert knots[-1].norm == pytest.approx(least.fun, rel=1e-8)
        assert knots[-1].lam == 0
        assert len(knots) < 150


def test_nothing_to_follow():
    assert [k.norm for k in iter_knots(np.eye(2), np.array([-1.0, -2.0]))] == [0.0]
    assert [k.norm for k in iter_knots(np.zeros((2, 2)), np.zeros(2), signed=True)] == [0.0]
    assert [k.norm for k in iter_knots(np.zeros((0, 0)), np.zeros(0))] == [0.0]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(KINDS),
    st.booleans(),
    st.lists(st.just(0.0) | st.floats(1e-9, 8), min_size=1, max_size=6),
)
def test_between_knots_are_the_solutions(seed, kind, signed, mus):
    x, labels = table(seed, 40, 15, kind)
    gram, b, mus = x.T @ x, x.T @ labels, np.array(mus)
    solutions = interpolate_path(lasso_path(gram, b, signed=signed), mus, 15)
    for w, mu in zip(solutions, mus, strict=True):
        assert np.abs(w).sum() <= mu * (1 + 1e-9)
        if mu > 0:
            best = solve(gram, b, float(labels @ labels), float(mu), signed=signed).weights
            off = [np.square(x @ v - labels).sum() for v in (w, best)]
            assert off[0] == pytest.approx(off[1], abs=1e-8)


def test_a_path_can_be_cut_short():
    x, labels = table(0, 60, 20)
    full, short = (lasso_path(x.T @ x, x.T @ labels, most=most) for most in (None, 5))
    assert len(short) == 5 < len(full)
    assert all((a.weights == b.weights).all() for a, b in zip(short, full, strict=False))
