"""Sums that merge: any split, any order, any shard once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vebi.errors import UsageError
from vebi.lasso import make_problem, solve_all
from vebi.lasso.moments import BUFFER_ROWS, accumulate, accumulate_parts, merge
from vebi.lasso.scaling import SCALINGS


def table(seed, n=40, p=7, classes=3):
    rng = np.random.default_rng(seed)
    return rng.random((n, p)).astype(np.float32), np.eye(classes)[rng.integers(classes, size=n)]


def summed(x, labels, cuts, names=None):
    parts = list(zip(np.split(x, cuts), np.split(labels, cuts), strict=True))
    names = names or [f"shard-{k}" for k in range(len(parts))]
    return accumulate(((name, *part) for name, part in zip(names, parts, strict=True)), x.shape[1], labels.shape[1])


def test_the_sums_written_out():
    x, labels = table(0)
    sums = summed(x, labels, [11, 12, 30])
    wide = x.astype(np.float64)
    centred, away = wide - wide.mean(axis=0), labels - labels.mean(axis=0)
    np.testing.assert_allclose(sums.gram, centred.T @ centred, rtol=1e-12, atol=1e-13)
    assert (sums.gram == sums.gram.T).all()
    assert sums.gram.dtype == np.float64
    np.testing.assert_allclose(sums.b, centred.T @ away, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(sums.means, wide.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(sums.label_means, labels.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(sums.label_energy, np.square(away).sum(axis=0), rtol=1e-13)
    assert sums.rows == 40
    assert sums.shards == {"shard-0", "shard-1", "shard-2", "shard-3"}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 40), max_size=4), st.randoms())
def test_merging_in_any_order_gives_the_same_solutions(seed, cuts, random):
    x, labels = table(seed)
    cuts = sorted(cuts)
    at_once = summed(x, labels, [])
    parts = [
        accumulate([(f"part-{k}", *part)], 7, 3)
        for k, part in enumerate(zip(np.split(x, cuts), np.split(labels, cuts), strict=True))
    ]
    random.shuffle(parts)
    merged = merge(parts)
    assert merged.rows == 40
    assert len(merged.shards) == len(cuts) + 1
    np.testing.assert_allclose(merged.gram, at_once.gram, rtol=1e-12, atol=1e-12)
    for form in SCALINGS:
        one, other = (make_problem(moments, form) for moments in (at_once, merged))
        solutions = (solve_all(problem.gram, problem.b, problem.energy, 1.0) for problem in (one, other))
        for a, b in zip(*solutions, strict=True):
            np.testing.assert_allclose(a.weights, b.weights, atol=1e-9)


def test_many_features_are_mirrored_block_by_block():
    x, labels = table(1, n=3, p=2100)
    wide = x.astype(np.float64)
    wide -= wide.mean(axis=0)
    np.testing.assert_allclose(summed(x, labels, [1]).gram, wide.T @ wide, rtol=1e-12, atol=1e-13)


def test_a_shard_twice_is_refused():
    x, labels = table(0)
    with pytest.raises(UsageError, match="'a'"):
        summed(x, labels, [10, 20], ["a", "b", "a"])
    one = summed(x, labels, [], ["a"])
    with pytest.raises(UsageError, match="'a'"):
        merge([one, summed(x, labels, [20], ["b", "a"])])


def test_other_tables_do_not_merge():
    x, labels = table(0)
    with pytest.raises(UsageError, match=r"\(5, 3\), \(7, 3\)"):
        merge([summed(x, labels, []), summed(x[:, :5], labels, [])])
    with pytest.raises(UsageError):
        merge([])


@pytest.mark.parametrize("n", [40, 5 * BUFFER_ROWS])
def test_parts_in_one_pass_are_the_sums_of_their_rows(n):
    x, labels = table(2, n)
    part_of_row = np.random.default_rng(0).integers(0, 4, n)
    part_of_row[part_of_row == 2] = 3  # a part without a row
    cuts = [7, n // 2]
    shards = zip("abc", np.split(x, cuts), np.split(labels, cuts), np.split(part_of_row, cuts), strict=True)
    parts = accumulate_parts(shards, 7, 3, 5)
    assert [part.rows for part in parts] == [(part_of_row == k).sum() for k in range(5)]
    assert parts[2].rows == parts[4].rows == 0
    for k, part in enumerate(parts):
        rows = part_of_row == k
        alone = accumulate([("part", x[rows], labels[rows])], 7, 3)
        for name in ("gram", "b", "label_energy", "means", "label_means"):
            np.testing.assert_allclose(getattr(part, name), getattr(alone, name), rtol=1e-11, atol=1e-12)
    at_once, merged = summed(x, labels, []), merge(parts)
    np.testing.assert_allclose(merged.gram, at_once.gram, rtol=1e-11)
    assert merged.rows == n
    shards = zip("aba", np.split(x, cuts), np.split(labels, cuts), np.split(part_of_row, cuts), strict=True)
    with pytest.raises(UsageError, match="'a'"):
        accumulate_parts(shards, 7, 3, 5)
