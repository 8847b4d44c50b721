"""The path, the folds and the half samples of a table, held against fits of the very rows."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from vebi.activations.layers import Feature
from vebi.activations.table import DescriptorTable
from vebi.interpretation import mu_path as mu_path_module
from vebi.interpretation import partition as module
from vebi.interpretation.mu_path import bounds, mu_path
from vebi.interpretation.partition import FOLDS, Split
from vebi.interpretation.stability import stability
from vebi.lasso import Knot, solve
from vebi.lasso.cross_validation import mean
from vebi.lasso.subsampling import HALVES, halves

CLASSES = 3


def rows(seed, n=120, p=15):
    """Descriptors of which some depend on the class, and the predicted classes."""
    rng = np.random.default_rng(seed)
    predictions = rng.integers(CLASSES, size=n)
    x = rng.random((n, p)) ** 2
    for j in range(CLASSES):
        x[:, j] += (predictions == j) * rng.random(n)
        x[:, j + CLASSES] += 0.4 * (predictions == j)
    x[:, 7] = x[:, 0] + 0.01 * rng.random(n)  # a stand-in
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), predictions


def written(folder: Path, x, predictions, shard=50) -> DescriptorTable:
    for k, start in enumerate(range(0, len(x), shard)):
        some = slice(start, start + shard)
        columns = {
            "descriptors": x[some],
            "predictions": predictions[some],
            "labels": predictions[some],
            "indices": np.arange(len(x))[some],
        }
        save_file(
            {n: np.ascontiguousarray(c) for n, c in columns.items()},
            folder / f"shard-{k:05d}.safetensors",
            {"skipped": "[]"},
        )
    return DescriptorTable(folder, tuple(Feature("a", c) for c in range(x.shape[1])), -(-len(x) // shard))


def split_of(table, **options):
    return Split(table, table.sums(CLASSES), "predictions", **options)


@pytest.fixture
def table(tmp_path):
    return written(tmp_path, *rows(0))


def fitted(x, predictions, mu, signed=False):
    """classes x p: every class solved from its rows."""
    x, found = x.astype(np.float64), []
    for j in range(CLASSES):
        label = (predictions == j).astype(float)
        found.append(solve(x.T @ x, x.T @ label, label.sum(), mu, signed=signed).weights)
    return np.array(found)


@pytest.mark.parametrize("signed", [False, True])
def test_held_out_scores_are_those_of_fits_without_the_fold(table, signed):
    x, predictions = rows(0)
    split = split_of(table, signed=signed)
    path = mu_path(split, 2.0)
    assert path.explained.shape == (FOLDS, len(path.mus), CLASSES) and path.validated
    for fold in range(FOLDS):
        out = split.of % FOLDS == fold
        for m in range(0, len(path.mus), 4):
            w = fitted(x[~out], predictions[~out], float(path.mus[m]), signed)
            told = x[out].astype(np.float64) @ w.T
            for j in range(CLASSES):
                label = predictions[out] == j
                off, spread = np.square(told[:, j] - label).sum(), np.square(label - label.mean()).sum()
                assert path.explained[fold, m, j] == pytest.approx(1 - off / spread, abs=1e-6)
            assert path.agreement[fold, m] == pytest.approx((told.argmax(axis=1) == predictions[out]).mean())


def test_what_the_whole_table_selects_along_mu(table):
    x, predictions = rows(0)
    path = mu_path(split_of(table))
    for m in range(0, len(path.mus), 3):
        w = fitted(x, predictions, float(path.mus[m]))
        assert (path.counts()[m] == (w > 0).sum(axis=1)).all()
        for owner, column, weights in zip(path.owners, path.columns, path.weights, strict=True):
            assert weights[m] == pytest.approx(w[owner, column], abs=1e-6)
    for k in range(len(path.owners)):
        chosen = path.mus[path.weights[k] > 0]
        if not len(chosen):  # it comes and goes between two bounds
            assert path.span(int(path.owners[k]), int(path.columns[k])) is None
            continue
        assert path.span(int(path.owners[k]), int(path.columns[k])) == (chosen[0], chosen[-1])
        assert path.enters[k] < chosen[0] and (path.enters[k] > path.mus[path.mus < chosen[0]]).all()
    assert path.span(0, 14) is None or 14 in path.columns
    assert np.isfinite(path.ends).all() and (path.mus[-1] >= np.median(path.ends))


def test_the_order_of_shards_and_their_size_change_nothing(tmp_path):
    found = []
    for shard in (17, 120):
        folder = tmp_path / str(shard)
        folder.mkdir()
        found.append(mu_path(split_of(written(folder, *rows(1), shard))))
    one, other = found
    np.testing.assert_allclose(one.explained, other.explained, atol=1e-9)
    assert (one.agreement == other.agreement).all() and one.recommended == other.recommended


def test_many_features_are_considered_group_by_group(table, monkeypatch):
    """Near to being selected are the columns that are selected: the scores are those of all columns."""
    whole = mu_path(split_of(table)), stability(split_of(table), 1.0, (0, 1, 2), np.ones((3, 3)))
    monkeypatch.setattr(module, "CONSIDERED", 12)
    monkeypatch.setattr(module, "NEAREST", 10)
    split = split_of(table)
    groups = [(group.classes, group.columns) for group, _ in split.groups()]
    assert [j for classes, _ in groups for j in classes] == [0, 1, 2] and len(groups) > 1
    assert all(len(columns) <= 15 for _, columns in groups)
    part = mu_path(split), stability(split, 1.0, (0, 1, 2), np.ones((3, 3)))
    np.testing.assert_allclose(part[0].explained, whole[0].explained, atol=0.02)
    np.testing.assert_allclose(part[1].shares, whole[1].shares, atol=0.1)


def test_stability_counts_the_halves_that_select_again(table):
    x, predictions = rows(0)
    split, mu = split_of(table), 1.5
    weights = fitted(x, predictions, mu)
    columns = tuple(int(c) for c in np.flatnonzero(weights.any(axis=0)))
    told = []
    found = stability(split, mu, columns, weights[:, columns], lambda *steps: told.append(steps))
    assert told[-1] == (HALVES * CLASSES, HALVES * CLASSES) and found.halves == HALVES
    assert (found.shares[weights[:, columns] == 0] == 0).all() and (found.joint >= found.shares).all()
    again = np.zeros((CLASSES, 15))
    for half in halves(20):
        rows_of = half[split.of]
        again += fitted(x[rows_of], predictions[rows_of], mu) > 0
    own = weights[:, columns] > 0
    np.testing.assert_allclose(found.shares[own], (again[:, columns] / HALVES)[own])
    assert found.shares.max() > 0.8
    assert [c for c, r in found.stand_ins[columns.index(0)]] == [7] and found.stand_ins[columns.index(0)][0][1] > 0.95


def test_few_pictures(tmp_path):
    for n in (1, 2, 4, 6):
        folder = tmp_path / str(n)
        folder.mkdir()
        x, predictions = rows(3)
        split = split_of(written(folder, x[:n], predictions[:n]))
        path = mu_path(split, 1.0)
        assert path.validated == (n >= FOLDS) and len(path.mus) == path.explained.shape[1]
        found = stability(split, 1.0, (0,), np.ones((3, 1)))
        assert (found is None) == (n < 2)


def test_a_class_that_does_not_occur(tmp_path):
    x, predictions = rows(4)
    predictions[predictions == 2] = 0
    path = mu_path(split_of(written(tmp_path, x, predictions)), 1.0)
    assert np.isnan(path.explained[:, :, 2]).all() and not np.isnan(path.scores).any()
    assert 2 not in path.owners and path.validated and (path.counts()[:, 2] == 0).all()


def test_the_recommended_bound_is_the_first_within_one_standard_error(table):
    path = mu_path(split_of(table))
    center, error = mean(path.scores)
    best = center.argmax()
    within = path.mus[center >= center[best] - error[best]]
    assert path.recommended == within[0] <= path.best == path.mus[best]


def test_bounds_have_two_digits_and_reach_what_is_asked(table):
    split = split_of(table)
    plain, candidates = bounds(split.beginnings)
    assert (np.diff(plain) > 0).all() and all(float(f"{mu:.2g}") == mu for mu in plain) and candidates.all()
    end = max(path[-1].norm for path in split.beginnings)
    assert plain[0] < 1 and plain[-1] <= 1.3 * end
    for mu in (0.01, 0.0123, 1.2345, end / 1.01, end):
        mus, some = bounds(split.beginnings, mu)
        assert mu in mus and mus[some].tolist() == plain.tolist()  # what is asked for does not change what is chosen
        assert (np.diff(np.log10(mus)) < 0.12).all()
    assert bounds(split.beginnings, 1e9)[0].tolist() == plain.tolist()  # nothing comes behind the end
    assert bounds([], 3.0)[0].tolist() == [3.0]


def knots(*norms):
    return [Knot(np.zeros(0, np.int64), np.zeros(0), 1.0 - k / len(norms), norm) for k, norm in enumerate(norms)]


def test_features_that_tie_do_not_move_the_grid():
    """Two features that enter together, or nearly so, leave a first knot at 0 or next to it."""
    plain = bounds([knots(0.0, 1.0, 30.0)])[0]
    assert bounds([knots(0.0, 0.0, 1.0, 30.0)])[0].tolist() == plain.tolist()
    near = bounds([knots(0.0, 1e-8, 1.0, 30.0)])[0]
    assert near[-1] == plain[-1] and near[0] == pytest.approx(0.03, rel=0.3)
    assert bounds([knots(0.0, 0.0)])[0].tolist() == [1.0]


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(2, 12),
    p=st.integers(1, 5),
    seed=st.integers(0, 10_000),
    signed=st.booleans(),
    mu=st.sampled_from([None, 0.5, 3.0, 1e6]),
)
def test_tables_of_few_small_integers(tmp_path_factory, n, p, seed, signed, mu):
    """Ties everywhere: whatever comes out is finite and in order."""
    rng = np.random.default_rng(seed)
    x, predictions = rng.integers(0, 3, (n, p)).astype(np.float32), rng.integers(CLASSES, size=n)
    split = split_of(written(tmp_path_factory.mktemp("few"), x, predictions), signed=signed)
    path = mu_path(split, mu)
    assert (np.diff(path.mus) > 0).all() and (path.mus > 0).all() and np.isfinite(path.weights).all()
    assert path.best in path.mus and path.recommended <= path.best
    assert path.counts().max(initial=0) <= p


def test_what_was_held_out_has_no_say_in_what_is_considered(table, monkeypatch):
    """The columns of a fold are those that the labels of the other folds bring near."""
    monkeypatch.setattr(module, "CONSIDERED", 12)
    monkeypatch.setattr(module, "NEAREST", 4)
    monkeypatch.setattr(module, "KNOTS", 3)
    (x, predictions), split = rows(0), split_of(table)
    x, used = x.astype(np.float64), set()
    for group, _ in split.groups():
        for (fold, j), places in group.screened.items():
            rest = split.of % FOLDS != fold
            b = x[rest].T @ (predictions[rest] == j) * FOLDS / (FOLDS - 1)
            assert set(group.columns[places].tolist()) == split._nearest(b)
            used.add((fold, j))
    assert used == {(fold, j) for fold in range(FOLDS) for j in range(CLASSES)}
    asked = []
    monkeypatch.setattr(
        mu_path_module,
        "_along",
        lambda sums, i, mus, some, signed: asked.append(some) or np.zeros((len(mus), len(sums.b))),
    )
    mu_path(split)
    wanted = [group.screened[f, j] for group, _ in split.groups() for f in range(FOLDS) for j in group.classes]
    assert all((a == b).all() for a, b in zip(asked, wanted, strict=True))


def test_a_path_with_more_knots_than_anybody_looks_at(table, monkeypatch):
    monkeypatch.setattr(module, "KNOTS", 4)
    path = mu_path(split_of(table), 2.0)
    assert np.isinf(path.ends).any() and path.mus[-1] >= 2
    x, predictions = rows(0)
    assert (path.counts()[-1] == (fitted(x, predictions, float(path.mus[-1])) > 0).sum(axis=1)).all()
