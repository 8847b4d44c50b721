"""The path, the folds and the subsamples of a table, compared with fits of the very rows."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from vebi.activations.descriptors import Descriptor
from vebi.activations.layers import Feature
from vebi.activations.table import DescriptorTable
from vebi.interpretation import held_out
from vebi.interpretation import partition as module
from vebi.interpretation.mu_path import compute_mu_path, mu_grid
from vebi.interpretation.partition import FOLDS, PartitionedTable
from vebi.interpretation.stability import compute_stability
from vebi.lasso import Bound, Knot, solve
from vebi.lasso.cross_validation import mean_and_se
from vebi.lasso.subsampling import N_SUBSAMPLES, subsample_masks

CLASSES = 3


def rows(seed, n=120, p=15):
    """Shares of which some depend on the class, and the predicted classes."""
    rng = np.random.default_rng(seed)
    predictions = rng.integers(CLASSES, size=n)
    x = rng.random((n, p)) ** 2
    for j in range(CLASSES):
        x[:, j] += (predictions == j) * rng.random(n)
        x[:, j + CLASSES] += 0.4 * (predictions == j)
    x[:, 7] = x[:, 0] + 0.01 * rng.random(n)  # correlated with it
    return (x / x.sum(axis=1, keepdims=True)).astype(np.float32), predictions


def written(folder: Path, x, predictions, shard=50, scaling="plain") -> DescriptorTable:
    for k, start in enumerate(range(0, len(x), shard)):
        some = slice(start, start + shard)
        columns = {
            "shares": x[some],
            "predictions": predictions[some],
            "labels": predictions[some],
            "indices": np.arange(len(x))[some],
        }
        save_file(
            {n: np.ascontiguousarray(c) for n, c in columns.items()},
            folder / f"shard-{k:05d}.safetensors",
            {"skipped": "[]"},
        )
    features = tuple(Feature("a", c) for c in range(x.shape[1]))
    return DescriptorTable(folder, features, -(-len(x) // shard), Descriptor("squared", scaling == "plain", scaling))


def split_of(table, **options):
    return PartitionedTable(table, table.problem(CLASSES), "predictions", **options)


@pytest.fixture
def table(tmp_path):
    return written(tmp_path, *rows(0))


def shares(x):
    x = x.astype(np.float64)
    return x / x.sum(axis=1, keepdims=True)


#: Half of the median standard deviation, of all rows: what holds for every fold.
FLOOR = 0.5 * np.median(shares(rows(0)[0]).std(axis=0))


def unit(x):
    x = x.astype(np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def centred(x, predictions, scaling):
    """What is fitted, and what makes it of other rows: center, scale and constants, written out."""
    x = shares(x)
    if scaling == "plain":
        return unit(x), 0.0, 1.0, np.zeros(CLASSES)
    if scaling in ("log", "clr"):
        x = np.log(x + 1e-4)
    if scaling == "clr":
        x = x - x.mean(axis=1, keepdims=True)
    scale = np.hypot(x.std(axis=0), FLOOR) if scaling == "standardised" else 1.0
    return x, x.mean(axis=0), scale, np.array([(predictions == j).mean() for j in range(CLASSES)])


def fitted(x, predictions, mu, signed=False, scaling="plain"):
    """classes x p: every class solved from its rows."""
    x, center, scale, constants = centred(x, predictions, scaling)
    x, found = (x - center) / scale, []
    for j in range(CLASSES):
        label = (predictions == j) - constants[j]
        bound = mu if np.isscalar(mu) else mu[j]
        found.append(solve(x.T @ x, x.T @ label, float(label @ label), float(bound), signed=signed).weights)
    return np.array(found)


@pytest.mark.parametrize(
    ("scaling", "signed"),
    [("plain", False), ("plain", True), ("centred", False), ("standardised", False), ("log", True), ("clr", False)],
)
def test_held_out_scores_are_those_of_fits_without_the_fold(tmp_path, scaling, signed):
    x, predictions = rows(0)
    split = split_of(written(tmp_path, x, predictions, scaling=scaling), signed=signed)
    path = compute_mu_path(split, Bound(2.0))
    assert path.r2.shape == (FOLDS, len(path.mus), CLASSES)
    assert path.validated
    for fold in range(FOLDS):
        out = split.part_of_row % FOLDS == fold
        for m in range(0, len(path.mus), 4):
            w = fitted(x[~out], predictions[~out], float(path.mus[m]), signed, scaling)
            _, center, scale, constants = centred(x[~out], predictions[~out], scaling)
            held_out = centred(x[out], predictions[out], scaling)[0]
            scores = (held_out - center) / scale @ w.T + constants
            for j in range(CLASSES):
                label = predictions[out] == j
                off, total = np.square(scores[:, j] - label).sum(), np.square(label - label.mean()).sum()
                assert path.r2[fold, m, j] == pytest.approx(1 - off / total, abs=1e-5)
            assert path.fidelity[fold, m] == pytest.approx((scores.argmax(axis=1) == predictions[out]).mean())


def test_scores_at_the_bound_of_every_class(table):
    """As many features in every fold as asked for, whatever the l1 norm is there."""
    x, predictions = rows(0)
    split = split_of(table)
    path = compute_mu_path(split, Bound(features=2))
    for fold in range(FOLDS):
        out = split.part_of_row % FOLDS == fold
        wide = unit(x[~out])
        b = np.stack([wide.T @ (predictions[~out] == j) for j in range(CLASSES)])
        w = fitted(x[~out], predictions[~out], [Bound(features=2).of_class(wide.T @ wide, row) for row in b])
        assert ((w > 0).sum(axis=1) <= 2).all()
        scores = unit(x[out]) @ w.T
        assert path.fit_fidelity[fold] == pytest.approx((scores.argmax(axis=1) == predictions[out]).mean())
        for j in range(CLASSES):
            label = predictions[out] == j
            off, total = np.square(scores[:, j] - label).sum(), np.square(label - label.mean()).sum()
            assert path.fit_r2[fold, j] == pytest.approx(1 - off / total, abs=1e-6)
    chosen = compute_mu_path(split)
    k = chosen.nearest(chosen.one_se_mu)
    assert (chosen.fit_r2 == chosen.r2[:, k]).all()
    assert (chosen.fit_fidelity == chosen.fidelity[:, k]).all()
    given = compute_mu_path(split, Bound(2.0))
    np.testing.assert_allclose(given.fit_r2, given.r2[:, given.nearest(2.0)])


def test_what_the_whole_table_selects_along_mu(table):
    x, predictions = rows(0)
    path = compute_mu_path(split_of(table))
    for m in range(0, len(path.mus), 3):
        w = fitted(x, predictions, float(path.mus[m]))
        assert (path.counts()[m] == (w > 0).sum(axis=1)).all()
        for owner, column, weights in zip(path.class_index, path.columns, path.weights, strict=True):
            assert weights[m] == pytest.approx(w[owner, column], abs=1e-6)
    for k in range(len(path.class_index)):
        chosen = path.mus[path.weights[k] > 0]
        if not len(chosen):  # it comes and goes between two bounds
            assert path.span(int(path.class_index[k]), int(path.columns[k])) is None
            continue
        assert path.span(int(path.class_index[k]), int(path.columns[k])) == (chosen[0], chosen[-1])
        assert path.entry_mu[k] < chosen[0]
        assert (path.entry_mu[k] > path.mus[path.mus < chosen[0]]).all()
    assert path.span(0, 14) is None or 14 in path.columns
    assert np.isfinite(path.end_mu).all()
    assert path.mus[-1] >= np.median(path.end_mu)


def test_the_order_of_shards_and_their_size_change_nothing(tmp_path):
    found = []
    for shard in (17, 120):
        folder = tmp_path / str(shard)
        folder.mkdir()
        found.append(compute_mu_path(split_of(written(folder, *rows(1), shard))))
    one, other = found
    np.testing.assert_allclose(one.r2, other.r2, atol=1e-9)
    assert (one.fidelity == other.fidelity).all()
    assert one.one_se_mu == other.one_se_mu


def test_many_features_are_considered_block_by_block(table, monkeypatch):
    """Near to being selected are the columns that are selected: the scores are those of all columns."""
    whole = compute_mu_path(split_of(table)), compute_stability(split_of(table), Bound(1.0), (0, 1, 2), np.ones((3, 3)))
    monkeypatch.setattr(module, "CONSIDERED", 12)
    monkeypatch.setattr(module, "NEAREST", 10)
    split = split_of(table)
    blocks = [(block.classes, block.columns) for block, _ in split.blocks()]
    assert [j for classes, _ in blocks for j in classes] == [0, 1, 2]
    assert len(blocks) > 1
    assert all(len(columns) <= 15 for _, columns in blocks)
    part = compute_mu_path(split), compute_stability(split, Bound(1.0), (0, 1, 2), np.ones((3, 3)))
    np.testing.assert_allclose(part[0].r2, whole[0].r2, atol=0.02)
    np.testing.assert_allclose(part[1].selection_probability, whole[1].selection_probability, atol=0.1)


def test_selection_probability_counts_the_subsamples_that_select(table):
    x, predictions = rows(0)
    split, mu = split_of(table), 1.5
    weights = fitted(x, predictions, mu)
    columns = tuple(int(c) for c in np.flatnonzero(weights.any(axis=0)))
    steps = []
    found = compute_stability(split, Bound(mu), columns, weights[:, columns], lambda *done: steps.append(done))
    assert steps[-1] == (N_SUBSAMPLES * CLASSES, N_SUBSAMPLES * CLASSES)
    assert found.n_subsamples == N_SUBSAMPLES
    assert (found.selection_probability[weights[:, columns] == 0] == 0).all()
    assert (found.group_probability >= found.selection_probability).all()
    again = np.zeros((CLASSES, 15))
    for half in subsample_masks(20):
        rows_of = half[split.part_of_row]
        again += fitted(x[rows_of], predictions[rows_of], mu) > 0
    own = weights[:, columns] > 0
    np.testing.assert_allclose(found.selection_probability[own], (again[:, columns] / N_SUBSAMPLES)[own])
    assert found.selection_probability.max() > 0.8
    assert [c for c, r in found.correlated_features[columns.index(0)]] == [7]
    assert found.correlated_features[columns.index(0)][0][1] > 0.95


def test_few_images(tmp_path):
    for n in (1, 2, 4, 6):
        folder = tmp_path / str(n)
        folder.mkdir()
        x, predictions = rows(3)
        split = split_of(written(folder, x[:n], predictions[:n]))
        path = compute_mu_path(split, Bound(1.0))
        assert path.validated == (n >= FOLDS)
        assert len(path.mus) == path.r2.shape[1]
        found = compute_stability(split, Bound(1.0), (0,), np.ones((3, 1)))
        assert (found is None) == (n < 2)


def test_a_class_that_does_not_occur(tmp_path):
    x, predictions = rows(4)
    predictions[predictions == 2] = 0
    path = compute_mu_path(split_of(written(tmp_path, x, predictions)), Bound(1.0))
    assert np.isnan(path.r2[:, :, 2]).all()
    assert not np.isnan(path.scores).any()
    assert 2 not in path.class_index
    assert path.validated
    assert (path.counts()[:, 2] == 0).all()


def test_one_se_mu_is_the_first_within_one_standard_error(table):
    path = compute_mu_path(split_of(table))
    center, error = mean_and_se(path.scores)
    best = center.argmax()
    within = path.mus[center >= center[best] - error[best]]
    assert path.one_se_mu == within[0] <= path.best == path.mus[best]


def test_bounds_have_two_digits_and_reach_what_is_asked(table):
    split = split_of(table)
    plain, candidates = mu_grid(split.truncated_paths)
    assert (np.diff(plain) > 0).all()
    assert all(float(f"{mu:.2g}") == mu for mu in plain)
    assert candidates.all()
    end = max(path[-1].norm for path in split.truncated_paths)
    assert plain[0] < 1
    assert plain[-1] <= 1.3 * end
    for mu in (0.01, 0.0123, 1.2345, end / 1.01, end):
        mus, some = mu_grid(split.truncated_paths, mu)
        assert mu in mus
        assert mus[some].tolist() == plain.tolist()
        assert (np.diff(np.log10(mus)) < 0.12).all()
    assert mu_grid(split.truncated_paths, 1e9)[0].tolist() == plain.tolist()  # nothing comes behind the end
    assert mu_grid([], 3.0)[0].tolist() == [3.0]


def knots(*norms):
    return [Knot(np.zeros(0, np.int64), np.zeros(0), 1.0 - k / len(norms), norm) for k, norm in enumerate(norms)]


def test_features_that_tie_do_not_move_the_grid():
    """Two features that enter together, or nearly so, leave a first knot at 0 or next to it."""
    plain = mu_grid([knots(0.0, 1.0, 30.0)])[0]
    assert mu_grid([knots(0.0, 0.0, 1.0, 30.0)])[0].tolist() == plain.tolist()
    near = mu_grid([knots(0.0, 1e-8, 1.0, 30.0)])[0]
    assert near[-1] == plain[-1]
    assert near[0] == pytest.approx(0.03, rel=0.3)
    assert mu_grid([knots(0.0, 0.0)])[0].tolist() == [1.0]


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
    path = compute_mu_path(split, mu and Bound(mu))
    assert (np.diff(path.mus) > 0).all()
    assert (path.mus > 0).all()
    assert np.isfinite(path.weights).all()
    assert path.best in path.mus
    assert path.one_se_mu <= path.best
    assert path.counts().max(initial=0) <= p


def test_what_was_held_out_has_no_say_in_what_is_considered(table, monkeypatch):
    """The columns of a fold are those that the labels of the other folds bring near."""
    monkeypatch.setattr(module, "CONSIDERED", 12)
    monkeypatch.setattr(module, "NEAREST", 4)
    monkeypatch.setattr(module, "KNOTS", 3)
    (x, predictions), split = rows(0), split_of(table)
    x, used = unit(x), set()
    for block, _ in split.blocks():
        for (fold, j), places in block.screened.items():
            rest = split.part_of_row % FOLDS != fold
            b = x[rest].T @ (predictions[rest] == j) * FOLDS / (FOLDS - 1)
            assert set(block.columns[places].tolist()) == split._nearest(b)
            used.add((fold, j))
    assert used == {(fold, j) for fold in range(FOLDS) for j in range(CLASSES)}
    asked = []
    monkeypatch.setattr(
        held_out,
        "_solve",
        lambda problem, i, bounds_of, some, signed: (
            asked.append(some) or np.zeros((len(bounds_of(problem.gram, problem.b[:, i])), len(problem.b)))
        ),
    )
    compute_mu_path(split)
    wanted = [block.screened[f, j] for block, _ in split.blocks() for f in range(FOLDS) for j in block.classes]
    assert all((a == b).all() for a, b in zip(asked, wanted, strict=True))


def test_a_path_with_more_knots_than_anybody_looks_at(table, monkeypatch):
    monkeypatch.setattr(module, "KNOTS", 4)
    path = compute_mu_path(split_of(table), Bound(2.0))
    assert np.isinf(path.end_mu).any()
    assert path.mus[-1] >= 2
    x, predictions = rows(0)
    assert (path.counts()[-1] == (fitted(x, predictions, float(path.mus[-1])) > 0).sum(axis=1)).all()
