"""The solutions against spgl1's, which knows neither paths nor Gram matrices."""

import warnings

import numpy as np
import pytest

from vebi.lasso import solve

spgl1 = pytest.importorskip("spgl1", reason="compared with spgl1, which is optional")
NONNEGATIVE = {
    "project": spgl1.norm_l1nn_project,
    "primal_norm": spgl1.norm_l1nn_primal,
    "dual_norm": spgl1.norm_l1nn_dual,
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("seed", range(100))
def test_no_better_and_no_other_than_spgl1(seed, signed):
    """200 random problems, of fewer and of more images than features."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(20, 80)), int(rng.integers(5, 60))
    x = rng.random((n, p)) ** 2
    labels = (x[:, 1] + 0.3 * rng.random(n) > np.median(x[:, 1])).astype(float)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    mu = float(rng.uniform(0.2, 4))
    solution = solve(x.T @ x, x.T @ labels, float(labels @ labels), mu, signed=signed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its deprecated calls
        other, *_ = spgl1.spgl1(x, labels, tau=mu, opt_tol=1e-7, iter_lim=5000, **({} if signed else NONNEGATIVE))
    assert np.abs(other).sum() <= mu * (1 + 1e-9)
    assert signed or (other >= 0).all()
    ours, theirs = (np.square(x @ w - labels).sum() / 2 for w in (solution.weights, other))
    half = labels.sum() / 2  # the objective at w = 0
    assert ours <= theirs + 1e-12 * half
    assert theirs - ours <= 1e-4 * half
    np.testing.assert_allclose(x @ solution.weights, x @ other, atol=0.05)
